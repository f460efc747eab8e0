/** A clock that all processes of the machine share: `performance.now()` counts from each one's own start. */

import { dlopen, FFIType } from "bun:ffi";

/** time.h, Linux */
const CLOCK_MONOTONIC = 1;

/** Makes a function that tells the time in microseconds. */
export function monotonicClock(): () => number {
  // int clock_gettime(clockid_t clockid, struct timespec *tp)
  const { symbols } = dlopen("libc.so.6", {
    clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
  });
  const time = new BigInt64Array(2);
  const words = new Uint32Array(time.buffer);
  return () => {
    symbols.clock_gettime(CLOCK_MONOTONIC, time);
    return (words[0] ?? 0) * 1e6 + (words[2] ?? 0) / 1e3;
  };
}
