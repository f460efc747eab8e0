/** Makes a StorageError from a failed call: code, errno, syscall, path, and a sentence that says what to do. */

import { constants } from "node:os";
import { type ErrorCode, RESTORE, StorageError } from "../error.ts";
import { libc } from "./libc.ts";

const { EACCES, EAGAIN, EDQUOT, EEXIST, EFBIG, EIO, EISDIR, ELOOP, EMFILE, ENAMETOOLONG, ENFILE } = constants.errno;
const { ENODEV, ENOENT, ENOMEM, ENOSPC, ENOSYS, ENOTDIR, EPERM, EROFS } = constants.errno;

/** The codes of errnos that mean the same for every call. All others are SYSTEM. */
const codes: Readonly<Record<number, ErrorCode>> = {
  [ENOENT]: "NO_SUCH_FILE",
  [EEXIST]: "ALREADY_EXISTS",
  [ENOSPC]: "DISK_FULL",
  [EDQUOT]: "DISK_FULL",
  [EFBIG]: "DISK_FULL",
  [EISDIR]: "NOT_A_STORAGE",
  [ENODEV]: "UNSUPPORTED",
};

const advice: Readonly<Record<number, string>> = {
  [ENOENT]: "no such file or directory: check the path (a new file needs a directory that exists)",
  [ENOTDIR]: "a part of the path is not a directory: check the path",
  [EEXIST]: "the name is taken: choose another, or open the file if it is a storage",
  [ENAMETOOLONG]: "the name is too long for the file system: choose a shorter one",
  [ENOSPC]: "free space on the file system, then try again; nothing was stored",
  [EDQUOT]: "the disk quota is used up: free space or raise it, then try again; nothing was stored",
  [EFBIG]: "the file may not grow further: raise the limit (ulimit -f) or use another file system",
  [EISDIR]: "this is a directory: name a file in it",
  [ENODEV]: "this file system cannot map files into memory: use a local one",
  [EAGAIN]: "another program, such as a file server, holds a lease of this file: close the file there, or try again",
  [ELOOP]: "too many symbolic links, or a loop of them: check the path",
  [EACCES]: "the permissions do not allow it: check owner and mode of the file and of its directory",
  [EPERM]: "the permissions do not allow it: check owner, mode and attributes of the file and of its directory",
  [EROFS]: "the file system is read-only: open a reader, or mount it writable",
  [EMFILE]: "the process has too many open files: close storages, or raise the limit (ulimit -n)",
  [ENFILE]: "the system has too many open files: close some, or raise the limit (fs.file-max)",
  [ENOMEM]: "not enough memory or address space: raise the limit (ulimit -v, vm.max_map_count)",
  [EIO]: `the device failed: see the kernel's log; if the file does not open, ${RESTORE}`,
  [ENOSYS]: "the kernel, or a sandbox around this process, does not offer this call: run it elsewhere",
};

/** The errnos whose advice is enough, without the name of the call. */
const selfExplanatory: ReadonlySet<number> = new Set([ENOENT, EEXIST, EISDIR, ENOTDIR, ENAMETOOLONG]);

/** The error for a libc call that has just failed. It reads `errno`, so call it straight after. */
export function libcError(syscall: string, path: string): StorageError {
  return systemError(libc().errno(), syscall, path);
}

/** The error for an errno that the caller has read. */
export function systemError(errno: number, syscall: string, path: string, cause?: unknown): StorageError {
  const what = advice[errno] ?? "see the manual page of the call";
  // Load it only when it is needed, because loading takes milliseconds.
  const { getSystemErrorName } = process.getBuiltinModule("node:util");
  const failed = selfExplanatory.has(errno) ? "" : `${syscall} failed with ${getSystemErrorName(-errno)}: `;
  const message = `${path}: ${failed}${what}`;
  return new StorageError(codes[errno] ?? "SYSTEM", message, { errno, syscall, path, cause });
}

/** Returns the error for a value that `node:fs` threw. A value that is not a system error is returned as it is. */
export function fsError(thrown: unknown, path: string): unknown {
  if (!(thrown instanceof Error) || thrown instanceof StorageError) return thrown;
  const { errno, syscall } = thrown as NodeJS.ErrnoException;
  if (errno === undefined) return thrown;
  return systemError(Math.abs(errno), syscall ?? "the system call", path, thrown);
}

/** Runs a call of `node:fs`, and throws its system errors as StorageErrors. */
export function withFsErrors<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (thrown) {
    throw fsError(thrown, path);
  }
}
