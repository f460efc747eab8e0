/**
 * What a reader sees: the disk-sync header, or the process-sync header once it may be believed.
 * Takes no lock. A header that is torn or cannot be right is looked at again, and then left for the next time.
 */

import { StorageError } from "../error.ts";
import { type CommitRecord, decodeAnnexHead } from "../format/annex.ts";
import type { CheckedConfig } from "../format/config.ts";
import { type Bounds, type CheckedHeader, checkHeader, sameHeader } from "../format/header.ts";
import { FILE, HEADER_AREA_BYTES, HEADER_BYTES, type Place, startIndexOf } from "../format/layout.ts";
import type { ReadableRegion } from "../region/region.ts";
import { loadHeader } from "../region/header.ts";
import { cellsMatch } from "./proof.ts";
import { decide, decodeAt, firstBelievable, loadArea, proofOf } from "./recover.ts";
import { type Mark, TruncationCount } from "./truncation-count.ts";

/** A store of a copy takes a fraction of a microsecond: one that is still torn after this many looks stays so. */
const MAX_LOOKS = 64;
const HEADER_WORDS = HEADER_BYTES / 4;
const diskCopies = [FILE.disk1, FILE.disk2];
const processCopies = [FILE.process1, FILE.process2];

/** Which header a reader goes by. */
export type Follows = "flushes" | "commits";

export class Follower {
  readonly #region: ReadableRegion;
  readonly #config: CheckedConfig;
  #wanted: Follows;
  /** The words of the watched copy that were there at the last look. */
  readonly #seen = new Int32Array(HEADER_WORDS);
  readonly #truncations = new TruncationCount();
  /** The header area as it is now, and as bytes. */
  readonly #now = new Int32Array(HEADER_AREA_BYTES / 4);
  readonly #nowBytes = new Uint8Array(this.#now.buffer);
  #follows: Follows = "flushes";
  #header: CheckedHeader;

  /**
   * @param trusted the caller knows that the writer keeps the process-sync header current
   * @throws HEADER_BROKEN, TRUNCATED
   */
  constructor(region: ReadableRegion, config: CheckedConfig, wanted: Follows, trusted: boolean) {
    this.#region = region;
    this.#config = config;
    this.#wanted = wanted;
    // Asked before the header is loaded, which is current then; asked after, it may be what the writer recovered from.
    const live = wanted === "commits" && region.isWriterLive();
    const area = this.#firstLook();
    this.#header = decide(area, this.#bounds(), () => false, region.path).disk;
    const process = wanted === "commits" ? this.#processHeader(area) : null;
    if (process !== null && this.#isCurrent(area, process, trusted, live)) {
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
    return this.#truncations.count;
  }

  /** Words of the header area when what is shown was chosen: one moves before a cell of it is given out again. */
  get truncationMarks(): readonly Mark[] {
    return this.#truncations.marks;
  }

  /** Goes by the process-sync header from the next refresh on; the caller knows that its writer keeps it current. */
  followCommits(): void {
    this.#wanted = "commits";
    const live = this.#region.isWriterLive();
    const area = loadArea(this.#region);
    const process = this.#processHeader(area);
    if (process === null || this.#isCurrent(area, process, true, live)) {
      // Unlike any copy: the next refresh looks.
      this.#seen.fill(-1);
      this.#follows = "commits";
    }
    // An older one is what a power cut left: it counts when it moves.
    else this.#rememberHeader(area);
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
    if (this.#watchedMoved(this.#now)) return true;
    return !this.#isWaiting && this.#truncations.hasMoved(this.#now);
  }

  /**
   * After `hasMoved` or `wasCut`: true if another state is visible than before.
   * @throws TRUNCATED the file has become shorter than the state that was visible
   */
  refresh(): boolean {
    if (this.wasCut()) {
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
      const before = { header: this.#header, truncations: this.truncations };
      this.#follows = this.#wanted;
      this.#header = header;
      this.#rememberHeader(area);
      this.#countTruncations(area);
      return !sameHeader(header, before.header) || this.truncations !== before.truncations;
    }
    return false;
  }

  /** The header that counts now; null if it is not complete, or impossible. */
  #currentHeader(area: Uint8Array): CheckedHeader | "torn" | null {
    const moved = this.#watchedMoved(new Int32Array(area.buffer));
    if (!moved && this.#isWaiting) return null;
    // What is shown stands while disk-sync copy 2 does: at opening it may have been a newer copy 1.
    if (this.#wanted === "flushes" && !moved && !this.#truncations.hasBegun(area)) return this.#header;
    // Of process sync copy 1 comes first. Of disk sync copy 2 is stored when a flush has returned, and is then the last
    // that has; copy 1 may be of a flush under way, or of one that was overtaken.
    const places = this.#wanted === "commits" ? processCopies : [FILE.disk2, FILE.disk1];
    let torn = true;
    for (const place of places) {
      const copy = decodeAt(area, place);
      if (copy === null) continue;
      torn = false;
      const header = checkHeader(copy, this.#bounds());
      if (header !== null) return header;
      if (this.#wanted === "flushes") return null;
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

  #processHeader(area: Uint8Array): CheckedHeader | null {
    return firstBelievable(
      processCopies.map((place) => decodeAt(area, place)),
      this.#bounds(),
    );
  }

  /** A reader of commits that has none to believe yet: it goes by the flush until the process-sync header moves. */
  get #isWaiting(): boolean {
    return this.#follows !== this.#wanted;
  }

  /** Whether the process-sync header may be believed before it has moved: it is kept current, or proves itself. */
  #isCurrent(area: Uint8Array, process: CheckedHeader, trusted: boolean, live: boolean): boolean {
    if (live) return true;
    const disk = this.#header;
    if (process.next < disk.next) return false;
    // A writer with the key, but of Cellar: after a power cut its header may be there without its cells.
    const isOriginals = trusted && decodeAnnexHead(area) === null;
    if (isOriginals || sameHeader(process, disk)) return true;
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

  #countTruncations(area: Uint8Array): void {
    const shown = this.#header;
    const tellsOfIt = (record: CommitRecord): boolean =>
      this.#follows === "commits" ? sameHeader(record, shown) : record.base <= shown.next && shown.next <= record.next;
    this.#truncations.take(area, tellsOfIt, this.#bounds().startIndex);
  }

  #rememberHeader(area: Uint8Array): void {
    const view = new DataView(area.buffer);
    const { offset } = this.#watched;
    for (let word = 0; word < HEADER_WORDS; word++) this.#seen[word] = view.getInt32(offset + word * 4, true);
  }
}
