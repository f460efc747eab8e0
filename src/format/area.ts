/**
 * The header area, the first 256 bytes of a file. Decodes raw bytes to checked parts, and encodes the area of a file
 * that is complete when it appears. A torn part is null. A header must still be compared with the file's bounds.
 */

import { type AnnexHead, decodeAnnexHead, encodeAnnexHead } from "./annex-head.ts";
import { type CommitRecord, decodeCommitRecord, encodeCommitRecord, isLater, placeOfRecord } from "./commit-record.ts";
import { type CheckedConfig, decodeConfig, encodeConfig, type StorageConfig } from "./config.ts";
import {
  type Bounds,
  carriesKey,
  type CheckedHeader,
  checkHeader,
  decodeHeader,
  encodeHeader,
  type Header,
} from "./header.ts";
import { type Hash96, hash96 } from "./hash.ts";
import { FILE, HEADER_AREA_BYTES, type Place } from "./layout.ts";

/** A header copy, by its name in the layout. */
export type CopyName = "disk1" | "disk2" | "process1" | "process2";

export const diskCopies: readonly CopyName[] = ["disk1", "disk2"];
export const processCopies: readonly CopyName[] = ["process1", "process2"];

/** The sequences of the two records of a new file. Both are written, so that neither place reads as torn. */
const SEQUENCES = [1, 2];

/** A header area. Each part is decoded on access: a hash takes a microsecond, and readers use few parts. */
export class HeaderArea {
  readonly bytes: Uint8Array;
  readonly #hash: Hash96;
  readonly #copies = new Map<CopyName, Header | null>();
  #records: readonly CommitRecord[] | undefined;

  constructor(bytes: Uint8Array, hash: Hash96) {
    if (bytes.length !== HEADER_AREA_BYTES) {
      throw new RangeError(`a header area: expected ${HEADER_AREA_BYTES} bytes, got ${bytes.length}`);
    }
    this.bytes = bytes;
    this.#hash = hash;
  }

  /** The config as decoded; `checkConfig` checks it. */
  get config(): StorageConfig {
    return decodeConfig(this.bytes);
  }

  /** Null if the head is absent or torn. */
  get annexHead(): AnnexHead | null {
    return decodeAnnexHead(this.bytes, this.#hash);
  }

  /** Whether the annex is all zero, as in files of Plebeia. */
  get isAnnexBlank(): boolean {
    return this.bytes.subarray(FILE.annexHead.offset).every((byte) => byte === 0);
  }

  /** The commit records in the order of the file; null if a record's CRC is wrong. */
  get recordPlaces(): readonly [CommitRecord | null, CommitRecord | null] {
    return [decodeCommitRecord(this.bytesAt(FILE.commitRecord1)), decodeCommitRecord(this.bytesAt(FILE.commitRecord2))];
  }

  /** The commit records whose CRC matches, newest first. */
  get records(): readonly CommitRecord[] {
    return (this.#records ??= newestFirst(this.recordPlaces));
  }

  bytesAt({ offset, sizeBytes }: Place): Uint8Array {
    return this.bytes.subarray(offset, offset + sizeBytes);
  }

  /** Null if the copy is torn, or was never written. */
  copy(name: CopyName): Header | null {
    let header = this.#copies.get(name);
    if (header === undefined) {
      header = decodeHeader(this.bytesAt(FILE[name]), this.#hash);
      this.#copies.set(name, header);
    }
    return header;
  }

  /** Returns the first of the copies that is not torn and points inside the file, checked; null if there is none. */
  believed(names: readonly CopyName[], bounds: Bounds): CheckedHeader | null {
    for (const name of names) {
      const copy = this.copy(name);
      const header = copy === null ? null : checkHeader(copy, bounds);
      if (header !== null) return header;
    }
    return null;
  }

  /** Tells whether a process-sync copy was stored with this key. */
  carriesKey(writerKey: Uint8Array): boolean {
    return processCopies.some((name) => this.copy(name) !== null && carriesKey(this.bytesAt(FILE[name]), writerKey));
  }
}

/** Decodes the first 256 bytes of a file. */
export function decodeArea(bytes: Uint8Array, hash: Hash96 = hash96): HeaderArea {
  return new HeaderArea(bytes, hash);
}

/** Encodes the first 256 bytes of a file that was flushed at `header` and closed. */
export function encodeArea(config: CheckedConfig, header: Header, writerKey: Uint8Array): Uint8Array {
  const area = new Uint8Array(HEADER_AREA_BYTES);
  area.set(encodeConfig(config), FILE.config.offset);
  for (const name of diskCopies) area.set(encodeHeader(header, null), FILE[name].offset);
  for (const name of processCopies) area.set(encodeHeader(header, writerKey), FILE[name].offset);
  area.set(encodeAnnexHead(0, area), FILE.annexHead.offset);
  for (const sequence of SEQUENCES) {
    // The flush and the commit have the same length, so the CRC is that of zero bytes.
    const record = { ...header, base: header.next, baseRoot: header.root, cellsCrc: 0, sequence, truncations: 0 };
    area.set(encodeCommitRecord(record), placeOfRecord(sequence).offset);
  }
  return area;
}

function newestFirst([a, b]: readonly [CommitRecord | null, CommitRecord | null]): CommitRecord[] {
  if (a === null) return b === null ? [] : [b];
  if (b === null) return [a];
  return isLater(a.sequence, b.sequence) ? [a, b] : [b, a];
}
