/**
 * What a reader sees: the disk-sync header, or the process-sync header once it may be believed.
 * Takes no lock. A header that is torn or cannot be right is looked at again, and then left for the next time.
 */

import { RESTORE, StorageError } from "../error.ts";
import {
  type CommitRecord,
  decodeAnnexHead,
  decodeCommitRecords,
  isAnnexBlank,
  truncationsOf,
} from "../format/annex.ts";
import type { CheckedConfig } from "../format/config.ts";
import { type Bounds, type CheckedHeader, checkHeader, sameHeader } from "../format/header.ts";
import { sameBytes } from "../format/hash.ts";
import {
  COMMIT_RECORD,
  CONFIG,
  FILE,
  HEADER_AREA_BYTES,
  HEADER_BYTES,
  type Place,
  startIndexOf,
} from "../format/layout.ts";
import type { ReadableRegion } from "../region/region.ts";
import { loadHeader } from "../region/header.ts";
import { cellsMatch } from "./commit-checksum.ts";
import { decodeAt, diskHeader, firstBelievable, isProven, loadArea } from "./choose-state.ts";
import { otherStorage } from "./failure.ts";

/** A store of a copy takes a fraction of a microsecond: one that is still torn after this many looks stays so. */
const MAX_LOOKS = 64;
const HEADER_WORDS = HEADER_BYTES / 4;
const VERSION_WORD = (FILE.config.offset + CONFIG.version.offset) / 4;
/** Words of the header area that count apart from headers: the version, and the counts of truncations. */
const watchedWords: readonly number[] = [
  VERSION_WORD,
  ...[FILE.commitRecord1, FILE.commitRecord2].map(({ offset }) => (offset + COMMIT_RECORD.truncations.offset) / 4),
];
const AREA_WORDS = HEADER_AREA_BYTES / 4;
const diskCopies = [FILE.disk1, FILE.disk2];
const processCopies = [FILE.process1, FILE.process2];

/** Which header a reader goes by. */
export type Follows = "flushes" | "commits";

/** A header that counts now, and what it is. */
type Current = readonly [header: CheckedHeader, is: Follows];

export class Follower {
  readonly #region: ReadableRegion;
  readonly #config: CheckedConfig;
  #wanted: Follows;
  /** The header area, in words, at the last look that chose what is shown. */
  readonly #seen = new Int32Array(AREA_WORDS);
  /** The header area as it is now, and as bytes. */
  readonly #now = new Int32Array(AREA_WORDS);
  readonly #nowBytes = new Uint8Array(this.#now.buffer);
  /** The config without its version, as the file had it at opening. */
  readonly #fixedConfig: Uint8Array;
  #follows: Follows = "flushes";
  #header: CheckedHeader;
  /** The count that belongs to it, as the annex told at the last look; and the last count that was told. */
  #told: number | null = null;
  #truncations = 0;

  /**
   * @param trusted the caller knows that the writer keeps the process-sync header current
   * @throws HEADER_BROKEN, FILE_CUT
   */
  constructor(region: ReadableRegion, config: CheckedConfig, wanted: Follows, trusted: boolean) {
    this.#region = region;
    this.#config = config;
    this.#wanted = wanted;
    // Asked before the header is loaded, which is current then; asked after, it may be what the writer recovered from.
    const live = wanted === "commits" && region.isWriterLive();
    const area = this.#firstLook();
    this.#fixedConfig = area.slice(0, CONFIG.version.offset);
    this.#header = diskHeader(area, this.#bounds(), region.path);
    const process = wanted === "commits" ? this.#believable(area, processCopies) : null;
    if (process !== null && this.#isCurrent(area, process, this.#header, trusted, live)) {
      this.#header = process;
      this.#follows = "commits";
    }
    this.#seen.set(new Int32Array(area.buffer));
    this.#countTruncations(area);
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

  /** The application's version, at the last look. */
  get version(): number {
    return (this.#seen[VERSION_WORD] ?? 0) >>> 0;
  }

  /** The same, but null if the annex does not tell it: see `keepsCells`. */
  get toldTruncations(): number | null {
    return this.#told;
  }

  /** Goes by the process-sync header from the next refresh on; the caller knows that its writer keeps it current. */
  followCommits(): void {
    const wentByFlushes = this.#wanted === "flushes";
    this.#wanted = "commits";
    const live = this.#region.isWriterLive();
    const area = loadArea(this.#region);
    this.#region.measure();
    const process = this.#believable(area, processCopies);
    // Not what is shown: that may be of long ago.
    const disk = this.#believable(area, diskCopies) ?? this.#header;
    const first = FILE.process1.offset / 4;
    if (process !== null && this.#isCurrent(area, process, disk, true, live)) {
      // Unlike any copy: the next refresh looks.
      this.#seen.fill(-1, first, first + HEADER_WORDS);
      this.#follows = "commits";
    }
    // One that is older, or lost its cells, is what a power cut left: it counts when it moves. Who waits already knows.
    else if (wentByFlushes) this.#seen.set(new Int32Array(area.buffer, FILE.process1.offset, HEADER_WORDS), first);
  }

  /** The cells of the header that the file still has. */
  get readableCells(): number {
    return Math.min(this.#header.next, this.#bounds().fileCells);
  }

  /** Whether the file has become shorter than what is visible: its header in memory may be gone too. */
  wasCut(): boolean {
    this.#region.measure();
    return this.readableCells < this.#header.next;
  }

  /** Whether the header in memory differs from what was last looked at. */
  hasMoved(): boolean {
    loadHeader(this.#region.address, this.#nowBytes);
    if (this.#wanted === "commits" && this.#copyMoved(FILE.process1, this.#now)) return true;
    if (this.#follows === "flushes" && this.#copyMoved(FILE.disk2, this.#now)) return true;
    return watchedWords.some((word) => this.#now[word] !== this.#seen[word]);
  }

  /**
   * After `hasMoved` or `wasCut`: true if another state is visible than before.
   * @throws FILE_CUT the file has become shorter than the state that was visible; FILE_CHANGED it is another storage
   */
  refresh(): boolean {
    if (this.wasCut()) {
      const { path } = this.#region;
      const message = `${path}: the file was cut to ${this.readableCells} of ${this.#header.next} cells by another program: ${RESTORE}`;
      throw new StorageError("FILE_CUT", message, { path });
    }
    for (let look = 0; look < MAX_LOOKS; look++) {
      const area = loadArea(this.#region);
      // After the header: a file that has grown for it has done so before.
      this.#region.measure();
      if (!sameBytes(area.subarray(0, this.#fixedConfig.length), this.#fixedConfig)) {
        throw otherStorage(this.#region.path);
      }
      const current = this.#current(area, look === MAX_LOOKS - 1);
      if (current === "torn") continue;
      if (current === null) return false;
      const before = { header: this.#header, truncations: this.truncations };
      const [header, is] = current;
      this.#header = header;
      this.#follows = is;
      this.#seen.set(new Int32Array(area.buffer));
      this.#countTruncations(area);
      return !sameHeader(header, before.header) || this.truncations !== before.truncations;
    }
    return false;
  }

  /** The header that counts now; null if it is impossible. */
  #current(area: Uint8Array, isLastLook: boolean): Current | "torn" | null {
    const words = new Int32Array(area.buffer);
    // Copy 1 is stored first. To who waits for it copy 2 says nothing: it may be what a power cut left.
    if (this.#follows === "commits") return this.#firstOf(processCopies, area, "commits");
    if (this.#wanted === "commits" && this.#copyMoved(FILE.process1, words)) {
      const first = this.#firstOf([FILE.process1], area, "commits");
      if (first !== null && !(first === "torn" && isLastLook)) return first;
      // A kill has torn it, or nothing that fits the file is in it: flushes count until it changes again.
    }
    // What is shown stands while disk-sync copy 2 and the count do: at opening it may have been a newer copy 1.
    const isCounted = truncationsOf(area, this.#header.next) === this.#told;
    if (isCounted && !this.#copyMoved(FILE.disk2, words)) return [this.#header, "flushes"];
    // Copy 2 is stored when a flush has returned, and is then the last that has; copy 1 may be of a flush under way, or of
    // one that was overtaken.
    return this.#firstOf([FILE.disk2, FILE.disk1], area, "flushes");
  }

  /** The first copy that is not torn; one that is impossible leaves it to the next of process sync only. */
  #firstOf(places: readonly Place[], area: Uint8Array, is: Follows): Current | "torn" | null {
    let torn = true;
    for (const place of places) {
      const copy = decodeAt(area, place);
      if (copy === null) continue;
      torn = false;
      const header = checkHeader(copy, this.#bounds());
      if (header !== null) return [header, is];
      if (is === "flushes") return null;
    }
    return torn ? "torn" : null;
  }

  /** The area at opening. Both disk-sync copies torn may mean that we looked while they were stored. */
  #firstLook(): Uint8Array {
    for (let look = 0; ; look++) {
      const area = loadArea(this.#region);
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

  #believable(area: Uint8Array, places: readonly Place[]): CheckedHeader | null {
    return firstBelievable(
      places.map((place) => decodeAt(area, place)),
      this.#bounds(),
    );
  }

  /** Whether the process-sync header may be believed before it has moved: it is kept current, or proves itself. */
  #isCurrent(area: Uint8Array, process: CheckedHeader, disk: CheckedHeader, trusted: boolean, live: boolean): boolean {
    if (live) return true;
    if (process.next < disk.next) return false;
    if (sameHeader(process, disk) || (trusted && isOriginals(area, process))) return true;
    const { bytesPerCell } = this.#config;
    const matches = (record: CommitRecord): boolean => cellsMatch(this.#region, bytesPerCell, record);
    return isProven(area, this.#bounds(), { process, disk }, matches);
  }

  #bounds(): Bounds {
    const { bytesPerCell, maxIndex } = this.#config;
    const fileCells = Math.floor(this.#region.sizeBytes / bytesPerCell);
    return { startIndex: startIndexOf(bytesPerCell), maxIndex, fileCells };
  }

  /** Whether a copy is no longer what it was at the last look; of the header area, in words. */
  #copyMoved({ offset }: Place, area: Int32Array): boolean {
    const first = offset / 4;
    for (let word = first; word < first + HEADER_WORDS; word++) {
      if (area[word] !== this.#seen[word]) return true;
    }
    return false;
  }

  #countTruncations(area: Uint8Array): void {
    this.#told = truncationsOf(area, this.#header.next);
    // The original may clear the annex: then the count stays what it was.
    this.#truncations = this.#told ?? this.#truncations;
  }
}

/**
 * Whether the process-sync header was stored by the original: its file has no annex, or Cellar's last writer closed it,
 * and none of that writer's commits is this one. A writer of Cellar that did not close may have left a header on the disk
 * without its cells, by a power cut.
 */
function isOriginals(area: Uint8Array, process: CheckedHeader): boolean {
  if (isAnnexBlank(area)) return true;
  const wasClosed = decodeAnnexHead(area)?.processId === 0;
  return wasClosed && !decodeCommitRecords(area).some((record) => sameHeader(record, process));
}
