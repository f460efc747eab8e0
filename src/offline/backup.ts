/** Keeping a file under another name, durably, before it is changed. */

import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { StorageError } from "../error.ts";
import { copyData } from "../os/copy-data.ts";
import { EFBIG, ENAMETOOLONG, fsError, withFsErrors } from "../os/errno.ts";
import { closeFile, openFile, statOf, syncFile } from "../os/file.ts";
import { NewFile } from "../os/new-file.ts";
import { releaseAfter } from "../os/release.ts";

/** The first name after PATH that nothing has; of a name that would be too long, PATH's own is shortened. */
export function keptName(path: string): string {
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
 * Copies the file to a new name, sharing its blocks where the file system can, and returns when the copy is durable.
 * @throws ALREADY_EXISTS, NO_SUCH_FILE, DISK_FULL, SYSTEM; nothing is left then
 */
export function keep(path: string, name: string): void {
  const from = openFile(path, "read");
  try {
    const { sizeBytes, permissions } = statOf(from, path);
    // Without its name until it is whole: a kill in the middle must not leave what looks like a copy.
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

/** Makes the copy share the file's blocks. False where the file system cannot, or not between these two. */
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
  // Past a limit of the file's size more room would not help.
  const isFull = error.code === "DISK_FULL" && error.errno !== EFBIG;
  const why = isFull ? `${name}: there is no room for a copy of the file` : error.message;
  const message = `${path}: nothing was changed, because the file could not be kept first: ${why}: name another place, on another disk perhaps, by the option keep`;
  return new StorageError(error.code, message, { ...error, path, cause: error });
}
