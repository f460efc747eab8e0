/**
 * Decides when a reader loads the header area, and holds the state that the reader shows. `visible.ts` chooses that
 * state. Loading takes no lock. A torn or impossible header is loaded again a few times, and then at the next look.
 */

import { RESTORE, StorageError } from "../error.ts";
import { decodeArea, diskCopies, type HeaderArea, processCopies } from "../format/area.ts";
import type { CommitRecord } from "../format/commit-record.ts";
import type { CheckedConfig } from "../format/config.ts";
import { type Bounds, boundsOf, type CheckedHeader, sameHeader } from "../format/header.ts";
import { sameBytes } from "../format/hash.ts";
import { COMMIT_RECORD, CONFIG, FILE, HEADER_AREA_BYTES, type Place } from "../format/layout.ts";
import type { ReadableRegion } from "../region/region.ts";
import { cellsMatch } from "./commit-checksum.ts";
import { diskHeader, loadArea, loadHeader } from "./choose-state.ts";
import { otherStorage } from "./failure.ts";
import { type Follows, isCurrent, type Visible, visibleAfter, visibleOf } from "./visible.ts";

/** A store of a copy takes a fraction of a microsecond: a copy that is still torn after this many looks stays torn. */
const MAX_LOOKS = 64;
const AREA_WORDS = HEADER_AREA_BYTES / 4;
const records: readonly Place[] = [FILE.commitRecord1, FILE.commitRecord2];
const countWordOf = ({ offset }: Place): number => (offset + COMMIT_RECORD.truncations.offset) / 4;
const VERSION_WORD = (FILE.config.offset + CONFIG.version.offset) / 4;
const wordsOf = ({ offset, sizeBytes }: Place): number[] =>
  Array.from({ length: sizeBytes / 4 }, (_, i) => offset / 4 + i);
/** The version, and the truncation counts. */
const otherWords: readonly number[] = [VERSION_WORD, ...records.map(countWordOf)];
const diskWords = wordsOf(FILE.disk2);
const processWords = wordsOf(FILE.process1);

export class Follower {
  readonly #region: ReadableRegion;
  readonly #config: CheckedConfig;
  #wanted: Follows;
  /** The header area at the last look that chose a state, as bytes and as words. */
  #seen: HeaderArea;
  #seenWords: Int32Array;
  #visible: Visible;
  /** The last truncation count that the annex held. */
  #truncations: number;
  /** The header area as it is now, in words, and as bytes. */
  readonly #now = new Int32Array(AREA_WORDS);
  readonly #nowBytes = new Uint8Array(this.#now.buffer);
  /** The config without its version, as the file had it at opening. */
  readonly #fixedConfig: Uint8Array;

  /**
   * @param hasKey the caller has the key of the process-sync header
   * @throws HEADER_BROKEN, FILE_CUT
   */
  constructor(region: ReadableRegion, config: CheckedConfig, wanted: Follows, hasKey: boolean) {
    this.#region = region;
    this.#config = config;
    this.#wanted = wanted;
    // Test the lock before loading the header. In the other order, the header could be the one that the writer then
    // recovered from.
    const isLive = wanted === "commits" && region.isWriterLive();
    const area = this.#firstLook();
    this.#fixedConfig = area.bytes.slice(0, CONFIG.version.offset);
    const disk = diskHeader(area, this.#bounds(), region.path);
    const process = wanted === "commits" ? this.#currentProcess(area, disk, isLive, hasKey) : null;
    this.#visible = process === null ? visibleOf(disk, area, "flushes") : visibleOf(process, area, "commits");
    this.#truncations = this.#visible.truncations ?? 0;
    this.#seen = area;
    this.#seenWords = seenWordsIn(area);
  }

  get header(): CheckedHeader {
    return this.#visible.header;
  }

  get follows(): Follows {
    return this.#visible.follows;
  }

  /** How often the storage was truncated. Plebeia may clear the annex; the count then keeps its last value. */
  get truncations(): number {
    return this.#truncations;
  }

  /** The count in the annex at the last look; null if the annex had none: see `keepsCells`. */
  get annexTruncations(): number | null {
    return this.#visible.truncations;
  }

  /** The application's version, at the last look. */
  get version(): number {
    return (this.#seenWords[VERSION_WORD] ?? 0) >>> 0;
  }

  /** Follows commits from the next refresh on. The caller has the key of the process-sync header. */
  followCommits(): void {
    const wantedFlushes = this.#wanted === "flushes";
    this.#wanted = "commits";
    const isLive = this.#region.isWriterLive();
    const area = loadArea(this.#region);
    this.#region.measure();
    // Compare with the header on disk, not with the state shown, which may be old.
    const disk = area.believed(diskCopies, this.#bounds()) ?? this.header;
    const seen = this.#seen.bytes.slice();
    if (this.#currentProcess(area, disk, isLive, true) !== null) {
      // No header copy has these bytes, so the next refresh sees a change.
      seen.fill(0xff, FILE.process1.offset, FILE.process2.offset);
      this.#visible = { ...this.#visible, follows: "commits" };
    } else if (wantedFlushes) {
      // A header that is older, or whose cells are missing, was left by a power cut. Ignore it until it changes.
      seen.set(area.bytesAt(FILE.process1), FILE.process1.offset);
    }
    this.#seen = decodeArea(seen);
    this.#seenWords = seenWordsIn(this.#seen);
  }

  /** How many cells of the visible state the file had at the last `measure`. */
  get readableCells(): number {
    return Math.min(this.header.next, this.#bounds().fileCells);
  }

  /**
   * Whether the file was shorter than the visible state at the last `measure`. The header's page may then be missing
   * too.
   */
  get isCut(): boolean {
    return this.readableCells < this.header.next;
  }

  /** Whether the header in memory differs from that of the last look. */
  hasChanged(): boolean {
    loadHeader(this.#region.address, this.#nowBytes);
    if (this.#wanted === "commits" && this.#differs(processWords)) return true;
    return (this.follows === "flushes" && this.#differs(diskWords)) || this.#differs(otherWords);
  }

  /**
   * Chooses the state that is visible now.
   * @returns whether it differs from the previous state
   * @throws FILE_CUT the file has become shorter than the state that was visible; FILE_CHANGED it is another storage
   */
  refresh(): boolean {
    this.#region.measure();
    if (this.isCut) {
      const { path } = this.#region;
      const message = `${path}: the file was cut to ${this.readableCells} of ${this.header.next} cells by another program: ${RESTORE}`;
      throw new StorageError("FILE_CUT", message, { path });
    }
    const before = { area: this.#seen, visible: this.#visible, wanted: this.#wanted };
    for (let look = 0; look < MAX_LOOKS; look++) {
      const area = loadArea(this.#region);
      // Measure after loading the header: the writer grows the file before it stores a longer header.
      this.#region.measure();
      if (!sameBytes(area.bytes.subarray(0, this.#fixedConfig.length), this.#fixedConfig)) {
        throw otherStorage(this.#region.path);
      }
      const now = visibleAfter(before, area, this.#bounds(), look === MAX_LOOKS - 1);
      if (now === "torn") continue;
      return now !== null && this.#show(now, area);
    }
    return false;
  }

  /** Shows a state. Returns whether it differs from the previous state. */
  #show(now: Visible, area: HeaderArea): boolean {
    const { header } = this.#visible;
    const truncations = now.truncations ?? this.#truncations;
    const isNew = !sameHeader(now.header, header) || truncations !== this.#truncations;
    this.#visible = now;
    this.#truncations = truncations;
    this.#seen = area;
    this.#seenWords = seenWordsIn(area);
    return isNew;
  }

  /**
   * Loads the area at opening. If both disk-sync copies are torn, the writer may be storing them. If a copy points past
   * the end of the file, the file may have grown since it was measured. In both cases, look again.
   */
  #firstLook(): HeaderArea {
    for (let look = 0; ; look++) {
      const area = loadArea(this.#region);
      const isTorn = diskCopies.every((name) => area.copy(name) === null);
      const { fileCells } = this.#bounds();
      const isPastEnd = [...diskCopies, ...processCopies].some((name) => (area.copy(name)?.next ?? 0) > fileCells);
      if (isPastEnd) this.#region.measure();
      if ((!isTorn && !isPastEnd) || look === MAX_LOOKS) return area;
    }
  }

  /** Returns the process-sync header if `isCurrent` accepts it, else null. */
  #currentProcess(area: HeaderArea, disk: CheckedHeader, isLive: boolean, hasKey: boolean): CheckedHeader | null {
    const bounds = this.#bounds();
    const process = area.believed(processCopies, bounds);
    const matches = (record: CommitRecord): boolean => cellsMatch(this.#region, this.#config.bytesPerCell, record);
    const trust = { isLive, hasKey, cellsMatch: matches };
    return process !== null && isCurrent(area, bounds, { process, disk }, trust) ? process : null;
  }

  #bounds(): Bounds {
    return boundsOf(this.#config, this.#region.sizeBytes);
  }

  #differs(words: readonly number[]): boolean {
    for (const word of words) if (this.#now[word] !== this.#seenWords[word]) return true;
    return false;
  }
}

/**
 * Returns the words of an area that a reader has looked at. The count of a torn record was not read, although its word
 * may be stored already. Its word is inverted, so that the next look sees a change.
 */
function seenWordsIn(area: HeaderArea): Int32Array {
  const words = new Int32Array(area.bytes.slice().buffer, 0, AREA_WORDS);
  for (const [i, record] of area.recordPlaces.entries()) {
    const place = records[i];
    if (place === undefined || record !== null) continue;
    const isBlank = area.bytesAt(place).every((byte) => byte === 0);
    const word = countWordOf(place);
    if (!isBlank) words[word] = ~(words[word] ?? 0);
  }
  return words;
}
