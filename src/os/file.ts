/** Files: opening, sizes, blocks and syncs. Knows bytes, not what they mean. */

import * as fs from "node:fs";
import { dirname, isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { StorageError, wrongType } from "../error.ts";
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, RLIMIT_FSIZE } from "./constants.ts";
import {
  EAGAIN,
  EFBIG,
  ELOOP,
  EINTR,
  EIO,
  EOPNOTSUPP,
  fsError,
  libcError,
  systemError,
  withFsErrors,
} from "./errno.ts";
import { libc } from "./libc.ts";
import { pageSizeBytes } from "./mapping.ts";
import { releaseAfter } from "./release.ts";

const linux: boolean = process.platform === "linux";
/** `st_blocks` counts these, whatever the file system's own blocks are (stat(2)). */
const STAT_BLOCK_BYTES = 512;
/** As the kernel: path_resolution(7). */
const MAX_LINKS = 40;
/** How long to wait for another program to give up its lease of a file, which the first try asks it to do. */
const LEASE_WAIT_MS = 1000;
const LEASE_POLL_MS = 10;
const ZERO_PIECE_BYTES = 1024 * 1024;

/** Which file a descriptor or a path means, whatever its name. */
export function identityOf(target: number | string): string {
  const path = typeof target === "string" ? target : `descriptor ${target}`;
  const stat = withFsErrors(path, () =>
    typeof target === "number" ? fs.fstatSync(target, { bigint: true }) : fs.statSync(target, { bigint: true }),
  );
  return `${stat.dev}:${stat.ino}`;
}

/**
 * Opens an existing regular file.
 * @throws NO_SUCH_FILE, NOT_A_STORAGE (a directory, a device), SYSTEM
 */
export function openFile(path: string, access: "read" | "write", extraFlags = 0): number {
  // Non-blocking: opening a FIFO would wait for its other end. For a regular file the flag means nothing.
  const flags = (access === "read" ? fs.constants.O_RDONLY : fs.constants.O_RDWR) | fs.constants.O_NONBLOCK;
  const fd = openWithoutLease(path, flags | extraFlags);
  try {
    if (withFsErrors(path, () => fs.fstatSync(fd).isFile())) return fd;
    throw new StorageError("NOT_A_STORAGE", `${path}: not a regular file, so no storage: check the path`, { path });
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

/** Opens a file. While another program has a lease of it, as file servers have, a non-blocking open fails. */
function openWithoutLease(path: string, flags: number): number {
  const deadline = performance.now() + LEASE_WAIT_MS;
  for (;;) {
    try {
      return withFsErrors(path, () => fs.openSync(path, flags));
    } catch (error) {
      const isLeased = error instanceof StorageError && error.errno === EAGAIN;
      if (!isLeased || performance.now() >= deadline) throw error;
      Bun.sleepSync(LEASE_POLL_MS);
    }
  }
}

/** The file's size. */
export function sizeOf(fd: number, path: string): number {
  return withFsErrors(path, () => fs.fstatSync(fd).size);
}

/** A file as `fstat` shows it. */
export interface FileStat {
  readonly sizeBytes: number;
  /** Bytes of its blocks on the disk. */
  readonly allocatedBytes: number;
  readonly permissions: number;
  /** Its names. */
  readonly links: number;
}

export function statOf(fd: number, path: string): FileStat {
  const { size, blocks, mode, nlink } = withFsErrors(path, () => fs.fstatSync(fd));
  return { sizeBytes: size, allocatedBytes: blocks * STAT_BLOCK_BYTES, permissions: mode & 0o777, links: nlink };
}

/** The first bytes of a file, fewer than asked for if it is shorter. By `pread`, which no content can turn into a signal. */
export function readStart(fd: number, lengthBytes: number, path: string): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  return bytes.subarray(0, readStartInto(fd, bytes, path));
}

/** The same into `target`. @returns how many bytes the file had for it */
export function readStartInto(fd: number, target: Uint8Array, path: string): number {
  return withFsErrors(path, () => fs.readSync(fd, target, 0, target.length, 0));
}

export function closeFile(fd: number, path: string): void {
  withFsErrors(path, () => fs.closeSync(fd));
}

/**
 * Allocates the blocks of `[fromBytes, toBytes)`, so that no store into them can meet a full disk, then makes the
 * file at least `toBytes` long by one `ftruncate`: plain `fallocate` may stop half-way and leave any size.
 * @throws DISK_FULL no space, quota or file size limit left; the file is as long as it was
 */
export function growFile(fd: number, fromBytes: number, toBytes: number, path: string): void {
  const sizeBytes = sizeOf(fd, path);
  if (toBytes > sizeBytes) checkFileSizeLimit(toBytes, path);
  try {
    const allocated = allocateBlocks(fd, fromBytes, toBytes, path);
    if (toBytes > sizeBytes) resizeFile(fd, toBytes, path);
    if (!allocated) writeZeros(fd, fromBytes, toBytes, path);
  } catch (error) {
    // Returns the blocks beyond the end that were allocated before the failure.
    resizeFile(fd, sizeBytes, path);
    throw error;
  }
}

/**
 * Gives the blocks of `[fromBytes, toBytes)` back where the file system can, with whatever is cached of them dropped: the
 * range reads as zeros then, and has to be allocated again before a store. Elsewhere the bytes stay.
 */
export function punchHole(fd: number, fromBytes: number, toBytes: number, path: string): void {
  if (!linux) return;
  try {
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, fromBytes, toBytes, path);
  } catch (error) {
    // The file's map of its blocks may need one more, which a full disk does not have.
    if (!(error instanceof StorageError && error.code === "DISK_FULL")) throw error;
  }
}

/** Syncs data, metadata and size. */
export function syncFile(fd: number, path: string): void {
  withFsErrors(path, () => fs.fsyncSync(fd));
}

/**
 * A second, independent opening of the same file. The kernel reports a failed write-back once to each opening:
 * an asynchronous sync on one of its own takes no error away from the synchronous one. Null if it cannot be had.
 */
export function reopenFile(fd: number, path: string, extraFlags = 0): number | null {
  for (const name of linux ? [`/proc/self/fd/${fd}`, path] : [path]) {
    try {
      const again = openFile(name, "write", extraFlags);
      try {
        if (identityOf(again) === identityOf(fd)) return again;
      } catch (error) {
        releaseAfter(error, () => closeFile(again, path));
      }
      closeFile(again, path);
    } catch (error) {
      // No /proc, a renamed file, flags that are not supported: the next name, or none.
      if (!(error instanceof StorageError)) throw error;
    }
  }
  return null;
}

/** False if the file system has no such call: then only written zeros hold their place. */
function allocateBlocks(fd: number, fromBytes: number, toBytes: number, path: string): boolean {
  // Whole pages: a store makes the kernel allocate all blocks of its page, and they may be smaller than that.
  const pageBytes = pageSizeBytes();
  const start = Math.floor(fromBytes / pageBytes) * pageBytes;
  return linux && fallocate(fd, FALLOC_FL_KEEP_SIZE, start, Math.ceil(toBytes / pageBytes) * pageBytes, path);
}

/** True if done, false if the file system has no such call. */
function fallocate(fd: number, mode: number, fromBytes: number, toBytes: number, path: string): boolean {
  if (toBytes <= fromBytes) return true;
  while (libc().fallocate(fd, mode, fromBytes, toBytes - fromBytes) !== 0) {
    const error = libcError("fallocate", path);
    if (error.errno === EOPNOTSUPP) return false;
    if (error.errno !== EINTR) throw error;
  }
  return true;
}

function resizeFile(fd: number, sizeBytes: number, path: string): void {
  while (libc().ftruncate(fd, sizeBytes) !== 0) {
    const error = libcError("ftruncate", path);
    if (error.errno !== EINTR) throw error;
  }
}

/**
 * Past the limit of the process the kernel would send SIGXFSZ, which ends it.
 * @throws DISK_FULL
 */
export function checkFileSizeLimit(sizeBytes: number, path: string): void {
  const limits = new BigUint64Array(2);
  if (libc().getrlimit(RLIMIT_FSIZE, limits) !== 0) throw libcError("getrlimit", path);
  if (sizeBytes > Number(limits[0])) throw systemError(EFBIG, "ftruncate", path);
}

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

/**
 * A file's path as a caller gave it: text, or a `file:` URL.
 * @throws TypeError neither, or one with a zero byte
 */
export function pathFrom(given: string | URL): string {
  const path = given instanceof URL ? fileURLToPath(given) : given;
  if (typeof path !== "string" || path === "") throw wrongType("path", "a file's path or a file: URL", given);
  if (path.includes("\0")) throw wrongType("path", "a path without zero bytes", path);
  return path;
}

/**
 * The path at which `open` with O_CREAT would make a file: where a symbolic link to nothing points, else the path
 * itself.
 */
export function creationPath(path: string): string {
  let place = path;
  for (let link = 0; link < MAX_LINKS; link++) {
    const target = linkTarget(place);
    if (target === null) return place;
    // Not normalized: the directory may itself be a link, and `..` means the parent of what it points to.
    place = isAbsolute(target) ? target : `${dirname(place)}/${target}`;
  }
  throw systemError(ELOOP, "open", path);
}

function linkTarget(path: string): string | null {
  const stat = withFsErrors(path, () => fs.lstatSync(path, { throwIfNoEntry: false }));
  return stat?.isSymbolicLink() ? withFsErrors(path, () => fs.readlinkSync(path)) : null;
}
