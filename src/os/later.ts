/** Syncs that leave the event loop free. (`node:util` has `promisify`, and takes milliseconds to load.) */

import * as fs from "node:fs";

/** Resolves when everything written to the file, and its size, is on the disk. */
export function fsyncLater(fd: number): Promise<void> {
  return new Promise((resolve, reject) => fs.fsync(fd, (error) => (error ? reject(error) : resolve())));
}

/** The same without what is not needed to read the file again. */
export function fdatasyncLater(fd: number): Promise<void> {
  return new Promise((resolve, reject) => fs.fdatasync(fd, (error) => (error ? reject(error) : resolve())));
}
