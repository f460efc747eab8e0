/** The hash of the headers: BLAKE2b with a digest length of 12 (a parameter of the hash, not a cut of a longer one). */

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

/** Whether two runs of bytes are the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
