/**
 * The error class of the library. Callers distinguish failures by `code`, never by text. Misuse, the file's content,
 * the system, and the state of the storage each have their own codes.
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

/** The optional properties of an error, besides its code and message. */
export interface ErrorDetails {
  readonly path?: string | undefined;
  readonly index?: number | undefined;
  readonly errno?: number | undefined;
  readonly syscall?: string | undefined;
  readonly cause?: unknown;
}

/**
 * An operation failed. The message says what is wrong, in which file, and what to do. `errno` and `syscall` are set if
 * a system call failed.
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
  /** The path as the caller gave it. In the message its control characters are escaped. */
  declare readonly path: string | undefined;
  declare readonly index: number | undefined;
  declare readonly errno: number | undefined;
  declare readonly syscall: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    const { path, index, errno, syscall, cause } = details;
    // Escape it: a path, or text from a file, may contain control characters.
    super(printable(message), cause === undefined ? undefined : { cause });
    this.code = code;
    // Set only defined properties: Bun prints all properties of an error that ends a program.
    if (path !== undefined) this.path = path;
    if (index !== undefined) this.index = index;
    if (errno !== undefined) this.errno = errno;
    if (syscall !== undefined) this.syscall = syscall;
  }
}

/** The advice for a file that cannot be repaired. The guide is part of the package. */
export const RESTORE = 'restore a backup (docs/guide.md, "Restoring a backup")';

/** Returns an error's message without the path at its beginning, for messages that already name the path. */
export function withoutPath({ message, path }: StorageError): string {
  const prefix = path === undefined ? "" : `${printable(path)}: `;
  return message.startsWith(prefix) ? message.slice(prefix.length) : message;
}

const CONTROLS = /[\x00-\x1f\x7f-\x9f]/g;

/**
 * Escapes the C0 and C1 control characters of a text as in JSON, so that it cannot control a terminal or break a line.
 */
export function printable(text: string): string {
  return text.replace(CONTROLS, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Quotes a text from a file for a message. */
export function quoted(text: string): string {
  return printable(JSON.stringify(text));
}

/** The TypeError for an argument of the wrong type, with the expected type and the actual value. */
export function wrongType(what: string, expected: string, got: unknown): TypeError {
  return new TypeError(`${what}: expected ${expected}, got ${describe(got)}`);
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "string") return `the string ${quoted(value.slice(0, 40))}`;
  if (typeof value === "object") return `an object (${value.constructor?.name ?? "no prototype"})`;
  return typeof value === "function" ? "a function" : `the ${typeof value} ${String(value)}`;
}
