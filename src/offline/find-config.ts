/**
 * Finds the config of a file if one field of it is damaged. The annex has a hash of head string, cell size and max
 * index: values are tried until one matches the hash. A hash of 96 bits does not match a wrong value. No hash covers
 * the version.
 */

import { decodeAnnexHead } from "../format/annex-head.ts";
import { type CheckedConfig, checkConfig, decodeConfig } from "../format/config.ts";
import { hash96, sameBytes } from "../format/hash.ts";
import { ANNEX_HEAD, CONFIG, FILE, type Place } from "../format/layout.ts";

type Check = (bytes: Uint8Array) => boolean;

/**
 * Returns the config that matches the annex's hash. Returns null if there is no annex, or if the damage is larger than
 * the values tried: every cell size, the empty head string, the default max index, and all values of any two adjacent
 * bytes of head string and max index. This takes a few seconds.
 */
export function findConfig(area: Uint8Array): CheckedConfig | null {
  if (decodeAnnexHead(area) === null) return null;
  const hashOffset = FILE.annexHead.offset + ANNEX_HEAD.configHash.offset;
  const hash = area.subarray(hashOffset, hashOffset + ANNEX_HEAD.configHash.sizeBytes);
  const isConfirmed: Check = (bytes) => sameBytes(hash96(bytes.subarray(0, CONFIG.version.offset)), hash);
  const asItIs = area.slice(FILE.config.offset, FILE.config.offset + FILE.config.sizeBytes);
  const { headString, bytesPerCell, maxIndex } = CONFIG;
  for (const bytes of [asItIs, filled(asItIs, maxIndex, 0xff), filled(asItIs, headString, 0)]) {
    if (isConfirmed(bytes)) return checkConfig(decodeConfig(bytes));
  }
  // Only the lower two bytes of a cell size are not zero.
  const pairs: (readonly [bytes: Uint8Array, offset: number])[] = [
    [filled(asItIs, bytesPerCell, 0), bytesPerCell.offset],
  ];
  for (const { offset, sizeBytes } of [maxIndex, headString]) {
    for (let at = offset; at < offset + sizeBytes - 1; at++) pairs.push([asItIs.slice(), at]);
  }
  for (const [bytes, offset] of pairs) {
    if (tryPair(bytes, offset, isConfirmed)) return checkConfig(decodeConfig(bytes));
  }
  return null;
}

/** Returns a copy of the config in which all bytes of a field have one value. */
function filled(bytes: Uint8Array, { offset, sizeBytes }: Place, value: number): Uint8Array {
  return bytes.slice().fill(value, offset, offset + sizeBytes);
}

/** Tries all values of two bytes. Returns true if one matches; it then stays in `bytes`. */
function tryPair(bytes: Uint8Array, offset: number, isConfirmed: Check): boolean {
  for (let value = 0; value <= 0xffff; value++) {
    bytes[offset] = value & 0xff;
    bytes[offset + 1] = value >>> 8;
    if (isConfirmed(bytes)) return true;
  }
  return false;
}
