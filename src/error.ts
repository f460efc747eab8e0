/**
 * The one error class of the library. Failures are told apart by `code`, never by text:
 * misuse, the file's content, the system, and the state of the storage each have codes of their own.
 */

/** Every code that a {@link StorageError} can carry. */
export type ErrorCode =
  | "NO_SUCH_FILE"
  | "ALREADY_EXISTS"
  | "NOT_A_STORAGE"
  | "INVALID_CONFIG"
  | "CONFIG_MISMATCH"
  | "HEADER_BROKEN"
  | "FILE_CUT"
  | "FILE_GONE"
  | "FILE_CHANGED"
  | "TRUNCATED"
  | "INDEX_OVERFLOW"
  | "INDEX_OUT_OF_RANGE"
  | "CHUNK_CORRUPT"
  | "INVALID_WRITER_KEY"
  | "WRITER_LOCKED"
  | "DISK_FULL"
  | "UNPROVEN"
  | "CLOSED"
  | "FAILED"
  | "SYSTEM"
  | "UNSUPPORTED"
  | "FENCED"
  | "FENCING_UNSUPPORTED"
  | "DIVERGED"
  | "CHANGED_IN_PLACE"
  | "NOT_A_REPLICA"
  | "NO_SUCH_STATE"
  | "REPLICA_CORRUPT"
  | "STORE_UNREACHABLE"
  | "STORE_REFUSED";

/** What an error may say besides its code and its sentence. */
export interface ErrorDetails {
  readonly path?: string | undefined;
  readonly index?: number | undefined;
  readonly errno?: number | undefined;
  readonly syscall?: string | undefined;
  readonly cause?: unknown;
}

/**
 * An operation that could not be done. The message says what is wrong, in which file, and what to do;
 * `errno` and `syscall` are there when libc or the kernel said no.
 *
 * @example
 * try {
 *   StorageReader.open("data.cellar");
 * } catch (error) {
 *   if (error instanceof StorageError && error.code === "NO_SUCH_FILE") console.log("nothing stored yet");
 *   else throw error;
 * }
 */
export class StorageError extends Error {
  override readonly name: string = "StorageError";
  readonly code: ErrorCode;
  /** The path as it was given; in the message its control characters are escaped. */
  declare readonly path: string | undefined;
  declare readonly index: number | undefined;
  declare readonly errno: number | undefined;
  declare readonly syscall: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    const { path, index, errno, syscall, cause } = details;
    // A path, or the text of a file, may hold anything.
    super(printable(message), cause === undefined ? undefined : { cause });
    this.code = code;
    // Only what there is: an error that ends a program is printed with all its properties.
    if (path !== undefined) this.path = path;
    if (index !== undefined) this.index = index;
    if (errno !== undefined) this.errno = errno;
    if (syscall !== undefined) this.syscall = syscall;
  }
}

/** The advice for a file that cannot be mended. The guide is part of the package. */
export const RESTORE = 'restore a backup (docs/guide.md, "Restoring a backup")';

/** An error's message without the path at its beginning, for callers that have named the path already. */
export function withoutPath({ message, path }: StorageError): string {
  const prefix = path === undefined ? "" : `${printable(path)}: `;
  return message.startsWith(prefix) ? message.slice(prefix.length) : message;
}

const CONTROLS = /[\x00-\x1f\x7f-\x9f]/g;

/** A text that cannot steer a terminal, nor break a line: C0 and C1 control characters are escaped, as JSON reads them. */
export function printable(text: string): string {
  return text.replace(CONTROLS, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A text from a file, as it may stand in a message. */
export function quoted(text: string): string {
  return printable(JSON.stringify(text));
}

/** The TypeError for an argument of the wrong type: what was expected, and what came. */
export function wrongType(what: string, expected: string, got: unknown): TypeError {
  return new TypeError(`${what}: expected ${expected}, got ${describe(got)}`);
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "string") return `the string ${quoted(value.slice(0, 40))}`;
  if (typeof value === "object") return `an object (${value.constructor?.name ?? "no prototype"})`;
  return typeof value === "function" ? "a function" : `the ${typeof value} ${String(value)}`;
}
