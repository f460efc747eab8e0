/**
 * What a reader sees: the disk-sync header, or the process-sync header once it may be believed.
 * Takes no lock. A header that is torn or cannot be right is looked at again, and then left for the next time.
 */

import { StorageError } from "../error.ts";
import { type CommitRecord, decodeAnnexHead, decodeCommitRecords, isLater } from "../format/annex.ts";
import type { CheckedConfig } from "../format/config.ts";
import { type Bounds, type CheckedHeader, checkHeader, sameHeader } from "../format/header.ts";
import { COMMIT_RECORD, FILE, HEADER_AREA_BYTES, HEADER_BYTES, type Place, startIndexOf } from "../format/layout.ts";
import type { ReadableRegion } from "../region/region.ts";
import { loadHeader } from "../region/header.ts";
import { cellsMatch } from "./proof.ts";
import { decide, decodeAt, firstBelievable, loadArea, proofOf } from "./recover.ts";

/** Which header a reader goes by. */
export type Follows = "flushes" | "commits";

/** A store of a copy takes a fraction of a microsecond: one that is still torn after this many looks stays so. */
const MAX_LOOKS = 64;
const HEADER_WORDS = HEADER_BYTES / 4;
/** Where the counts of truncations stand in the header area, in words. */
export const truncationWords: readonly number[] = [FILE.commitRecord1, FILE.commitRecord2].map(
  (place) => (place.offset + COMMIT_RECORD.truncations.offset) / 4,
);
const diskCopies = [FILE.disk1, FILE.disk2];
const processCopies = [FILE.process1, FILE.process2];

export class Follower {
  readonly #region: ReadableRegion;
  readonly #config: CheckedConfig;
  #wanted: Follows;
  /** The words that were there at the last look: the watched copy's, then the two truncation counts. */
  readonly #seen = new Int32Array(HEADER_WORDS + truncationWords.length);
  /** The header area as it is now, and as bytes. */
  readonly #now = new Int32Array(HEADER_AREA_BYTES / 4);
  readonly #nowBytes = new Uint8Array(this.#now.buffer);
  #follows: Follows = "flushes";
  #header: CheckedHeader;
  #truncations = 0;
  /** The count in the newest record, which runs ahead while a truncation is under way. */
  #latestTruncations = 0;
  #marks: Int32Array = new Int32Array(truncationWords.length);

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
    const process = wanted === "commits" ? this.#processHeader(area) : null;
    if (process !== null && this.#isCurrent(area, process, trusted)) {
      this.#header = process;
      this.#follows = "commits";
    }
    this.#rememberHeader(area);
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

  /** The words at `truncationWords` when what is shown was chosen: they move before a cell of it is given out again. */
  get truncationMarks(): Int32Array {
    return this.#marks;
  }

  /** Goes by the process-sync header from the next refresh on; the caller knows that its writer keeps it current. */
  followCommits(): void {
    this.#wanted = "commits";
    const area = loadArea(this.#region);
    const process = this.#processHeader(area);
    // An older one is what a power cut left: it counts when it moves.
    if (process === null || this.#isCurrent(area, process, true)) this.#seen.fill(0);
    else this.#rememberHeader(area);
    this.#follows = "commits";
  }

  /** The cells of the header that the file still has. */
  get readableCells(): number {
    return Math.min(this.#header.next, this.#bounds().fileCells);
  }

  /** Whether the header in memory differs from what was last looked at. */
  hasMoved(): boolean {
    loadHeader(this.#region.address, this.#nowBytes);
    if (this.#watchedMoved(this.#now)) return true;
    return truncationWords.some((word, i) => this.#now[word] !== this.#seen[HEADER_WORDS + i]);
  }

  /**
   * After `hasMoved`: true if another state is visible than before.
   * @throws TRUNCATED the file has become shorter than the state that was visible
   */
  refresh(): boolean {
    this.#region.measure();
    if (this.readableCells < this.#header.next) {
      const { path } = this.#region;
      const message = `${path}: the file was cut to ${this.readableCells} of ${this.#header.next} cells by another program: restore it from a backup`;
      throw new StorageError("TRUNCATED", message, { path });
    }
    for (let look = 0; look < MAX_LOOKS; look++) {
      const area = loadArea(this.#region);
      // After the header: a file that has grown for it has done so before.
      this.#region.measure();
      const header = this.#currentHeader(area);
      if (header === "torn") continue;
      if (header === null) return false;
      const before = { header: this.#header, truncations: this.#truncations };
      this.#follows = this.#wanted;
      this.#header = header;
      this.#rememberHeader(area);
      this.#countTruncations(area);
      return !sameHeader(header, before.header) || this.#truncations !== before.truncations;
    }
    return false;
  }

  /** The header that counts now; null if it is not complete, or impossible. */
  #currentHeader(area: Uint8Array): CheckedHeader | "torn" | null {
    const places = this.#wanted === "commits" ? processCopies : diskCopies;
    const copies = places.map((place) => decodeAt(area, place));
    const [first, second] = copies;
    if (!first && !second) return "torn";
    if (this.#wanted === "commits") return firstBelievable(copies, this.#bounds());
    // Copy 2 is stored when a flush has returned, and is then the last that has; copy 1 may be of a flush under way,
    // or of one that was overtaken. What is shown since opening may be such a copy 1: an older copy 2 is no news then.
    if (!this.#watchedMoved(new Int32Array(area.buffer)) && !this.#hasTruncationBegun(area)) return this.#header;
    const returned = second ?? first;
    return returned ? checkHeader(returned, this.#bounds()) : null;
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

  #processHeader(area: Uint8Array): CheckedHeader | null {
    return firstBelievable(
      processCopies.map((place) => decodeAt(area, place)),
      this.#bounds(),
    );
  }

  /** Whether the process-sync header may be believed before it has moved: it is kept current, or proves itself. */
  #isCurrent(area: Uint8Array, process: CheckedHeader, trusted: boolean): boolean {
    if (this.#region.isWriterLive()) return true;
    const disk = this.#header;
    if (process.next < disk.next) return false;
    if (trusted || sameHeader(process, disk)) return true;
    const { bytesPerCell } = this.#config;
    return proofOf(area, process, disk, (record) => cellsMatch(this.#region, bytesPerCell, record)) !== null;
  }

  #bounds(): Bounds {
    const { bytesPerCell, maxIndex } = this.#config;
    const fileCells = Math.floor(this.#region.sizeBytes / bytesPerCell);
    return { startIndex: startIndexOf(bytesPerCell), maxIndex, fileCells };
  }

  /** The copy that is looked at for news: of disk sync the one that is stored last. */
  get #watched(): Place {
    return this.#wanted === "commits" ? FILE.process1 : FILE.disk2;
  }

  #watchedMoved(area: Int32Array): boolean {
    const first = this.#watched.offset / 4;
    for (let word = 0; word < HEADER_WORDS; word++) {
      if (area[first + word] !== this.#seen[word]) return true;
    }
    return false;
  }

  /** Whether a truncation was begun since: it flushed what was shown, and copy 2 may be what it was long before. */
  #hasTruncationBegun(area: Uint8Array): boolean {
    return (decodeCommitRecords(area)[0]?.truncations ?? 0) !== this.#latestTruncations;
  }

  /** Takes the count of truncations that belongs to the header that is shown from a commit record that tells of it. */
  #countTruncations(area: Uint8Array): void {
    const { next } = this.#header;
    const tellsOfIt = (record: CommitRecord): boolean =>
      this.#follows === "commits" ? sameHeader(record, this.#header) : record.base <= next && next <= record.next;
    const records = decodeCommitRecords(area);
    this.#latestTruncations = records[0]?.truncations ?? 0;
    const telling = records.find(tellsOfIt);
    // Both records may be of a truncation under way already: then no mark is right, for none will move again. Where a
    // writer of Cellar has closed the file, none is, and it is the original that has written since.
    const empty = records[0]?.next === this.#bounds().startIndex;
    if (telling !== undefined || !empty || decodeAnnexHead(area)?.processId === 0) {
      this.#marks = new Int32Array(truncationWords.map((word) => new Int32Array(area.buffer)[word] ?? 0));
    }
    if (telling !== undefined) {
      this.#truncations = telling.truncations;
      this.#rememberTruncations(area);
    }
    // While a truncation is under way both tell of it, and this header came before. Looked at again until one tells.
    else this.#truncations = oneBefore(this.#latestTruncations, this.#truncations);
  }

  #rememberHeader(area: Uint8Array): void {
    const view = new DataView(area.buffer);
    const { offset } = this.#watched;
    for (let word = 0; word < HEADER_WORDS; word++) this.#seen[word] = view.getInt32(offset + word * 4, true);
  }

  #rememberTruncations(area: Uint8Array): void {
    const view = new DataView(area.buffer);
    truncationWords.forEach((word, i) => {
      this.#seen[HEADER_WORDS + i] = view.getInt32(word * 4, true);
    });
  }
}

/** The count before `latest`, but none that is older than what is known: after the original wrote, none ever tells. */
function oneBefore(latest: number, known: number): number {
  const before = (latest - 1) >>> 0;
  return isLater(before, known) ? before : known;
}
