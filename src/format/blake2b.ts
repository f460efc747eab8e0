/**
 * BLAKE2b of at most one block, 128 bytes, with a digest of 12 bytes (RFC 7693): the hash of every header.
 *
 * A commit computes two of these hashes, so this file and `blake2b-compress.ts` have a fast implementation of this one
 * case: one compression, whose counter is the length and whose block is the last. Files that are not open as storages
 * are checked with `@noble/hashes` instead, so that two implementations must agree on every header.
 */

import { compress } from "./blake2b-compress.ts";
import { HASH_BYTES } from "./layout.ts";

const BLOCK_BYTES = 128;
const ROUNDS = 12;
/** The parameter block's first word: fanout 1, depth 1, no key, the digest's length (RFC 7693, section 2.5). */
const PARAMETERS: number = 0x01010000 | HASH_BYTES;
/** The message words of each round, in the order in which its mixes take them (section 2.7). */
const SIGMA: readonly (readonly number[])[] = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];
/**
 * The positions of those words in the message, counted in 32-bit halves: 16 for each round. The last two rounds use the
 * orders of the first two again.
 */
const places: Uint8Array = Uint8Array.from({ length: ROUNDS * 16 }, (_, i) => {
  return 2 * (SIGMA[Math.floor(i / 16) % SIGMA.length]?.[i % 16] ?? 0);
});

// Shared by all calls, because calls never nest.
const message: Int32Array = new Int32Array(BLOCK_BYTES / 4);
const messageBytes: Uint8Array = new Uint8Array(message.buffer);
const digest: Int32Array = new Int32Array(HASH_BYTES / 4);
const digestBytes: Uint8Array = new Uint8Array(digest.buffer);

/** BLAKE2b-96 of `first` followed by `second`, together at most 128 bytes. */
export function blake2bOneBlock(first: Uint8Array, second?: Uint8Array): Uint8Array<ArrayBuffer> {
  const hash = new Uint8Array(HASH_BYTES);
  storeBlake2b(hash, 0, first, second);
  return hash;
}

/** Computes the same hash, and stores it in `target` at `offset`. */
export function storeBlake2b(target: Uint8Array, offset: number, first: Uint8Array, second?: Uint8Array): void {
  message.fill(0);
  messageBytes.set(first);
  // Bytes that do not fit throw a RangeError here.
  if (second !== undefined) messageBytes.set(second, first.length);
  compress(message, first.length + (second?.length ?? 0), PARAMETERS, places, digest);
  target.set(digestBytes, offset);
}
