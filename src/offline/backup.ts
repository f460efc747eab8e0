/** Keeping a file under another name, durably, before it is changed. */

import * as fs from "node:fs";
import { withFsErrors } from "../os/errno.ts";
import { closeFile, createBeside, linkIntoPlace, removeFile, syncFile } from "../os/file.ts";
import { releaseAfter } from "../os/release.ts";

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
  // Under another name until it is whole: a kill in the middle must not leave what looks like a copy.
  const { fd, temporaryPath } = createBeside(name);
  try {
    withFsErrors(name, () => fs.copyFileSync(path, temporaryPath, fs.constants.COPYFILE_FICLONE));
    withFsErrors(name, () => fs.fchmodSync(fd, fs.statSync(path).mode & 0o777));
    syncFile(fd, name);
    linkIntoPlace(temporaryPath, name);
    return name;
  } catch (error) {
    releaseAfter(error, () => removeFile(temporaryPath));
  } finally {
    closeFile(fd, name);
  }
}
