/**
 * Writing again what a file shows, past the page cache. After a write-back that failed, pages in memory are clean
 * though the disk never got them; and on ext4 such a page, made dirty and synced again with success, can still be
 * lost: its blocks stay marked as unwritten, for the cached buffers are believed to be mapped already. A direct write
 * looks the blocks up anew, drops the cached page wherever it is mapped, and fails honestly.
 */

import * as fs from "node:fs";
import { StorageError } from "../error.ts";
import { EINVAL, EOPNOTSUPP, fsError } from "./errno.ts";
import { closeFile, reopenFile } from "./file.ts";
import { type Address, libc } from "./libc.ts";
import { Mapping, pageSizeBytes } from "./mapping.ts";
import { releaseAll } from "./release.ts";

/**
 * The kernel caches files in folios of up to this many pages, each aligned to its size (MAX_XAS_ORDER in its
 * pagemap.h). A direct write drops whole folios, so no piece may end inside one: what is behind it would be lost
 * before it is copied.
 */
const MAX_FOLIO_PAGES = 2 ** 11;

/**
 * Writes `[fromBytes, toBytes)`, whole pages, from the memory at `address` that shows the file.
 * @returns false where the file system takes no direct writes, as one in memory
 * @throws DISK_FULL, SYSTEM the device failed
 */
export function rewriteDirect(fd: number, path: string, address: Address, fromBytes: number, toBytes: number): boolean {
  if (fs.constants.O_DIRECT === undefined) return false;
  // Direct writes want memory that is aligned, and not the file's own pages.
  const pieceBytes = MAX_FOLIO_PAGES * pageSizeBytes();
  const buffer = Mapping.of("anonymous", -1, pieceBytes, pieceBytes, path);
  let direct: number | null = null;
  try {
    direct = reopenFile(fd, path, fs.constants.O_DIRECT);
    if (direct === null) return false;
    for (let offset = fromBytes; offset < toBytes;) {
      const end = Math.min(toBytes, (Math.floor(offset / pieceBytes) + 1) * pieceBytes);
      libc().memcpy(buffer.address, address + offset, end - offset);
      if (!writeDirect(direct, buffer.view(0, end - offset, pieceBytes), offset, path)) {
        // The cached pages may have been dropped all the same.
        libc().memcpy(address + offset, buffer.address, end - offset);
        return false;
      }
      offset = end;
    }
    return true;
  } finally {
    releaseAll(
      () => buffer.release(),
      () => direct !== null && closeFile(direct, path),
    );
  }
}

function writeDirect(fd: number, bytes: Uint8Array, offset: number, path: string): boolean {
  try {
    for (let done = 0; done < bytes.length;) {
      const written = fs.writeSync(fd, bytes, done, bytes.length - done, offset + done);
      if (written === 0 || written % pageSizeBytes() !== 0) return false;
      done += written;
    }
    return true;
  } catch (thrown) {
    const error = fsError(thrown, path);
    if (error instanceof StorageError && (error.errno === EINVAL || error.errno === EOPNOTSUPP)) return false;
    throw error;
  }
}
