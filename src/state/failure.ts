/** The errors for a writer or a reader that cannot continue. */

import { RESTORE, StorageError } from "../error.ts";
import type { FileFault } from "../region/region.ts";

/** A sync failed. `cause` is its error. */
export function syncFailed(path: string, cause: unknown): StorageError {
  const { errno, syscall } = cause instanceof StorageError ? cause : {};
  const message = `${path}: a sync failed, so data written since the last flush may not be on the disk: close this writer and open the file again`;
  return new StorageError("FAILED", message, { path, errno, syscall, cause });
}

/** A flush had not ended when `close` failed to flush. */
export function closedBefore(path: string): StorageError {
  const message = `${path}: the storage was closed before this flush ended: open it again to see which state is durable`;
  return new StorageError("CLOSED", message, { path });
}

/** The file was deleted or replaced by another one. Data written to it can no longer be found by a path. */
export function fileGone(path: string, role: "writer" | "reader"): StorageError {
  const what = `${path}: the file was deleted, or another file was moved to its path`;
  const advice = {
    writer: "its data can no longer be opened by the path: save its last commit with copyTo, then close this writer",
    reader: "this reader sees no new states: save what it shows with copyTo if you need it, then open the path again",
  };
  return new StorageError("FILE_GONE", `${what}: ${advice[role]}`, { path });
}

/** Another program made the file shorter or wrote over it while a writer had it open. */
export function fileChanged(path: string, fault: Exclude<FileFault, "gone">): StorageError {
  const what = fault === "cut" ? "made the file shorter" : "wrote over the header of the file";
  const message = `${path}: another program ${what} while this writer had it open, so nothing in it can be trusted: close this writer, ${RESTORE}, and open the file again`;
  return new StorageError("FILE_CHANGED", message, { path });
}

/** Another program wrote another storage over the file while a reader had it open. */
export function otherStorage(path: string): StorageError {
  const message = `${path}: another program wrote another storage over the file while this reader had it open: close this reader and open the file again`;
  return new StorageError("FILE_CHANGED", message, { path });
}
