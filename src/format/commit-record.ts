/**
 * The two commit records of the annex, bytes 192 to 255 of the header area. Each holds the proof of a commit, and
 * counts the truncations. They are zero in files of Plebeia, which ignores them. A missing or torn record is not an
 * error: its values are then unknown.
 */

import { crc32 } from "./hash.ts";
import { COMMIT_RECORD, FILE, type Place } from "./layout.ts";

/** The values of a commit record whose own CRC matches. The CRC of its cells has not been compared yet. */
export interface CommitRecord {
  /** The first cell that the CRC covers: the length of the last flush that had returned. */
  readonly base: number;
  readonly next: number;
  readonly root: number;
  /** CRC-32 of the cells `[base, next)`. */
  readonly cellsCrc: number;
  /** Counts commits, modulo 2^32. */
  readonly sequence: number;
  /**
   * A sequence lock, modulo 2^32: twice the number of truncations so far, and odd while one is under way. A record with
   * an even count is stored before any cell is allocated again.
   */
  readonly truncations: number;
  /** The root of that last flush. With `base` it identifies the flush that this commit came after. */
  readonly baseRoot: number;
}

// Shared by all calls of `encodeCommitRecord`, because calls never nest.
const encoded: Uint8Array = new Uint8Array(FILE.commitRecord1.sizeBytes);
const encodedFields: DataView = new DataView(encoded.buffer);
const coveredByCrc: Uint8Array = encoded.subarray(0, COMMIT_RECORD.recordCrc.offset);

/** The 32 bytes of a commit record. */
export function encodeCommitRecord(record: CommitRecord): Uint8Array {
  encodedFields.setUint32(COMMIT_RECORD.base.offset, record.base, true);
  encodedFields.setUint32(COMMIT_RECORD.next.offset, record.next, true);
  encodedFields.setUint32(COMMIT_RECORD.root.offset, record.root, true);
  encodedFields.setUint32(COMMIT_RECORD.cellsCrc.offset, record.cellsCrc, true);
  encodedFields.setUint32(COMMIT_RECORD.sequence.offset, record.sequence, true);
  encodedFields.setUint32(COMMIT_RECORD.truncations.offset, record.truncations, true);
  encodedFields.setUint32(COMMIT_RECORD.baseRoot.offset, record.baseRoot, true);
  encodedFields.setUint32(COMMIT_RECORD.recordCrc.offset, crc32(coveredByCrc), true);
  return encoded.slice();
}

/** The commit record in 32 raw bytes, or null if its own CRC is wrong. */
export function decodeCommitRecord(raw: Uint8Array): CommitRecord | null {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const u32 = (place: Place): number => view.getUint32(place.offset, true);
  if (u32(COMMIT_RECORD.recordCrc) !== crc32(raw.subarray(0, COMMIT_RECORD.recordCrc.offset))) return null;
  return {
    base: u32(COMMIT_RECORD.base),
    next: u32(COMMIT_RECORD.next),
    root: u32(COMMIT_RECORD.root),
    cellsCrc: u32(COMMIT_RECORD.cellsCrc),
    sequence: u32(COMMIT_RECORD.sequence),
    truncations: u32(COMMIT_RECORD.truncations),
    baseRoot: u32(COMMIT_RECORD.baseRoot),
  };
}

/** The place of the record with a sequence number: odd numbers have the first place, even numbers the second. */
export function placeOfRecord(sequence: number): Place {
  return sequence % 2 === 1 ? FILE.commitRecord1 : FILE.commitRecord2;
}

/**
 * Returns how many truncations came before a state of `next` cells that is read together with these records, newest
 * first; null without a record. While a truncation is under way, the newest record holds the length after it. A longer
 * state came before the truncation; any other state keeps its cells.
 */
export function truncationsOf([newest]: readonly CommitRecord[], next: number): number | null {
  if (newest === undefined) return null;
  const isAfter = isTruncating(newest.truncations) && next <= newest.next;
  return doneTruncations(newest.truncations) + (isAfter ? 1 : 0);
}

/**
 * Tells whether no cell of a state was allocated again since {@link truncationsOf} returned its count. The odd values
 * of the lock before and after the count are accepted too: during a truncation no cell is allocated.
 */
export function keepsCells([newest]: readonly CommitRecord[], truncations: number | null): boolean {
  // If there is no record, Plebeia has truncated the storage and cleared the records.
  if (newest === undefined) return truncations === null;
  const first = 2 * (truncations ?? 0) - 1;
  return (newest.truncations - first) >>> 0 <= 2;
}

/** Tells whether a truncation is under way, by a record's count. */
export function isTruncating(counted: number): boolean {
  return counted % 2 === 1;
}

/** The number of completed truncations, by a record's count. */
export function doneTruncations(counted: number): number {
  return counted >>> 1;
}

/** Tells whether sequence `a` comes after `b`, also across the wrap at 2^32. */
export function isLater(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}
