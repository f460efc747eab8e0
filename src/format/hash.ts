/**
 * The checksums: CRC-32, and BLAKE2b-96 for headers. The digest length of 12 bytes is a parameter of BLAKE2b, so this
 * is not a truncated hash.
 */

import { blake2bOneBlock, storeBlake2b } from "./blake2b.ts";

/** A BLAKE2b-96 function. Offline checks pass a second implementation. */
export type Hash96 = (bytes: Uint8Array) => Uint8Array;

/** BLAKE2b-96 of at most 128 bytes. */
export function hash96(bytes: Uint8Array): Uint8Array {
  return blake2bOneBlock(bytes);
}

/**
 * BLAKE2b-96 of `key` followed by `bytes`. As in Plebeia, both are hashed as one string; BLAKE2's own key is not used.
 */
export function keyedHash96(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  return blake2bOneBlock(key, bytes);
}

/** Stores `hash96` of bytes, or `keyedHash96` if there is a key, in `target` at `offset`. */
export function storeHash96(target: Uint8Array, offset: number, bytes: Uint8Array, key: Uint8Array | null): void {
  if (key === null) storeBlake2b(target, offset, bytes);
  else storeBlake2b(target, offset, key, bytes);
}

/** The CRC-32 of zlib over `bytes`, continued from `crc`. (`node:zlib` has it too, but takes milliseconds to load.) */
export function crc32(bytes: Uint8Array, crc = 0): number {
  return Bun.hash.crc32(bytes, crc);
}

/** Tells whether two byte arrays are equal. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
