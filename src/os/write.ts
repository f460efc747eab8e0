/** Writing to a file past its mapping: all of the bytes, or an error. */

import * as fs from "node:fs";
import { StorageError } from "../error.ts";
import { EFBIG, EIO, fsError, systemError } from "./errno.ts";

const ZERO_PIECE_BYTES = 1024 * 1024;

/**
 * Writes `bytes` at `offset`, all of them.
 * @returns false where the process may not write: past its limit of a file's size, although the file is that long
 * @throws DISK_FULL, SYSTEM; a part may have been written
 */
export function writeFile(fd: number, offset: number, bytes: Uint8Array, path: string): boolean {
  try {
    for (let done = 0; done < bytes.length;) {
      const written = fs.writeSync(fd, bytes, done, bytes.length - done, offset + done);
      done += checkProgress(written, path);
    }
    return true;
  } catch (thrown) {
    const error = fsError(thrown, path);
    if (error instanceof StorageError && error.errno === EFBIG) return false;
    throw error;
  }
}

/** Writes zeros over `[fromBytes, toBytes)`. @throws DISK_FULL, SYSTEM; a part may have been written */
export function writeZeros(fd: number, fromBytes: number, toBytes: number, path: string): void {
  const zeros = new Uint8Array(Math.min(ZERO_PIECE_BYTES, toBytes - fromBytes));
  for (let offset = fromBytes; offset < toBytes; offset += zeros.length) {
    const piece = zeros.subarray(0, Math.min(zeros.length, toBytes - offset));
    if (!writeFile(fd, offset, piece, path)) throw systemError(EFBIG, "write", path);
  }
}

/**
 * What a write answered, which for a file is never 0: without this a file system that does so would be asked for ever.
 * @throws SYSTEM
 */
export function checkProgress(writtenBytes: number, path: string): number {
  if (writtenBytes === 0) throw systemError(EIO, "write", path);
  return writtenBytes;
}
