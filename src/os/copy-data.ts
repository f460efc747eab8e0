/**
 * Copies the bytes of a file into an empty one. Holes stay holes, so the copy of a sparse file takes no more disk
 * space.
 */

import * as fs from "node:fs";
import { constants } from "node:os";
import { SEEK_DATA, SEEK_HOLE, SEEK_SET } from "./constants.ts";
import { libcError, systemError, withFsErrors } from "./errno.ts";
import { checkFileSizeLimit, sizeOf, writeFile } from "./file.ts";
import { libc } from "./libc.ts";

const { EFBIG, EINVAL, ENXIO } = constants.errno;
const PIECE_BYTES = 1024 * 1024;

interface Opened {
  readonly fd: number;
  readonly path: string;
}

/**
 * Makes the empty file `to` as long as `from`, with the same bytes.
 * @throws DISK_FULL, SYSTEM; a part may have been copied
 */
export function copyData(from: Opened, to: Opened): void {
  const sizeBytes = sizeOf(from.fd, from.path);
  checkFileSizeLimit(sizeBytes, to.path);
  withFsErrors(to.path, () => fs.ftruncateSync(to.fd, sizeBytes));
  const piece = new Uint8Array(Math.min(PIECE_BYTES, sizeBytes));
  for (let offset = dataFrom(from, 0, sizeBytes); offset < sizeBytes; offset = dataFrom(from, offset, sizeBytes)) {
    const end = holeFrom(from, offset, sizeBytes);
    while (offset < end) {
      const wanted = Math.min(piece.length, end - offset);
      const lengthBytes = withFsErrors(from.path, () => fs.readSync(from.fd, piece, 0, wanted, offset));
      // Another program has cut the file: the rest of the copy stays zero, as in a hole.
      if (lengthBytes === 0) return;
      if (!writeFile(to.fd, offset, piece.subarray(0, lengthBytes), to.path))
        throw systemError(EFBIG, "write", to.path);
      offset += lengthBytes;
    }
  }
}

/** Returns the offset of the next byte from `offset` on that is not in a hole, or the end. */
export function dataFrom(file: Opened, offset: number, endBytes: number): number {
  return seek(file, offset, SEEK_DATA, { [ENXIO]: endBytes, [EINVAL]: offset });
}

/** Returns the offset of the first byte after `offset` that is in a hole, or the end. */
export function holeFrom(file: Opened, offset: number, endBytes: number): number {
  return Math.min(endBytes, seek(file, offset, SEEK_HOLE, { [ENXIO]: endBytes, [EINVAL]: endBytes }));
}

/** Calls `lseek`. A file system that does not report holes answers EINVAL. */
function seek(
  { fd, path }: Opened,
  offset: number,
  whence: number,
  otherwise: Readonly<Record<number, number>>,
): number {
  const found = libc().lseek(fd, offset, whence);
  if (found !== -1) {
    // `lockf` counts from the descriptor's position, so that of a writer must stay at the beginning of the file.
    if (libc().lseek(fd, 0, SEEK_SET) !== 0) throw libcError("lseek", path);
    return found;
  }
  const error = libcError("lseek", path);
  const answer = otherwise[error.errno ?? 0];
  if (answer === undefined) throw error;
  return answer;
}
