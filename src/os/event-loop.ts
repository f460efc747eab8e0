/** Work that leaves the event loop free: yielding to it, and syncs on the thread pool. */

import * as fs from "node:fs";

/**
 * Resolves after timers, sockets and other pending work have run. Awaiting a promise that is already resolved gives
 * them no turn.
 */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** How long all work together may hold the event loop. */
const TURN_MS = 2;

let turnEndMs = 0;
let nextTurn: Promise<void> | undefined;

/**
 * For long work that is done in steps: resolves at once while this turn of the event loop is young, else in a later turn.
 * All such work shares a turn, so that many streams hold the loop no longer than one.
 */
export async function shareEventLoop(): Promise<void> {
  while (performance.now() >= turnEndMs) {
    nextTurn ??= yieldToEventLoop().then(() => {
      nextTurn = undefined;
      turnEndMs = performance.now() + TURN_MS;
    });
    await nextTurn;
  }
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
