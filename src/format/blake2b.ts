/**
 * BLAKE2b of at most one block, 128 bytes, with a digest of 12 bytes (RFC 7693): the hash of every header.
 *
 * A commit computes two of these hashes, so this file has a fast implementation of this one case: one compression,
 * whose counter is the length and whose block is the last. JavaScript has no fast 64-bit integers, so each word is two
 * 32-bit halves, the low one first. Files that are not open as storages are checked with `@noble/hashes` instead, so
 * that two implementations must agree on every header.
 */

import { HASH_BYTES } from "./layout.ts";

const BLOCK_BYTES = 128;
const ROUNDS = 12;
/** The parameter block's first word: fanout 1, depth 1, no key, the digest's length (RFC 7693, section 2.5). */
const PARAMETERS: number = 0x01010000 | HASH_BYTES;
/** A sum of low halves that reaches this has a carry. */
const TWO_32 = 2 ** 32;

/** The initialization vector (section 2.6). */
const IV: Int32Array = Int32Array.of(
  ...[0xf3bcc908, 0x6a09e667, 0x84caa73b, 0xbb67ae85, 0xfe94f82b, 0x3c6ef372, 0x5f1d36f1, 0xa54ff53a],
  ...[0xade682d1, 0x510e527f, 0x2b3e6c1f, 0x9b05688c, 0xfb41bd6b, 0x1f83d9ab, 0x137e2179, 0x5be0cd19],
);

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
 * Where those words begin in the message, in halves: 16 for each round. The last two rounds are the first two again.
 */
const schedule: Uint8Array = Uint8Array.from({ length: ROUNDS * 16 }, (_, i) => {
  return 2 * (SIGMA[Math.floor(i / 16) % SIGMA.length]?.[i % 16] ?? 0);
});

// Shared by all calls, because calls never nest.
const message: Int32Array = new Int32Array(BLOCK_BYTES / 4);
const messageBytes: Uint8Array = new Uint8Array(message.buffer);
const v: Int32Array = new Int32Array(32);

/** BLAKE2b-96 of `first` followed by `second`, together at most 128 bytes. */
export function blake2bOneBlock(first: Uint8Array, second?: Uint8Array): Uint8Array<ArrayBuffer> {
  message.fill(0);
  messageBytes.set(first);
  // Bytes that do not fit throw a RangeError here.
  if (second !== undefined) messageBytes.set(second, first.length);
  compress(first.length + (second?.length ?? 0));
  const digest = new ArrayBuffer(HASH_BYTES);
  const halves = new Int32Array(digest);
  for (let i = 0; i < halves.length; i++) halves[i] = (IV[i] ?? 0) ^ word(i) ^ word(i + 16);
  halves[0] = (halves[0] ?? 0) ^ PARAMETERS;
  return new Uint8Array(digest);
}

/** The function F of section 3.2, for the last block, of which `lengthBytes` are message. */
function compress(lengthBytes: number): void {
  v.set(IV);
  v.set(IV, 16);
  v[0] = word(0) ^ PARAMETERS;
  v[24] = word(24) ^ lengthBytes;
  v[28] = ~word(28);
  v[29] = ~word(29);
  for (let i = 0; i < schedule.length; i += 16) {
    mix(0, 8, 16, 24, i);
    mix(2, 10, 18, 26, i + 2);
    mix(4, 12, 20, 28, i + 4);
    mix(6, 14, 22, 30, i + 6);
    mix(0, 10, 20, 30, i + 8);
    mix(2, 12, 22, 24, i + 10);
    mix(4, 14, 16, 26, i + 12);
    mix(6, 8, 18, 28, i + 14);
  }
}

/** The function G of section 3.1: mixes the words a, b, c and d with the message words at `step` of the schedule. */
function mix(a: number, b: number, c: number, d: number, step: number): void {
  const x = schedule[step] ?? 0;
  const y = schedule[step + 1] ?? 0;
  let al = word(a);
  let ah = word(a + 1);
  let bl = word(b);
  let bh = word(b + 1);
  let cl = word(c);
  let ch = word(c + 1);
  let dl = word(d);
  let dh = word(d + 1);
  // a = a + b + x
  let low = (al >>> 0) + (bl >>> 0) + (messageWord(x) >>> 0);
  ah = (ah + bh + messageWord(x + 1) + ((low / TWO_32) | 0)) | 0;
  al = low | 0;
  // d = (d ^ a) >>> 32: swaps the halves
  const swapped = dl ^ al;
  dl = dh ^ ah;
  dh = swapped;
  // c = c + d
  low = (cl >>> 0) + (dl >>> 0);
  ch = (ch + dh + ((low / TWO_32) | 0)) | 0;
  cl = low | 0;
  // b = (b ^ c) >>> 24
  let l = bl ^ cl;
  let h = bh ^ ch;
  bl = (l >>> 24) | (h << 8);
  bh = (h >>> 24) | (l << 8);
  // a = a + b + y
  low = (al >>> 0) + (bl >>> 0) + (messageWord(y) >>> 0);
  ah = (ah + bh + messageWord(y + 1) + ((low / TWO_32) | 0)) | 0;
  al = low | 0;
  // d = (d ^ a) >>> 16
  l = dl ^ al;
  h = dh ^ ah;
  dl = (l >>> 16) | (h << 16);
  dh = (h >>> 16) | (l << 16);
  // c = c + d
  low = (cl >>> 0) + (dl >>> 0);
  ch = (ch + dh + ((low / TWO_32) | 0)) | 0;
  cl = low | 0;
  // b = (b ^ c) >>> 63
  l = bl ^ cl;
  h = bh ^ ch;
  bl = (l << 1) | (h >>> 31);
  bh = (h << 1) | (l >>> 31);
  v[a] = al;
  v[a + 1] = ah;
  v[b] = bl;
  v[b + 1] = bh;
  v[c] = cl;
  v[c + 1] = ch;
  v[d] = dl;
  v[d + 1] = dh;
}

// The indices are always in range; the compiler inlines these functions.
function word(i: number): number {
  return v[i] ?? 0;
}
function messageWord(i: number): number {
  return message[i] ?? 0;
}
