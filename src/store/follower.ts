/**
 * What a reader sees: the disk-sync header, or the process-sync header once it may be believed.
 * Takes no lock. A header that is torn or cannot be right is looked at again, and then left for the next time.
 */

import { decodeCommitRecords } from "../format/annex.ts";
import type { CheckedConfig } from "../format/config.ts";
import { type Bounds, carriesKey, type CheckedHeader, checkHeader, sameHeader } from "../format/header.ts";
import { COMMIT_RECORD, FILE, HEADER_BYTES, type Place, startIndexOf } from "../format/layout.ts";
import type { ReadableRegion } from "../region/region.ts";
import { loadWords } from "../region/words.ts";
import { cellsMatch } from "./proof.ts";
import { decide, decodeAt, firstBelievable, proofOf } from "./recover.ts";

/** Which header a reader goes by. */
export type Follows = "flushes" | "commits";

/** A store of a copy takes a fraction of a microsecond: one that is still torn after this many looks stays so. */
const MAX_LOOKS = 64;
const HEADER_WORDS = HEADER_BYTES / 4;
const truncationWords = [FILE.commitRecord1, FILE.commitRecord2].map(
  (place) => (place.offset + COMMIT_RECORD.truncations.offset) / 4,
);
const diskCopies = [FILE.disk1, FILE.disk2];
const processCopies = [FILE.process1, FILE.process2];

export class Follower {
  readonly #region: ReadableRegion;
  readonly #config: CheckedConfig;
  readonly #wanted: Follows;
  /** The words that were there at the last look: the watched copy's, then the two truncation counts. */
  readonly #seen = new Int32Array(HEADER_WORDS + truncationWords.length);
  #follows: Follows = "flushes";
  #header: CheckedHeader;
  #truncations = 0;

  /**
   * @param trusted the caller knows that the writer keeps the process-sync header current
   * @throws HEADER_BROKEN, TRUNCATED
   */
  constructor(region: ReadableRegion, config: CheckedConfig, wanted: Follows, trusted: boolean) {
    this.#region = region;
    this.#config = config;
    this.#wanted = wanted;
    const area = this.#firstLook();
    this.#header = decide(area, this.#bounds(), () => false, region.path).disk;
    if (wanted === "commits") this.#startAtCommit(area, trusted);
    this.#truncations = decodeCommitRecords(area)[0]?.truncations ?? 0;
    this.#remember(area, this.#watched(this.#wanted));
  }

  get header(): CheckedHeader {
    return this.#header;
  }

  get follows(): Follows {
    return this.#follows;
  }

  get truncations(): number {
    return this.#truncations;
  }

  /** Whether the process-sync header was written with this key. */
  carriesKey(writerKey: Uint8Array): boolean {
    const area = loadWords(this.#region.header);
    return processCopies.some((place) => decodeAt(area, place) !== null && carriesKey(slice(area, place), writerKey));
  }

  /** Goes by the process-sync header from the next refresh on. */
  followCommits(): Follower {
    return new Follower(this.#region, this.#config, "commits", true);
  }

  /** True if another state is visible than before. */
  refresh(): boolean {
    if (!this.#hasMoved()) return false;
    for (let look = 0; look < MAX_LOOKS; look++) {
      const area = loadWords(this.#region.header);
      const header = this.#currentHeader(area);
      if (header === "torn") continue;
      if (header === null) return false;
      this.#remember(area, this.#watched(this.#wanted));
      this.#follows = this.#wanted;
      const truncations = decodeCommitRecords(area)[0]?.truncations ?? this.#truncations;
      const news = !sameHeader(header, this.#header) || truncations !== this.#truncations;
      this.#header = header;
      this.#truncations = truncations;
      return news;
    }
    return false;
  }

  /** The header that counts now; null if it is not complete, or impossible. */
  #currentHeader(area: Uint8Array): CheckedHeader | "torn" | null {
    const places = this.#wanted === "commits" ? processCopies : diskCopies;
    const copies = places.map((place) => decodeAt(area, place));
    const [first, second] = copies;
    if (this.#wanted === "commits") {
      if (!first && !second) return "torn";
      return this.#believe(() => firstBelievable(copies, this.#bounds()));
    }
    if (!first || !second) return "torn";
    // A flush is acknowledged when both copies carry it.
    return sameHeader(first, second) ? this.#believe(() => checkHeader(first, this.#bounds())) : null;
  }

  /** A header that points past the end of the file: the file may have grown. */
  #believe(check: () => CheckedHeader | null): CheckedHeader | null {
    const header = check();
    if (header !== null) return header;
    this.#region.measure();
    return check();
  }

  /** The area at opening. Both disk-sync copies torn may mean that we looked while they were stored. */
  #firstLook(): Uint8Array {
    for (let look = 0; ; look++) {
      const area = loadWords(this.#region.header);
      const torn = diskCopies.every((place) => decodeAt(area, place) === null);
      const grown = this.#pointsPastEnd(area);
      if (grown) this.#region.measure();
      if ((!torn && !grown) || look === MAX_LOOKS) return area;
    }
  }

  #pointsPastEnd(area: Uint8Array): boolean {
    const { fileCells } = this.#bounds();
    return [...diskCopies, ...processCopies].some((place) => (decodeAt(area, place)?.next ?? 0) > fileCells);
  }

  /** Starts at the process-sync header if it is current, or proves itself; else stays at the flush until it moves. */
  #startAtCommit(area: Uint8Array, trusted: boolean): void {
    const disk = this.#header;
    const process = firstBelievable(
      processCopies.map((place) => decodeAt(area, place)),
      this.#bounds(),
    );
    if (process === null) return;
    const { bytesPerCell } = this.#config;
    const believed =
      this.#region.isWriterLive() ||
      (process.next >= disk.next &&
        (trusted ||
          sameHeader(process, disk) ||
          proofOf(area, process, disk, (record) => cellsMatch(this.#region, bytesPerCell, record)) !== null));
    if (!believed) return;
    this.#header = process;
    this.#follows = "commits";
  }

  #bounds(): Bounds {
    const { bytesPerCell, maxIndex } = this.#config;
    const fileCells = Math.floor(this.#region.sizeBytes / bytesPerCell);
    return { startIndex: startIndexOf(bytesPerCell), maxIndex, fileCells };
  }

  /** The copy that is stored last of those that must agree. */
  #watched(follows: Follows): Place {
    return follows === "commits" ? FILE.process1 : FILE.disk2;
  }

  #hasMoved(): boolean {
    const { header } = this.#region;
    const first = this.#watched(this.#wanted).offset / 4;
    for (let word = 0; word < HEADER_WORDS; word++) {
      if (Atomics.load(header, first + word) !== this.#seen[word]) return true;
    }
    return truncationWords.some((word, i) => Atomics.load(header, word) !== this.#seen[HEADER_WORDS + i]);
  }

  #remember(area: Uint8Array, watched: Place): void {
    const view = new DataView(area.buffer);
    for (let word = 0; word < HEADER_WORDS; word++) this.#seen[word] = view.getInt32(watched.offset + word * 4, true);
    truncationWords.forEach((word, i) => {
      this.#seen[HEADER_WORDS + i] = view.getInt32(word * 4, true);
    });
  }
}

function slice(area: Uint8Array, place: Place): Uint8Array {
  return area.subarray(place.offset, place.offset + place.sizeBytes);
}
