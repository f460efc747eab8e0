/** Keeping a file under another name, durably, before it is changed. */

import * as fs from "node:fs";
import { dirname } from "node:path";
import { withFsErrors } from "../os/errno.ts";
import { removeFile, syncDirectory, syncFile } from "../os/file.ts";

/** The first name after PATH that nothing has. */
export function keptName(path: string): string {
  for (let turn = 1; ; turn++) {
    const name = `${path}.before-recovery${turn === 1 ? "" : `-${turn}`}`;
    if (fs.lstatSync(name, { throwIfNoEntry: false }) === undefined) return name;
  }
}

/**
 * Copies the file, sharing its blocks where the file system can, and returns the copy's name once it is durable.
 * @throws ALREADY_EXISTS, DISK_FULL, SYSTEM; nothing is left then
 */
export function keep(path: string, wanted: string | undefined): string {
  const name = wanted ?? keptName(path);
  // Made here, and empty: whatever goes wrong from now on, the file to remove is ours.
  withFsErrors(name, () => fs.closeSync(fs.openSync(name, "wx", fs.statSync(path).mode & 0o777)));
  try {
    withFsErrors(name, () => fs.copyFileSync(path, name, fs.constants.COPYFILE_FICLONE));
    const fd = withFsErrors(name, () => fs.openSync(name, "r+"));
    try {
      syncFile(fd, name);
    } finally {
      fs.closeSync(fd);
    }
    syncDirectory(dirname(name));
    return name;
  } catch (error) {
    removeFile(name);
    throw error;
  }
}
