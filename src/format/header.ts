/**
 * A header copy: 32 bytes with the storage's length, its root, and their hash. Disk sync and process sync have two
 * copies each, of the same layout.
 *
 * Three steps of trust: raw bytes, a decoded header (its hash matches, so it is not torn), and a checked header (it
 * points inside the file). Only a checked header is used.
 */

import { type Hash96, hash96, keyedHash96, sameBytes, storeHash96 } from "./hash.ts";
import { HEADER, HEADER_BYTES, type Place, startIndexOf } from "./layout.ts";

/** A decoded header: the length in cells, and the root's index or 0. */
export interface Header {
  readonly next: number;
  readonly root: number;
}

declare const checked: unique symbol;
/** A header that {@link checkHeader} has accepted for the file. */
export type CheckedHeader = Header & { readonly [checked]: true };

/** The bounds that a header is compared with. */
export interface Bounds {
  readonly startIndex: number;
  readonly maxIndex: number;
  /** Whole cells in the file. */
  readonly fileCells: number;
}

/** The bounds of a file of this config and size. */
export function boundsOf(
  { bytesPerCell, maxIndex }: { readonly bytesPerCell: number; readonly maxIndex: number },
  sizeBytes: number,
): Bounds {
  return { startIndex: startIndexOf(bytesPerCell), maxIndex, fileCells: Math.floor(sizeBytes / bytesPerCell) };
}

const slice = (raw: Uint8Array, place: Place): Uint8Array => raw.subarray(place.offset, place.offset + place.sizeBytes);
const hashed = (raw: Uint8Array): Uint8Array => raw.subarray(HEADER.root.offset, HEADER_BYTES);

// The last bytes of a copy, which the hashes cover. Shared by all calls, because calls never nest.
const hashedBytes: Uint8Array = new Uint8Array(HEADER_BYTES - HEADER.root.offset);
const hashedFields: DataView = new DataView(hashedBytes.buffer);

/**
 * Encodes a header as 32 bytes. For process sync the second hash is made with the writer's key. For disk sync (`null`)
 * it is the first hash again, as in Plebeia.
 */
export function encodeHeader(header: Header, writerKey: Uint8Array | null): Uint8Array {
  const raw = new Uint8Array(HEADER_BYTES);
  storeHeader(raw, header, writerKey);
  return raw;
}

/** Encodes a header twice: for both copies, which are adjacent in the file. */
export function encodeHeaderTwice(header: Header, writerKey: Uint8Array | null): Uint8Array {
  const raw = new Uint8Array(2 * HEADER_BYTES);
  storeHeader(raw, header, writerKey);
  raw.copyWithin(HEADER_BYTES, 0, HEADER_BYTES);
  return raw;
}

function storeHeader(raw: Uint8Array, header: Header, writerKey: Uint8Array | null): void {
  hashedFields.setUint32(0, header.root, true);
  hashedFields.setUint32(HEADER.next.offset - HEADER.root.offset, header.next, true);
  raw.set(hashedBytes, HEADER.root.offset);
  storeHash96(raw, HEADER.hash.offset, hashedBytes, null);
  if (writerKey !== null) storeHash96(raw, HEADER.keyedHash.offset, hashedBytes, writerKey);
  else raw.copyWithin(HEADER.keyedHash.offset, HEADER.hash.offset, HEADER.keyedHash.offset);
}

/** Decodes the header in 32 raw bytes. Returns null if its hash is wrong: the copy is torn, or was never written. */
export function decodeHeader(raw: Uint8Array, hash: Hash96 = hash96): Header | null {
  if (!sameBytes(slice(raw, HEADER.hash), hash(hashed(raw)))) return null;
  const view = new DataView(raw.buffer, raw.byteOffset, HEADER_BYTES);
  return { root: view.getUint32(HEADER.root.offset, true), next: view.getUint32(HEADER.next.offset, true) };
}

/** Tells whether the copy in 32 raw bytes was written with this key. */
export function carriesKey(raw: Uint8Array, writerKey: Uint8Array): boolean {
  return sameBytes(slice(raw, HEADER.keyedHash), keyedHash96(writerKey, hashed(raw)));
}

/** Returns the header as checked if it points inside the file, else null. */
export function checkHeader(header: Header, bounds: Bounds): CheckedHeader | null {
  const { next, root } = header;
  if (next < bounds.startIndex || next > bounds.maxIndex || next > bounds.fileCells) return null;
  if (root !== 0 && (root < bounds.startIndex || root >= next)) return null;
  return header as CheckedHeader;
}

/** Tells whether two headers have the same values. */
export function sameHeader(a: Header, b: Header): boolean {
  return a.next === b.next && a.root === b.root;
}
