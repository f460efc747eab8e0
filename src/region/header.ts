/**
 * Loads of the header area, such that they are in order with loads of cells.
 *
 * A load is a `memcpy` by libc, never `Atomics.load`: JSC's optimizing compiler makes of that an instruction that
 * needs a writable page, and on a reader's mapping the process dies (Bun 1.4.5, x64).
 */

import { libc } from "../os/libc.ts";

const barrier = new Int32Array(1);

/** Copies the first bytes of the memory at `address`. What is loaded from cells afterwards is at least as new. */
export function loadHeader(address: number, target: Uint8Array): void {
  libc().memcpy(target, address, target.byteLength);
  // A sequentially consistent read-modify-write: no load of a cell is done before the loads above, on arm64 either.
  Atomics.add(barrier, 0, 0);
}
