/** Copies a file to another name, durably, before it is changed. */

import * as fs from "node:fs";
import { constants } from "node:os";
import { basename, dirname, join } from "node:path";
import { StorageError } from "../error.ts";
import { copyData } from "../os/copy-data.ts";
import { fsError, withFsErrors } from "../os/errno.ts";
import { closeFile, openFile, statOf, syncFile } from "../os/file.ts";
import { NewFile } from "../os/new-file.ts";
import { releaseAfter } from "../os/release.ts";

const { EFBIG, ENAMETOOLONG } = constants.errno;

/**
 * Returns a name that no file has: PATH followed by `.before-recovery`, with a number if needed. If the name is too
 * long, the part of PATH is shortened.
 */
export function backupName(path: string): string {
  let name = Array.from(basename(path));
  for (let turn = 1; ;) {
    const kept = join(dirname(path), `${name.join("")}.before-recovery${turn === 1 ? "" : `-${turn}`}`);
    try {
      if (withFsErrors(kept, () => fs.lstatSync(kept, { throwIfNoEntry: false })) === undefined) return kept;
      turn++;
    } catch (error) {
      const isTooLong = error instanceof StorageError && error.errno === ENAMETOOLONG;
      if (!isTooLong || name.length === 1) throw error;
      name = name.slice(0, -1);
    }
  }
}

/**
 * Copies the file to a new name, and returns when the copy is durable. The copy shares the file's blocks if the file
 * system can do that.
 * @throws ALREADY_EXISTS, NO_SUCH_FILE, DISK_FULL, SYSTEM; nothing is left then
 */
export function backUp(path: string, name: string): void {
  const from = openFile(path, "read");
  try {
    const { sizeBytes, permissions } = statOf(from, path);
    // The copy gets its name only when it is complete, so that a kill leaves no partial copy under the name.
    const file = NewFile.unnamed(name, sizeBytes, permissions);
    try {
      if (!sharesBlocks(path, file.openPath, name)) copyData({ fd: from, path }, { fd: file.fd, path: name });
      withFsErrors(name, () => fs.fchmodSync(file.fd, permissions));
      syncFile(file.fd, name);
      file.placeSync();
    } catch (error) {
      releaseAfter(error, () => file.discard());
    } finally {
      file.close();
    }
  } catch (error) {
    throw notKept(error, path, name);
  } finally {
    closeFile(from, path);
  }
}

/** Makes the copy share the file's blocks. Returns false if the file system cannot, or not between these two files. */
function sharesBlocks(path: string, copyPath: string, name: string): boolean {
  try {
    fs.copyFileSync(path, copyPath, fs.constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch (thrown) {
    const error = fsError(thrown, name);
    if (error instanceof StorageError) return false;
    throw error;
  }
}

function notKept(error: unknown, path: string, name: string): unknown {
  if (!(error instanceof StorageError)) return error;
  // More disk space would not help past a file size limit.
  const isFull = error.code === "DISK_FULL" && error.errno !== EFBIG;
  const why = isFull ? `${name}: there is no space for a copy of the file` : error.message;
  const message = `${path}: nothing was changed, because the file could not be copied first: ${why}: choose another path for the copy with the option keep`;
  return new StorageError(error.code, message, { ...error, path, cause: error });
}
