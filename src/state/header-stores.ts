/**
 * The writer's stores into the header area, in their order. Nothing here syncs: `publisher.ts` does, between the stores of
 * a flush. What the next opening finds after a crash behind each step:
 *
 * | step                          | after a kill            | after a power cut                                |
 * |-------------------------------|-------------------------|--------------------------------------------------|
 * | commit: record                | this commit, or the one before it | a commit that its record proves, or the last flush |
 * | process sync, both copies     | this commit             | the same                                         |
 * | flush: commit, sync of cells  | this commit             | this commit                                      |
 * | disk sync, copy 1             | this flush              | this commit or flush, which are the same state   |
 * | sync of headers               | this flush              | this flush: only now it has returned             |
 * | disk sync, copy 2             | this flush              | this flush                                       |
 * | truncation: flush; count odd, commit of nothing | the flush | the flush                                    |
 * | flush of nothing, up to disk sync, copy 1       | nothing   | the flush or nothing                         |
 * | the rest of it; count even, commit of nothing   | nothing   | nothing                                      |
 */

import { doneTruncations, encodeAnnexHead, encodeCommitRecord, isTruncating, placeOfRecord } from "../format/annex.ts";
import { encodeHeader, type Header } from "../format/header.ts";
import { CONFIG, FILE, HEADER_BYTES, MAX_U32 } from "../format/layout.ts";
import type { WritableRegion } from "../region/region.ts";
import { loadArea } from "./choose-state.ts";
import type { CommitChecksum } from "./commit-checksum.ts";

/** Where a writer goes on from. */
export interface Published {
  readonly durable: Header;
  readonly sequence: number;
  /** As the newest record counts them. */
  readonly truncations: number;
  readonly running: CommitChecksum;
}

export class HeaderStores {
  readonly #region: WritableRegion;
  readonly #writerKey: Uint8Array;
  readonly #running: CommitChecksum;
  #durable: Header;
  #committed: Header;
  #sequence: number;
  /** As records count them, and the number of the last that was done: one that failed has taken no cell. */
  #counted: number;
  #truncations: number;

  constructor(region: WritableRegion, writerKey: Uint8Array, from: Published) {
    this.#region = region;
    this.#writerKey = writerKey;
    this.#running = from.running;
    this.#durable = from.durable;
    this.#committed = from.durable;
    this.#sequence = from.sequence;
    this.#counted = from.truncations;
    this.#truncations = doneTruncations(from.truncations);
  }

  /** The state that the disk has. */
  get durable(): Header {
    return this.#durable;
  }

  /** The state of the last commit: what other processes see, also if it threw midway. */
  get committed(): Header {
    return this.#committed;
  }

  /** How often the storage was truncated, that is, how often its cells may have been given out again. */
  get truncations(): number {
    return this.#truncations;
  }

  /** Makes the state visible to other processes: the record that proves it, then the process-sync copies. */
  commit(header: Header): void {
    this.#sequence = (this.#sequence + 1) % (MAX_U32 + 1);
    const { base } = this.#running;
    const record = encodeCommitRecord({
      base,
      // Within a truncation the base is not that of the last flush but the start, which has no root.
      baseRoot: base === this.#durable.next ? this.#durable.root : 0,
      next: header.next,
      root: header.root,
      cellsCrc: this.#running.extendTo(header.next),
      sequence: this.#sequence,
      truncations: this.#counted,
    });
    const copy = encodeHeader(header, this.#writerKey);
    const copies = new Uint8Array(2 * HEADER_BYTES);
    copies.set(copy);
    copies.set(copy, HEADER_BYTES);
    // Before the store: one that throws may be seen all the same, and none of its cells is to be given out again.
    this.#committed = header;
    try {
      this.#region.store(
        // A kill here: the other record still proves the process-sync header that stands.
        { offset: placeOfRecord(this.#sequence).offset, bytes: record },
        // One write, because the copies are neighbours. A kill inside it leaves a prefix: copy 1 torn and copy 2 as it was,
        // or copy 1 whole, and its record is there. A power cut may tear both: then the newest record that counts stands.
        { offset: FILE.process1.offset, bytes: copies },
      );
    } catch (error) {
      this.#running.invalidate();
      throw error;
    }
  }

  /** Within a flush whose cells are on the disk: the header that says so. Sync the header area next. */
  storeDisk1(header: Header): void {
    this.#region.store({ offset: FILE.disk1.offset, bytes: encodeHeader(header, null) });
  }

  /** Ends a flush whose disk-sync copy 1 is on the disk. */
  acknowledge(header: Header): void {
    this.#durable = header;
    this.#running.restart(header.next);
    // Durable with the next flush's first sync. Two copies are never in flight at once: they share a sector.
    this.#region.store({ offset: FILE.disk2.offset, bytes: encodeHeader(header, null) });
  }

  /** From here on records say that cells may be given out again. */
  beginTruncation(): void {
    if (!isTruncating(this.#counted)) this.#counted++;
  }

  /** Ends a truncation, or a recovery that may give out cells again, whose state was flushed. */
  endTruncation(): void {
    this.#makeCountEven();
    this.commit(this.#committed);
    this.#truncations = doneTruncations(this.#counted);
  }

  /**
   * Takes back a truncation that failed, whatever was stored of it: the next commit shows the state before it. The count is
   * even then, but not what it was: readers may have seen the odd one.
   */
  cancelTruncation(before: Header): void {
    this.#makeCountEven();
    this.#committed = before;
    this.#running.invalidate();
  }

  #makeCountEven(): void {
    if (isTruncating(this.#counted)) this.#counted = (this.#counted + 1) % (MAX_U32 + 1);
  }
}

/** Stores the application's version, in place. No hash covers it; durable with the next flush. */
export function storeVersion(region: WritableRegion, version: number): void {
  const bytes = new Uint8Array(CONFIG.version.sizeBytes);
  new DataView(bytes.buffer).setUint32(0, version, true);
  region.store({ offset: CONFIG.version.offset, bytes });
}

/** Names the writer in the annex, in place: its process id, or 0 for a clean close. Durable with the next flush. */
export function storeProcessId(region: WritableRegion, processId: number): void {
  region.store({ offset: FILE.annexHead.offset, bytes: encodeAnnexHead(processId, loadArea(region).bytes) });
}
