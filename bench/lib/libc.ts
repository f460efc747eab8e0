/** The calls of libc that the benchmark needs and Bun does not have. Linux only. */

import { dlopen, FFIType } from "bun:ffi";
import { closeSync, fdatasyncSync, openSync } from "node:fs";

/** time.h */
const CLOCK_MONOTONIC = 1;
/** fcntl.h */
const POSIX_FADV_DONTNEED = 4;

const { i32, i64_fast: i64, ptr } = FFIType;

const declarations = {
  // int clock_gettime(clockid_t clockid, struct timespec *tp)
  clock_gettime: { args: [i32, ptr], returns: i32 },
  // int posix_fadvise(int fd, off_t offset, off_t len, int advice)
  posix_fadvise: { args: [i32, i64, i64, i32], returns: i32 },
} as const;

/** glibc's name, then musl's. */
const NAMES = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];

function load() {
  const causes: unknown[] = [];
  for (const name of NAMES) {
    try {
      return dlopen(name, declarations).symbols;
    } catch (cause) {
      causes.push(cause);
    }
  }
  throw new AggregateError(causes, `the benchmark runs on Linux: none of ${NAMES.join(", ")} could be loaded`);
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
