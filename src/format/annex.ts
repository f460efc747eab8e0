/**
 * The annex, bytes 160 to 255: Cellar's own part of the header area. It is zero in files of the original, which ignores
 * it. Its head names the writer and holds a hash of the config. Its two commit records hold the proof of a commit. A
 * missing or torn part is no error: its values are then unknown.
 */

import { crc32, type Hash96, hash96, sameBytes } from "./hash.ts";
import { ANNEX_HEAD, COMMIT_RECORD, CONFIG, FILE, type Place } from "./layout.ts";

const MAGIC: Uint8Array = new TextEncoder().encode("CLR1");

/** The values of the annex's head. */
export interface AnnexHead {
  /** The writer's process id, 0 after a clean close. */
  readonly processId: number;
  /** Whether head string, cell size and max index are still those that the file was made with. */
  readonly configHolds: boolean;
}

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

const end = (place: Place): number => place.offset + place.sizeBytes;
const slice = (raw: Uint8Array, place: Place): Uint8Array => raw.subarray(place.offset, end(place));
const viewOf = (raw: Uint8Array): DataView => new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
/** The config without the version, which may change. */
const fixedConfig = (area: Uint8Array): Uint8Array => area.subarray(0, CONFIG.version.offset);

/** Encodes the annex's head as 32 bytes. `area` is the header area, whose config is hashed. */
export function encodeAnnexHead(processId: number, area: Uint8Array): Uint8Array {
  const raw = new Uint8Array(FILE.annexHead.sizeBytes);
  raw.set(MAGIC, ANNEX_HEAD.magic.offset);
  viewOf(raw).setUint32(ANNEX_HEAD.processId.offset, processId, true);
  raw.set(hash96(fixedConfig(area)), ANNEX_HEAD.configHash.offset);
  raw.set(hash96(raw.subarray(0, ANNEX_HEAD.headHash.offset)), ANNEX_HEAD.headHash.offset);
  return raw;
}

/** Decodes the head in the header area; null if there is none or it is torn. */
export function decodeAnnexHead(area: Uint8Array, hash: Hash96 = hash96): AnnexHead | null {
  const raw = slice(area, FILE.annexHead);
  if (!sameBytes(slice(raw, ANNEX_HEAD.magic), MAGIC)) return null;
  if (!sameBytes(slice(raw, ANNEX_HEAD.headHash), hash(raw.subarray(0, ANNEX_HEAD.headHash.offset)))) return null;
  return {
    processId: viewOf(raw).getUint32(ANNEX_HEAD.processId.offset, true),
    configHolds: sameBytes(slice(raw, ANNEX_HEAD.configHash), hash(fixedConfig(area))),
  };
}

/** The 32 bytes of a commit record. */
export function encodeCommitRecord(record: CommitRecord): Uint8Array {
  const buffer = new ArrayBuffer(FILE.commitRecord1.sizeBytes);
  const raw = new Uint8Array(buffer);
  const view = new DataView(buffer);
  view.setUint32(COMMIT_RECORD.base.offset, record.base, true);
  view.setUint32(COMMIT_RECORD.next.offset, record.next, true);
  view.setUint32(COMMIT_RECORD.root.offset, record.root, true);
  view.setUint32(COMMIT_RECORD.cellsCrc.offset, record.cellsCrc, true);
  view.setUint32(COMMIT_RECORD.sequence.offset, record.sequence, true);
  view.setUint32(COMMIT_RECORD.truncations.offset, record.truncations, true);
  view.setUint32(COMMIT_RECORD.baseRoot.offset, record.baseRoot, true);
  view.setUint32(COMMIT_RECORD.recordCrc.offset, crc32(raw.subarray(0, COMMIT_RECORD.recordCrc.offset)), true);
  return raw;
}

/** The commit record in 32 raw bytes, or null if its own CRC is wrong. */
export function decodeCommitRecord(raw: Uint8Array): CommitRecord | null {
  const view = viewOf(raw);
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
 * Tells whether no cell of a state was allocated again since {@link truncationsOf} returned its count. The two
 * neighbouring values of the lock are accepted too.
 */
export function keepsCells([newest]: readonly CommitRecord[], truncations: number | null): boolean {
  // If the records are gone, a truncation by the original has cleared them.
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
