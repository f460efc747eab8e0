/** Keeping a file under another name, durably, before it is changed. */

import * as fs from "node:fs";
import { withFsErrors } from "../os/errno.ts";
import { syncFile } from "../os/file.ts";
import { NewFile } from "../os/new-file.ts";
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
  const { size, mode } = withFsErrors(path, () => fs.statSync(path));
  // Without its name until it is whole: a kill in the middle must not leave what looks like a copy.
  const file = NewFile.unnamed(name, size, mode);
  try {
    withFsErrors(name, () => fs.copyFileSync(path, file.openPath, fs.constants.COPYFILE_FICLONE));
    withFsErrors(name, () => fs.fchmodSync(file.fd, mode & 0o777));
    syncFile(file.fd, name);
    file.placeSync();
    return name;
  } catch (error) {
    releaseAfter(error, () => file.discard());
  } finally {
    file.close();
  }
}
