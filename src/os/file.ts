/** Opens, measures, grows, writes and syncs files. Nothing here depends on the file format. */

import * as fs from "node:fs";
import { constants } from "node:os";
import { dirname, isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { StorageError, wrongType } from "../error.ts";
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, RLIMIT_FSIZE, SEEK_END } from "./constants.ts";
import { libcError, systemError, withFsErrors } from "./errno.ts";
import { libc } from "./libc.ts";
import { pageSizeBytes } from "./mapping.ts";
import { releaseAfter } from "./release.ts";

const { EAGAIN, EFBIG, ELOOP, EINTR, EIO, EOPNOTSUPP } = constants.errno;
const linux: boolean = process.platform === "linux";
/** The unit of `st_blocks`, whatever the block size of the file system is (stat(2)). */
const STAT_BLOCK_BYTES = 512;
/** The limit of the kernel: path_resolution(7). */
const MAX_LINKS = 40;
/** How long to wait for another program's lease of a file. The first try makes the kernel ask for its release. */
const LEASE_WAIT_MS = 1000;
const LEASE_POLL_MS = 10;
const ZERO_PIECE_BYTES = 1024 * 1024;

/** Identifies the file of a descriptor or a path by device and inode. */
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
  // Open it non-blocking, because opening a FIFO would wait for its other end. For a regular file the flag has no
  // effect.
  const flags = (access === "read" ? fs.constants.O_RDONLY : fs.constants.O_RDWR) | fs.constants.O_NONBLOCK;
  const fd = openAfterLease(path, flags | extraFlags);
  try {
    if (withFsErrors(path, () => fs.fstatSync(fd).isFile())) return fd;
    throw new StorageError("NOT_A_STORAGE", `${path}: not a regular file, so it cannot be a storage: check the path`, {
      path,
    });
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

/**
 * Opens a file; waits until another program has released its lease. While a program such as a file server has a lease
 * of the file, a non-blocking open fails.
 */
function openAfterLease(path: string, flags: number): number {
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

export function sizeOf(fd: number, path: string): number {
  return withFsErrors(path, () => fs.fstatSync(fd).size);
}

/**
 * Returns the file's size, faster than `sizeOf`. It moves the descriptor's position, from which `lockf` counts: call it
 * only with a descriptor that takes no such locks.
 */
export function seekEnd(fd: number, path: string): number {
  const sizeBytes = libc().lseek(fd, 0, SEEK_END);
  if (sizeBytes < 0) throw libcError("lseek", path);
  return sizeBytes;
}

/** The numbers that `fstat` returns for a file. */
interface FileStat {
  readonly sizeBytes: number;
  /** Bytes of the file's blocks on the disk. */
  readonly allocatedBytes: number;
  readonly permissions: number;
  /** The number of its names (hard links). */
  readonly links: number;
}

export function statOf(fd: number, path: string): FileStat {
  const { size, blocks, mode, nlink } = withFsErrors(path, () => fs.fstatSync(fd));
  return { sizeBytes: size, allocatedBytes: blocks * STAT_BLOCK_BYTES, permissions: mode & 0o777, links: nlink };
}

/**
 * Returns the first bytes of a file, fewer than `lengthBytes` if it is shorter. Reads by `pread`, so that no state of
 * the file causes a signal.
 */
export function readStart(fd: number, lengthBytes: number, path: string): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  return bytes.subarray(0, readStartInto(fd, bytes, path));
}

/** Reads the first bytes of a file into `target`. @returns how many bytes were read */
export function readStartInto(fd: number, target: Uint8Array, path: string): number {
  return withFsErrors(path, () => fs.readSync(fd, target, 0, target.length, 0));
}

export function closeFile(fd: number, path: string): void {
  withFsErrors(path, () => fs.closeSync(fd));
}

/**
 * Allocates the blocks of `[fromBytes, toBytes)`, so that no store into them can fail on a full disk. Then makes the
 * file at least `toBytes` long with one `ftruncate`, because plain `fallocate` may stop half-way and leave any size.
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
    // Free the blocks beyond the end that were allocated before the failure.
    resizeFile(fd, sizeBytes, path);
    throw error;
  }
}

/**
 * Frees the blocks of `[fromBytes, toBytes)` if the file system can, and drops the cached pages of the range. It then
 * reads as zeros, and must be allocated again before a store. Otherwise the bytes stay.
 */
export function punchHole(fd: number, fromBytes: number, toBytes: number, path: string): void {
  if (!linux) return;
  try {
    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, fromBytes, toBytes, path);
  } catch (error) {
    // On a full disk no hole is made, because the file's block map may need one more block. Ignore that.
    if (!(error instanceof StorageError && error.code === "DISK_FULL")) throw error;
  }
}

/** Syncs data, metadata and size. */
export function syncFile(fd: number, path: string): void {
  withFsErrors(path, () => fs.fsyncSync(fd));
}

/**
 * Opens the same file a second time. The kernel reports a failed write-back once to each open file description, so an
 * asynchronous sync through its own descriptor takes no error away from the synchronous sync. Returns null if the file
 * cannot be opened again.
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
      // There is no /proc, the file was renamed, or the flags are not supported: try the next name.
      if (!(error instanceof StorageError)) throw error;
    }
  }
  return null;
}

/** Returns false if the file system has no such call. Then only written zeros reserve disk space. */
function allocateBlocks(fd: number, fromBytes: number, toBytes: number, path: string): boolean {
  // Allocate whole pages: a store makes the kernel allocate all blocks of its page, and blocks may be smaller than a
  // page.
  const pageBytes = pageSizeBytes();
  const start = Math.floor(fromBytes / pageBytes) * pageBytes;
  return linux && fallocate(fd, FALLOC_FL_KEEP_SIZE, start, Math.ceil(toBytes / pageBytes) * pageBytes, path);
}

/** Returns false if the file system has no such call. */
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
 * Checks the process's file size limit. Past it, the kernel would send SIGXFSZ, which kills the process.
 * @throws DISK_FULL
 */
export function checkFileSizeLimit(sizeBytes: number, path: string): void {
  const limits = new BigUint64Array(2);
  if (libc().getrlimit(RLIMIT_FSIZE, limits) !== 0) throw libcError("getrlimit", path);
  if (sizeBytes > Number(limits[0])) throw systemError(EFBIG, "ftruncate", path);
}

/**
 * Writes all of `bytes` at `offset`.
 * @returns false if the range is past the process's file size limit; the file may be longer than the limit
 * @throws DISK_FULL, SYSTEM; a part may have been written
 */
export function writeFile(fd: number, offset: number, bytes: Uint8Array, path: string): boolean {
  for (let done = 0; done < bytes.length;) {
    const rest = done === 0 ? bytes : bytes.subarray(done);
    const written = libc().pwrite(fd, rest, rest.length, offset + done);
    if (written >= 0) {
      done += checkProgress(written, path);
      continue;
    }
    const error = libcError("pwrite", path);
    if (error.errno === EFBIG) return false;
    if (error.errno !== EINTR) throw error;
  }
  return true;
}

/** Writes zeros over `[fromBytes, toBytes)`. @throws DISK_FULL, SYSTEM; a part may have been written */
function writeZeros(fd: number, fromBytes: number, toBytes: number, path: string): void {
  const zeros = new Uint8Array(Math.min(ZERO_PIECE_BYTES, toBytes - fromBytes));
  for (let offset = fromBytes; offset < toBytes; offset += zeros.length) {
    const piece = zeros.subarray(0, Math.min(zeros.length, toBytes - offset));
    if (!writeFile(fd, offset, piece, path)) throw systemError(EFBIG, "write", path);
  }
}

/**
 * Returns the number of bytes that a write has written, after a check that it is not 0. A file system that returns 0
 * would make the caller's loop endless.
 * @throws SYSTEM
 */
export function checkProgress(writtenBytes: number, path: string): number {
  if (writtenBytes === 0) throw systemError(EIO, "write", path);
  return writtenBytes;
}

/**
 * Returns a file's path as text. The caller gave it as text or as a `file:` URL.
 * @throws TypeError it is neither, or has a zero byte
 */
export function pathFrom(given: string | URL): string {
  const path = given instanceof URL ? fileURLToPath(given) : given;
  if (typeof path !== "string" || path === "") throw wrongType("path", "a file's path or a file: URL", given);
  if (path.includes("\0")) throw wrongType("path", "a path without zero bytes", path);
  return path;
}

/**
 * Returns the path at which `open` with O_CREAT would create a file: the target of a dangling symbolic link, else the
 * path itself.
 */
export function creationPath(path: string): string {
  let place = path;
  for (let link = 0; link < MAX_LINKS; link++) {
    const target = linkTarget(place);
    if (target === null) return place;
    // Do not normalize it: the directory may be a link, and `..` is the parent of the link's target.
    place = isAbsolute(target) ? target : `${dirname(place)}/${target}`;
  }
  throw systemError(ELOOP, "open", path);
}

function linkTarget(path: string): string | null {
  const stat = withFsErrors(path, () => fs.lstatSync(path, { throwIfNoEntry: false }));
  return stat?.isSymbolicLink() ? withFsErrors(path, () => fs.readlinkSync(path)) : null;
}
