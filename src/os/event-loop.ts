/** Yields to the event loop, and syncs on the thread pool, so that long work does not block the loop. */

import * as fs from "node:fs";

/**
 * Resolves after timers, sockets and other pending work have run. They do not run while resolved promises are awaited.
 */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The most time that all long operations together hold the event loop in one turn. */
const TURN_MS = 2;

let turnEndMs = 0;
let nextTurn: Promise<void> | undefined;

/**
 * Call it between the steps of long work: it resolves at once during the first `TURN_MS` of a turn of the event loop,
 * else in a later turn. All such work shares the turn, so that many streams hold the loop no longer than one stream.
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

/** Limits how much work of one kind is done at once. */
export class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Does the work when it has a slot. Work that waits is done in the order of the calls. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

// Not by `promisify`: loading `node:util` takes milliseconds.

/** Resolves when all data written to the file, and its size, is on the disk. */
export function fsyncLater(fd: number): Promise<void> {
  return new Promise((resolve, reject) => fs.fsync(fd, (error) => (error ? reject(error) : resolve())));
}

/** Syncs like `fsyncLater`, but without metadata that reading the file does not need. */
export function fdatasyncLater(fd: number): Promise<void> {
  return new Promise((resolve, reject) => fs.fdatasync(fd, (error) => (error ? reject(error) : resolve())));
}
