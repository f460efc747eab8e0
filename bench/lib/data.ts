/** The bytes that every contestant stores, from a seed: the same in every process and every run. */

import { crc32 } from "node:zlib";

const SEED = 0x5eed;

/** Makes uniform u32 numbers (mulberry32). */
export function randomNumbers(seed: number = SEED): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** Returns blob `i`. The bytes stay valid until the blob one pool further on is made. */
export type BlobAt = (i: number) => Uint8Array;

/** A few blobs are used again and again, so that making them costs next to nothing beside storing them. */
const POOL_BYTES = 16 * 1024 * 1024;
const MAX_POOL = 4096;

/** Random blobs of `sizeBytes` bytes, no two the same: each begins with its number. */
export function blobs(sizeBytes: number): BlobAt {
  const random = randomNumbers();
  const pool = Array.from({ length: Math.min(MAX_POOL, Math.floor(POOL_BYTES / sizeBytes)) }, () => {
    const words = Uint32Array.from({ length: Math.ceil(sizeBytes / 4) }, random);
    return new Uint8Array(words.buffer, 0, sizeBytes);
  });
  return (i) => {
    const blob = pool[i % pool.length];
    if (blob === undefined) throw new RangeError(`no blob ${i}`);
    blob[0] = i;
    blob[1] = i >>> 8;
    blob[2] = i >>> 16;
    blob[3] = i >>> 24;
    return blob;
  };
}

/** The numbers below `count` in a random order. */
export function shuffled(count: number): Uint32Array {
  const random = randomNumbers();
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random() % (i + 1);
    const kept = order[i] ?? 0;
    order[i] = order[j] ?? 0;
    order[j] = kept;
  }
  return order;
}

/** Tells whether two contestants saw the same bytes in the same order. */
export class Digest {
  #crc = 0;
  #lengthBytes = 0;

  add(bytes: Uint8Array): void {
    // Cut to its length: lmdb returns a longer buffer whose length it has set, and the CRC goes by the buffer.
    this.#crc = crc32(bytes.subarray(0, bytes.length), this.#crc);
    this.#lengthBytes += bytes.length;
  }

  toString(): string {
    return `${this.#lengthBytes} bytes, CRC-32 ${this.#crc.toString(16).padStart(8, "0")}`;
  }
}
