/** The checksums: BLAKE2b of the headers, with a digest length of 12 (a parameter, not a cut of a longer one), and CRC-32. */

import { blake2b } from "@noble/hashes/blake2.js";
import { HASH_BYTES } from "./layout.ts";

/** BLAKE2b-96 of `bytes`. */
export function hash96(bytes: Uint8Array): Uint8Array {
  return blake2b(bytes, { dkLen: HASH_BYTES });
}

/** BLAKE2b-96 of `key` followed by `bytes`: the original hashes the two as one string, it does not use BLAKE2's key. */
export function keyedHash96(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  return blake2b.create({ dkLen: HASH_BYTES }).update(key).update(bytes).digest();
}

/** CRC-32 of `bytes`, the one of zlib, going on from `crc`. (`node:zlib` has it too, and takes milliseconds to load.) */
export function crc32(bytes: Uint8Array, crc = 0): number {
  return Bun.hash.crc32(bytes, crc);
}

/** Whether two runs of bytes are the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
