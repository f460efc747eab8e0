/**
 * Writing again what a file shows, past the page cache. After a write-back that failed, pages in memory are clean
 * though the disk never got them; and on ext4 such a page, made dirty and synced again with success, can still be
 * lost: its blocks stay marked as unwritten, for the cached buffers are believed to be mapped already. A direct write
 * looks the blocks up anew, drops the cached page wherever it is mapped, and fails honestly.
 */

import * as fs from "node:fs";
import { StorageError } from "../error.ts";
import { EINVAL, EOPNOTSUPP, fsError, withFsErrors } from "./errno.ts";
import { reopenFile } from "./file.ts";
import { type Address, libc } from "./libc.ts";
import { Mapping, pageSizeBytes } from "./mapping.ts";

const PIECE_BYTES = 1024 * 1024;

/**
 * Writes `[fromBytes, toBytes)`, whole pages, from the memory at `address` that shows the file.
 * @returns false where the file system takes no direct writes, as one in memory
 * @throws DISK_FULL, SYSTEM the device failed
 */
export function rewriteDirect(fd: number, path: string, address: Address, fromBytes: number, toBytes: number): boolean {
  const direct = fs.constants.O_DIRECT === undefined ? null : reopenFile(fd, path, fs.constants.O_DIRECT);
  if (direct === null) return false;
  // Direct writes want memory that is aligned, and not the file's own pages.
  const buffer = Mapping.of("anonymous", -1, PIECE_BYTES, PIECE_BYTES, path);
  try {
    for (let offset = fromBytes; offset < toBytes;) {
      const lengthBytes = Math.min(PIECE_BYTES, toBytes - offset);
      libc().memcpy(buffer.address, address + offset, lengthBytes);
      const piece = buffer.view(0, lengthBytes, PIECE_BYTES);
      const written = fs.writeSync(direct, piece, 0, lengthBytes, offset);
      if (written === 0 || written % pageSizeBytes() !== 0) return false;
      offset += written;
    }
    return true;
  } catch (thrown) {
    const error = fsError(thrown, path);
    if (error instanceof StorageError && (error.errno === EINVAL || error.errno === EOPNOTSUPP)) return false;
    throw error;
  } finally {
    withFsErrors(path, () => fs.closeSync(direct));
    buffer.release();
  }
}
