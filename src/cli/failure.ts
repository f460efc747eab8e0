/** The errors of a command, and their exit statuses. */

import { printable, StorageError, withoutPath } from "../error.ts";
import { shellWord } from "./figures.ts";

/** Exit statuses. */
export const OK = 0;
export const FAILED = 1;
export const MISUSED = 2;

const RECOVER = "see what cellar recover can do";

/** The command line is wrong. The message says what was expected. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** An error outside the storage: an input that cannot be read, a blob that is too large for JSON. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

/** The reader of the output has closed the pipe. This is not an error. */
export class ClosedPipe extends Error {
  override readonly name = "ClosedPipe";
}

/** An error in the form in which it is printed. */
export interface ErrorReport {
  readonly code: string;
  readonly message: string;
  readonly status: number;
}

/** Returns the code, message and exit status of an error; null for a closed pipe, which is not an error. */
export function reportOf(error: unknown): ErrorReport | null {
  if (error instanceof ClosedPipe) return null;
  if (error instanceof UsageError) return { code: "USAGE", message: error.message, status: MISUSED };
  if (error instanceof StorageError) return { code: error.code, message: adviceOf(error), status: FAILED };
  if (error instanceof CommandError) return { code: error.code, message: error.message, status: FAILED };
  // Any other error is a bug: print its trace for a report, in one line like every error.
  const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const message = trace.replace(/\s*\n\s*/g, " ");
  return { code: "UNEXPECTED", message: `this is a bug in cellar, please report it: ${message}`, status: FAILED };
}

function adviceOf(error: StorageError): string {
  const { path } = error;
  const advice = asCommands(withoutPath(error), path);
  return path === undefined ? advice : `${printable(path)}: ${advice}`;
}

/** Translates the library's advice: its options and functions become flags and commands, with the path of the file. */
export function asCommands(advice: string, path: string | undefined): string {
  return advice
    .replace("lockTimeoutMs", "--lock-timeout-ms")
    .replace(/\bnewEpoch\b/, "--new-epoch")
    .replace("allowUnsafeFilesystem: true", "--allow-unsafe-filesystem")
    .replace("with the option keep", "with --keep NAME")
    .replace("without apply, then add unproven", "without --yes, then add --unproven")
    .replace(", and then the reader's refresh()", "")
    .replace(" (a reader calls refresh() first)", "")
    .replace("returned by write()", "returned by put or write()")
    .replace(RECOVER, () => (path === undefined ? RECOVER : `see what cellar recover ${shellWord(path)} can do`));
}
