/**
 * Finds the config of a file in which one field of it is damaged. The annex has a hash of head string, cell size and max
 * index: values are tried until it confirms one. 96 bits confirm no wrong value. No hash covers the version.
 */

import { decodeAnnexHead } from "../format/annex.ts";
import { type CheckedConfig, checkConfig, decodeConfig } from "../format/config.ts";
import { hash96, sameBytes } from "../format/hash.ts";
import { ANNEX_HEAD, CONFIG, FILE, type Place } from "../format/layout.ts";

type Check = (bytes: Uint8Array) => boolean;

/**
 * The config that the annex confirms, or null: there is no annex, or more is damaged than is tried. Every cell size is
 * tried, the empty head string, the default max index, and any two neighbouring bytes of the last two: a few seconds.
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
  // Of a cell size only the lower two bytes are not zero.
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

/** A copy in which all bytes of a field are the same. */
function filled(bytes: Uint8Array, { offset, sizeBytes }: Place, value: number): Uint8Array {
  return bytes.slice().fill(value, offset, offset + sizeBytes);
}

/** Tries all values of two bytes; true with the confirmed ones in place. */
function tryPair(bytes: Uint8Array, offset: number, isConfirmed: Check): boolean {
  for (let value = 0; value <= 0xffff; value++) {
    bytes[offset] = value & 0xff;
    bytes[offset + 1] = value >>> 8;
    if (isConfirmed(bytes)) return true;
  }
  return false;
}
