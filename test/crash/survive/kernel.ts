/** Calls of Linux that the tests need and the library does not. */

import { closeSync, fsyncSync, openSync } from "node:fs";
import { dlopen, FFIType } from "bun:ffi";

const { i32, u32, ptr } = FFIType;
const i64 = FFIType.i64_fast;

/** `_IOR('X', 125, u32)` of the file systems: shut down. */
const FS_IOC_SHUTDOWN = 0x8004587d;
/** Without writing the journal: what is not on the disk is lost. */
const SHUTDOWN_NOLOGFLUSH = 2;

/** Wait for what is under way, write, wait for that. */
const SYNC_FILE_RANGE_ALL = 1 | 2 | 4;

type Symbols = ReturnType<typeof load>;
let loaded: Symbols | undefined;

// ioctl is variadic; on x64 and arm64 Linux a fixed signature passes the same registers.
const load = () =>
  dlopen("libc.so.6", {
    /** `int ioctl(int fd, unsigned long request, void *argument)` */
    ioctl: { args: [i32, FFIType.u64_fast, ptr], returns: i32 },
    /** `int sync_file_range(int fd, off64_t offset, off64_t nbytes, unsigned int flags)` */
    sync_file_range: { args: [i32, i64, i64, u32], returns: i32 },
  }).symbols;

function symbols(): Symbols {
  loaded ??= load();
  return loaded;
}

/** A power cut for a mounted ext4 or XFS: it takes no more writes, and what it has not written is gone. */
export function cutPower(mountPoint: string): void {
  const fd = openSync(mountPoint, "r");
  try {
    const answer = symbols().ioctl(fd, FS_IOC_SHUTDOWN, new Uint32Array([SHUTDOWN_NOLOGFLUSH]));
    if (answer !== 0) throw new Error(`${mountPoint}: the file system cannot be shut down`);
  } finally {
    closeSync(fd);
  }
}

/** Makes durable which files there are in a folder. */
export function syncFolder(path: string): void {
  const fd = openSync(path, "r");
  fsyncSync(fd);
  closeSync(fd);
}

/** Writes the range back now, as the kernel may at any time. */
export function writeBack(fd: number, offset: number, lengthBytes: number): void {
  symbols().sync_file_range(fd, offset, lengthBytes, SYNC_FILE_RANGE_ALL);
}
