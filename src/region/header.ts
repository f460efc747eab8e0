/**
 * Loads the header area in order with later loads of cells.
 *
 * Load by libc's `memcpy`, never by `Atomics.load`: JSC's optimizing compiler turns that into an instruction that needs
 * a writable page, which kills the process on a reader's mapping (Bun 1.4.5, x64).
 */

import { libc } from "../os/libc.ts";

const barrier = new Int32Array(1);

/** Copies the first bytes of the memory at `address`. Later loads of cells return data that is at least as new. */
export function loadHeader(address: number, target: Uint8Array): void {
  libc().memcpy(target, address, target.byteLength);
  // A sequentially consistent read-modify-write: on arm64 too, no later load of a cell moves before the loads above.
  Atomics.add(barrier, 0, 0);
}
