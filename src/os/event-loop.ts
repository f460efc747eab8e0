/** Work that leaves the event loop free: yielding to it, and syncs on the thread pool. */

import * as fs from "node:fs";

/**
 * Resolves after timers, sockets and other pending work have run. Awaiting a promise that is already resolved gives
 * them no turn.
 */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

// `promisify` would do as well, but loading `node:util` takes milliseconds.

/** Resolves when everything written to the file, and its size, is on the disk. */
export function fsyncLater(fd: number): Promise<void> {
  return new Promise((resolve, reject) => fs.fsync(fd, (error) => (error ? reject(error) : resolve())));
}

/** Syncs like `fsyncLater`, but without metadata that reading the file does not need. */
export function fdatasyncLater(fd: number): Promise<void> {
  return new Promise((resolve, reject) => fs.fdatasync(fd, (error) => (error ? reject(error) : resolve())));
}
