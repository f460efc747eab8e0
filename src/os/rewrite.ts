/**
 * Writes the content of a file again, past the page cache. After a failed write-back, pages in memory are clean
 * although the disk never got them. On ext4 such a page can be lost even if it is made dirty and synced again with
 * success: its blocks stay marked as unwritten, because ext4 treats the cached buffers as already mapped. A direct
 * write looks the blocks up again, drops the cached page from all mappings, and reports every error.
 */

import * as fs from "node:fs";
import { constants } from "node:os";
import { StorageError } from "../error.ts";
import { dataFrom, holeFrom } from "./copy-data.ts";
import { fsError, systemError, withFsErrors } from "./errno.ts";
import { closeFile, reopenFile, writeFile } from "./file.ts";
import { isInMemory } from "./filesystem.ts";
import { Mapping, pageSizeBytes } from "./mapping.ts";
import { releaseAll } from "./release.ts";

const { EFBIG, EINVAL, EIO, EOPNOTSUPP } = constants.errno;

/**
 * The kernel caches files in folios of up to this many pages, each aligned to its size (MAX_XAS_ORDER in its
 * pagemap.h). A direct write drops whole folios. So a folio is read as a whole before any part of it is written;
 * otherwise data that the disk does not have would be lost.
 */
const MAX_FOLIO_PAGES = 2 ** 11;

/** A range of a piece, in bytes from its beginning. */
interface Range {
  readonly from: number;
  readonly to: number;
}

/**
 * Writes `[fromBytes, toBytes)` again as reads of the file return it; `fromBytes` is a multiple of the page size. A
 * hole stays a hole if its bytes in memory are zero. Check the bytes, because after a failed write-back the page of a
 * hole may hold data in memory.
 * @throws DISK_FULL, SYSTEM the device failed
 */
export function rewriteUncached(fd: number, path: string, fromBytes: number, toBytes: number): void {
  // On tmpfs there is no disk that could differ from memory.
  if (toBytes <= fromBytes || isInMemory(path)) return;
  // Direct writes need aligned memory that is not the file's own pages.
  const pieceBytes = MAX_FOLIO_PAGES * pageSizeBytes();
  const buffer = Mapping.of("anonymous", -1, pieceBytes, pieceBytes, path);
  let direct: number | null = null;
  try {
    if (fs.constants.O_DIRECT !== undefined) direct = reopenFile(fd, path, fs.constants.O_DIRECT);
    for (let offset = fromBytes; offset < toBytes;) {
      const end = Math.min(toBytes, (Math.floor(offset / pieceBytes) + 1) * pieceBytes);
      const piece = buffer.view(0, end - offset, pieceBytes);
      readAll(fd, path, piece, offset);
      for (const { from, to } of rangesOf(fd, path, piece, offset)) {
        writeRange({ fd, direct, path }, piece.subarray(from, to), offset + from);
      }
      offset = end;
    }
  } finally {
    releaseAll(
      () => buffer.release(),
      () => direct !== null && closeFile(direct, path),
    );
  }
}

/** Returns the ranges of a piece at `offset` that are written again, in whole pages: all but holes of zeros. */
function rangesOf(fd: number, path: string, piece: Uint8Array, offset: number): Range[] {
  const pageBytes = pageSizeBytes();
  const endBytes = offset + piece.length;
  const ranges: Range[] = [];
  for (let from = offset; from < endBytes;) {
    // Blocks may be smaller than pages, so that data begins and ends within one.
    const found = dataFrom({ fd, path }, from, endBytes);
    const data = found >= endBytes ? endBytes : Math.max(from, Math.floor(found / pageBytes) * pageBytes);
    const hole = { from: from - offset, to: data - offset };
    if (!isZero(piece.subarray(hole.from, hole.to))) ranges.push(hole);
    if (found >= endBytes) break;
    from = Math.min(endBytes, Math.ceil(holeFrom({ fd, path }, found, endBytes) / pageBytes) * pageBytes);
    ranges.push({ from: data - offset, to: from - offset });
  }
  return ranges;
}

/** Tests that the first byte is zero and each byte equals the one before it. */
function isZero(bytes: Uint8Array): boolean {
  return bytes.length === 0 || (bytes[0] === 0 && Buffer.compare(bytes.subarray(1), bytes.subarray(0, -1)) === 0);
}

/** Reads all of `piece`, by `pread`, so that a failing device causes an error and not a signal. */
function readAll(fd: number, path: string, piece: Uint8Array, offset: number): void {
  for (let done = 0; done < piece.length;) {
    const bytes = withFsErrors(path, () => fs.readSync(fd, piece, done, piece.length - done, offset + done));
    if (bytes === 0) throw systemError(EIO, "read", path);
    done += bytes;
  }
}

interface Target {
  readonly fd: number;
  /** A descriptor for direct writes, if there is one. */
  readonly direct: number | null;
  readonly path: string;
}

/** Writes whole pages directly if the file system can, and the rest through the page cache. */
function writeRange({ fd, direct, path }: Target, bytes: Uint8Array, offset: number): void {
  const wholeBytes = bytes.length - (bytes.length % pageSizeBytes());
  const isDirect = direct !== null && writeDirect(direct, bytes.subarray(0, wholeBytes), offset, path);
  // If a direct write stopped midway, write all of it here: its cached pages may have been dropped.
  const done = isDirect ? wholeBytes : 0;
  if (done === bytes.length) return;
  if (!writeFile(fd, offset + done, bytes.subarray(done), path)) throw systemError(EFBIG, "write", path);
}

/** Returns false if the file system does not support direct writes. */
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
