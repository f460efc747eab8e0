/** The checksums: BLAKE2b-96 of the headers, whose digest length of 12 is a parameter of the hash, and CRC-32. */

import { blake2bOneBlock } from "./blake2b.ts";

/** BLAKE2b-96. What looks at files offline passes another implementation than the writers use. */
export type Hash96 = (bytes: Uint8Array) => Uint8Array;

/** BLAKE2b-96 of at most 128 bytes. */
export function hash96(bytes: Uint8Array): Uint8Array {
  return blake2bOneBlock(bytes);
}

/** BLAKE2b-96 of `key` followed by `bytes`: the original hashes the two as one string, it does not use BLAKE2's key. */
export function keyedHash96(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  return blake2bOneBlock(key, bytes);
}

/** CRC-32 of `bytes`, the one of zlib, going on from `crc`. (`node:zlib` has it too, and takes milliseconds to load.) */
export function crc32(bytes: Uint8Array, crc = 0): number {
  return Bun.hash.crc32(bytes, crc);
}

/** Whether two runs of bytes are the same. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
