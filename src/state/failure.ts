/** Why a writer can promise nothing any more. */

import { StorageError } from "../error.ts";

/** `cause` is what the sync threw. */
export function syncFailed(path: string, cause: unknown): StorageError {
  const { errno, syscall } = cause instanceof StorageError ? cause : {};
  const message = `${path}: a sync failed, so nothing written since the last flush is known to be on the disk: close this writer and open the file again`;
  return new StorageError("FAILED", message, { path, errno, syscall, cause });
}

/** For a flush that was under way when `close` could not flush. */
export function closedBefore(path: string): StorageError {
  const message = `${path}: the storage was closed before this flush was done: open it again, and see what it has`;
  return new StorageError("CLOSED", message, { path });
}
