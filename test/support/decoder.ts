/**
 * A second implementation of the file format, from the bytes of a file to its states and blobs. It was written from
 * docs/format.md alone, and imports nothing from the library, so that the two can be held against each other.
 * Offsets are numbers here, as the tables of that page print them.
 */

import { blake2b } from "@noble/hashes/blake2.js";
import { crc32 } from "node:zlib";

/** A file, or a blob in it, that the format does not allow; `cut`: only because the file is too short by now. */
export class Refused extends Error {
  readonly reason: "config" | "header" | "cut" | "blob";

  constructor(reason: Refused["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}

export interface FileConfig {
  readonly headString: string;
  readonly bytesPerCell: number;
  readonly maxIndex: number;
  readonly version: number;
}

export interface HeaderCopy {
  readonly hash: Uint8Array;
  readonly keyedHash: Uint8Array;
  readonly root: number;
  readonly next: number;
  readonly torn: boolean;
  readonly believed: boolean;
  /** It would be believed if the file were longer. */
  readonly pastEnd: boolean;
}

export interface AnnexHead {
  readonly processId: number;
  readonly isConfigIntact: boolean;
}

export interface CommitRecord {
  readonly base: number;
  readonly next: number;
  readonly root: number;
  readonly cellsCrc: number;
  readonly sequence: number;
  readonly truncations: number;
  readonly baseRoot: number;
  readonly valid: boolean;
}

/** A root, 0 for none, and a length in cells. */
export interface State {
  readonly root: number;
  readonly next: number;
}

/** What a reader shows: of which header, and how many truncations. */
export interface Shown extends State {
  readonly follows: "flushes" | "commits";
  readonly truncations: number;
}

export interface DecodedFile {
  readonly bytes: Uint8Array;
  readonly config: FileConfig;
  readonly startIndex: number;
  readonly fileCells: number;
  readonly disk: readonly HeaderCopy[];
  readonly process: readonly HeaderCopy[];
  /** Null: none, or one that does not count. */
  readonly annexHead: AnnexHead | null;
  readonly records: readonly CommitRecord[];
}

const FIRST_BYTES = 256;
const FOOTER_BYTES = 6;
const MAX_CHUNK_BYTES = 65535;
const MAGIC = "434c5231";

/** @throws Refused a config that cannot be, or that its guard says is damaged */
export function decode(bytes: Uint8Array): DecodedFile {
  if (bytes.length < FIRST_BYTES) throw new Refused("config", `${bytes.length} bytes are less than the first 256`);
  const config = configOf(bytes);
  const { bytesPerCell, maxIndex } = config;
  const startIndex = Math.ceil(FIRST_BYTES / bytesPerCell);
  const fileCells = Math.floor(bytes.length / bytesPerCell);
  const isPossible = bytesPerCell >= 4 && bytesPerCell <= 65535 && startIndex <= Math.min(maxIndex, fileCells);
  if (!isPossible) throw new Refused("config", `${JSON.stringify(config)} in a file of ${bytes.length} bytes`);
  const annexHead = annexHeadOf(bytes);
  if (annexHead?.isConfigIntact === false) throw new Refused("config", "the config is not what its guard says");
  const copyAt = (offset: number): HeaderCopy => {
    return headerOf(bytes.subarray(offset, offset + 32), startIndex, maxIndex, fileCells);
  };
  return {
    bytes,
    config,
    startIndex,
    fileCells,
    disk: [copyAt(32), copyAt(64)],
    process: [copyAt(96), copyAt(128)],
    annexHead,
    records: [recordOf(bytes.subarray(192, 224)), recordOf(bytes.subarray(224, 256))],
  };
}

/**
 * What a reader shows that opens a file which no writer holds.
 * @param keyed it was given the key of the process-sync header
 * @throws Refused no disk-sync copy is believed
 */
export function readerState(file: DecodedFile, wanted: Shown["follows"], keyed = false): Shown {
  const disk = flushOf(file);
  const process = believedOf(file.process);
  const isCurrent = (header: State): boolean =>
    header.next >= disk.next &&
    (same(header, disk) ||
      (keyed && isStoredByPlebeia(file, header)) ||
      file.records.some((record) => same(record, header) && isWhole(file, record, disk)));
  const committed = wanted === "commits" && process !== null && isCurrent(process) ? process : null;
  const { root, next } = committed ?? disk;
  const [newest] = newestFirst(file);
  const isUnderWay = newest !== undefined && newest.truncations % 2 === 1;
  const isAfter = isUnderWay && next <= newest.next;
  const truncations = Math.floor((newest?.truncations ?? 0) / 2) + (isAfter ? 1 : 0);
  return { root, next, follows: committed === null ? "flushes" : "commits", truncations };
}

/**
 * The state at which a writer opens.
 * @throws Refused no disk-sync copy is believed
 */
export function writerState(file: DecodedFile): State & { readonly state: FoundState } {
  const disk = flushOf(file);
  const process = believedOf(file.process);
  if (process !== null && same(process, disk)) return { state: "clean", ...disk };
  const record = newestThatCounts(file, disk, process);
  const { root, next } = record ?? disk;
  const state = record === null ? "resumedAtFlush" : "resumedAtCommit";
  return { state, root, next: Math.max(next, process?.next ?? 0) };
}

/** The valid records, the latest commit's first. */
export function newestFirst({ records }: DecodedFile): CommitRecord[] {
  const valid = records.filter((record) => record.valid);
  const [a, b] = valid;
  const ahead = a === undefined || b === undefined ? 1 : (a.sequence - b.sequence) >>> 0;
  return ahead >= 1 && ahead < 2 ** 31 ? valid : valid.reverse();
}

/** Whether the copy was written with this key. */
export function hasKey(bytes: Uint8Array, offset: number, writerKey: Uint8Array): boolean {
  const copy = bytes.subarray(offset, offset + 32);
  return sameBytes(copy.subarray(12, 24), hash(Buffer.concat([writerKey, copy.subarray(24)])));
}

/**
 * The blob of an index, in a storage of `next` cells.
 * @throws Refused no blob ends there
 */
export function blobAt({ bytes, config, startIndex }: DecodedFile, index: number, next: number): Uint8Array {
  const { bytesPerCell } = config;
  const view = viewOf(bytes);
  const pieces: Uint8Array[] = [];
  if (!(startIndex <= index && index < next)) throw new Refused("blob", `index ${index} is none of data`);
  for (let last = index; ;) {
    const footer = (last + 1) * bytesPerCell - FOOTER_BYTES;
    const [size, previous] = [view.getUint16(footer, true), view.getUint32(footer + 2, true)];
    const first = last + 1 - Math.ceil((size + FOOTER_BYTES) / bytesPerCell);
    const previousHolds = previous === 0 || (startIndex <= previous && previous < first);
    const isFull = pieces.length === 0 ? size > 0 || previous === 0 : size === MAX_CHUNK_BYTES;
    if (first < startIndex || !previousHolds || !isFull) throw new Refused("blob", `no chunk ends at ${last}`);
    pieces.unshift(bytes.subarray(first * bytesPerCell, first * bytesPerCell + size));
    if (previous === 0) return Buffer.concat(pieces);
    last = previous;
  }
}

type FoundState = "clean" | "resumedAtCommit" | "resumedAtFlush";

/** @throws Refused no disk-sync copy is believed */
function flushOf({ disk }: DecodedFile): State {
  const flush = believedOf(disk);
  if (flush !== null) return flush;
  throw new Refused(
    disk.some(({ pastEnd }) => pastEnd) ? "cut" : "header",
    "no copy of the disk-sync header is believed",
  );
}

/** The newest record that counts, unless one of the flush itself is newer. */
function newestThatCounts(file: DecodedFile, disk: State, process: State | null): CommitRecord | null {
  for (const record of newestFirst(file)) {
    if (same(record, disk)) return null;
    const isAfterFlush = record.base === disk.next && record.baseRoot === disk.root && record.next > disk.next;
    const isCandidate = isAfterFlush || (process !== null && same(record, process));
    if (isCandidate && isWhole(file, record, disk)) return record;
  }
  return null;
}

/** Whether the flush and the CRC cover every cell of the record's state. */
function isWhole(file: DecodedFile, { base, next, root, cellsCrc, valid }: CommitRecord, disk: State): boolean {
  const { startIndex, fileCells } = file;
  const { bytesPerCell, maxIndex } = file.config;
  const rootHolds = root === 0 || (startIndex <= root && root < next);
  if (!valid || !rootHolds || next > Math.min(maxIndex, fileCells)) return false;
  if (base < startIndex || base > disk.next || disk.next > next) return false;
  return crc32(file.bytes.subarray(base * bytesPerCell, next * bytesPerCell)) === cellsCrc;
}

/** Whether the original has stored the process-sync header. */
function isStoredByPlebeia({ bytes, annexHead, records }: DecodedFile, process: State): boolean {
  if (bytes.subarray(160, 256).every((byte) => byte === 0)) return true;
  return annexHead?.processId === 0 && !records.some((record) => record.valid && same(record, process));
}

function same(a: State, b: State): boolean {
  return a.next === b.next && a.root === b.root;
}

function believedOf(copies: readonly HeaderCopy[]): State | null {
  const copy = copies.find(({ believed }) => believed);
  return copy === undefined ? null : { root: copy.root, next: copy.next };
}

function configOf(bytes: Uint8Array): FileConfig {
  const view = viewOf(bytes);
  return {
    headString: Buffer.from(bytes.subarray(0, 20)).toString("latin1").replace(/\0+$/, ""),
    bytesPerCell: view.getUint32(20, true),
    maxIndex: view.getUint32(24, true),
    version: view.getUint32(28, true),
  };
}

function headerOf(raw: Uint8Array, startIndex: number, maxIndex: number, fileCells: number): HeaderCopy {
  const [root, next] = [viewOf(raw).getUint32(24, true), viewOf(raw).getUint32(28, true)];
  const torn = !sameBytes(raw.subarray(0, 12), hash(raw.subarray(24, 32)));
  const rootHolds = root === 0 || (startIndex <= root && root < next);
  const possible = !torn && startIndex <= next && next <= maxIndex && rootHolds;
  const believed = possible && next <= fileCells;
  const pastEnd = possible && next > fileCells;
  return { hash: raw.slice(0, 12), keyedHash: raw.slice(12, 24), root, next, torn, believed, pastEnd };
}

function annexHeadOf(bytes: Uint8Array): AnnexHead | null {
  const raw = bytes.subarray(160, 192);
  if (raw.subarray(0, 4).toHex() !== MAGIC || !sameBytes(raw.subarray(20), hash(raw.subarray(0, 20)))) return null;
  const isConfigIntact = sameBytes(raw.subarray(8, 20), hash(bytes.subarray(0, 28)));
  return { processId: viewOf(raw).getUint32(4, true), isConfigIntact };
}

function recordOf(raw: Uint8Array): CommitRecord {
  const view = viewOf(raw);
  return {
    base: view.getUint32(0, true),
    next: view.getUint32(4, true),
    root: view.getUint32(8, true),
    cellsCrc: view.getUint32(12, true),
    sequence: view.getUint32(16, true),
    truncations: view.getUint32(20, true),
    baseRoot: view.getUint32(24, true),
    valid: view.getUint32(28, true) === crc32(raw.subarray(0, 28)),
  };
}

function hash(bytes: Uint8Array): Uint8Array {
  return blake2b(bytes, { dkLen: 12 });
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
