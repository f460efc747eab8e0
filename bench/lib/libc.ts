/** The calls of libc that the benchmark needs and Bun does not have. Linux only. */

import { dlopen, FFIType } from "bun:ffi";
import { closeSync, fdatasyncSync, openSync } from "node:fs";

/** time.h */
const CLOCK_MONOTONIC = 1;
/** fcntl.h */
const POSIX_FADV_DONTNEED = 4;

const { i32, i64_fast: i64, ptr } = FFIType;

function load() {
  return dlopen("libc.so.6", {
    // int clock_gettime(clockid_t clockid, struct timespec *tp)
    clock_gettime: { args: [i32, ptr], returns: i32 },
    // int posix_fadvise(int fd, off_t offset, off_t len, int advice)
    posix_fadvise: { args: [i32, i64, i64, i32], returns: i32 },
  }).symbols;
}

/** Makes a clock in microseconds that all processes share: `performance.now()` counts from each one's own start. */
export function sharedClock(): () => number {
  const { clock_gettime } = load();
  const time = new BigInt64Array(2);
  const words = new Uint32Array(time.buffer);
  return () => {
    clock_gettime(CLOCK_MONOTONIC, time);
    return (words[0] ?? 0) * 1e6 + (words[2] ?? 0) / 1e3;
  };
}

/** Syncs a file and drops its pages from memory, but for those that a process has mapped and touched. */
export function dropFromMemory(path: string): void {
  const fd = openSync(path, "r+");
  try {
    fdatasyncSync(fd);
    const error = load().posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (error !== 0) throw new Error(`posix_fadvise ${path}: errno ${error}`);
  } finally {
    closeSync(fd);
  }
}
