/**
 * The writer's stores into the header area, in order. Nothing here syncs: `publisher.ts` syncs between the stores of a
 * flush. The table says which state the next opening finds after a crash that follows a step:
 *
 * | step                                            | after a kill                   | after a power cut                     |
 * |-------------------------------------------------|--------------------------------|---------------------------------------|
 * | commit: the record                              | this commit, or the one before | a proven commit, or the last flush    |
 * | commit: process sync, both copies               | this commit                    | a proven commit, or the last flush    |
 * | flush: commit, sync of the cells                | this commit                    | this commit                           |
 * | flush: disk-sync copy 1                         | this flush                     | this commit or flush, the same state  |
 * | flush: sync of the headers                      | this flush                     | this flush: only now the call returns |
 * | flush: disk-sync copy 2                         | this flush                     | this flush                            |
 * | truncation: flush, then odd count, empty commit | the flush                      | the flush                             |
 * | truncation: empty flush, up to disk-sync copy 1 | the empty state                | the flush, or the empty state         |
 * | truncation: its end; even count, empty commit   | the empty state                | the empty state                       |
 */

import { encodeAnnexHead } from "../format/annex-head.ts";
import { doneTruncations, encodeCommitRecord, isTruncating, placeOfRecord } from "../format/commit-record.ts";
import { encodeHeader, encodeHeaderTwice, type Header } from "../format/header.ts";
import { CONFIG, FILE, MAX_U32 } from "../format/layout.ts";
import type { WritableRegion } from "../region/region.ts";
import { loadArea } from "./choose-state.ts";
import type { CommitChecksum } from "./commit-checksum.ts";

/** The state that a writer continues from. */
export interface Published {
  readonly durable: Header;
  readonly sequence: number;
  /** The truncation count of the newest record. */
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
  /**
   * The count as records store it: twice the number of truncations, and odd during one. And the number of completed
   * truncations, which does not include failed ones, because these have reused no cell.
   */
  #recordedCount: number;
  #truncations: number;

  constructor(region: WritableRegion, writerKey: Uint8Array, from: Published) {
    this.#region = region;
    this.#writerKey = writerKey;
    this.#running = from.running;
    this.#durable = from.durable;
    this.#committed = from.durable;
    this.#sequence = from.sequence;
    this.#recordedCount = from.truncations;
    this.#truncations = doneTruncations(from.truncations);
  }

  /** The state of the last flush. */
  get durable(): Header {
    return this.#durable;
  }

  /** The state of the last commit, which other processes see. A commit that threw midway counts too. */
  get committed(): Header {
    return this.#committed;
  }

  /** How often the storage was truncated, that is, how often its cells may have been allocated again. */
  get truncations(): number {
    return this.#truncations;
  }

  /** Makes the state visible to other processes: the record that proves it, then the process-sync copies. */
  commit(header: Header): void {
    this.#sequence = (this.#sequence + 1) % (MAX_U32 + 1);
    const { base } = this.#running;
    const record = encodeCommitRecord({
      base,
      // During a truncation the base is not the last flush but the start index, which has no root.
      baseRoot: base === this.#durable.next ? this.#durable.root : 0,
      next: header.next,
      root: header.root,
      cellsCrc: this.#running.extendTo(header.next),
      sequence: this.#sequence,
      truncations: this.#recordedCount,
    });
    const copies = encodeHeaderTwice(header, this.#writerKey);
    // Set it before the store: other processes may see a commit whose store throws, so its cells must not be allocated
    // again.
    this.#committed = header;
    try {
      this.#region.store(
        // A kill after this store: the process-sync header is unchanged, and the other record still proves it.
        { offset: placeOfRecord(this.#sequence).offset, bytes: record },
        // One write, because the copies are adjacent. A kill inside it leaves a prefix: copy 1 is torn and copy 2
        // unchanged, or copy 1 is complete and its record is stored. A power cut may tear both; then the newest proven
        // record decides.
        { offset: FILE.process1.offset, bytes: copies },
      );
    } catch (error) {
      this.#running.invalidate();
      throw error;
    }
  }

  /** Stores disk-sync copy 1 of a flush whose cells are synced. The caller syncs the header area next. */
  storeDisk1(header: Header): void {
    this.#region.store({ offset: FILE.disk1.offset, bytes: encodeHeader(header, null) });
  }

  /** Ends a flush whose disk-sync copy 1 is synced. */
  acknowledge(header: Header): void {
    this.#durable = header;
    this.#running.restart(header.next);
    // Copy 2 is stored after the sync, so that both copies are never in flight at once: they share a sector. It becomes
    // durable with the first sync of the next flush.
    this.#region.store({ offset: FILE.disk2.offset, bytes: encodeHeader(header, null) });
  }

  /** Makes the count odd: from now on records say that cells may be allocated again. */
  beginTruncation(): void {
    if (!isTruncating(this.#recordedCount)) this.#recordedCount++;
  }

  /** Ends a truncation, or a recovery that may allocate cells again, after its state was flushed. */
  endTruncation(): void {
    this.#makeCountEven();
    this.commit(this.#committed);
    this.#truncations = doneTruncations(this.#recordedCount);
  }

  /**
   * Undoes a truncation that failed, however much of it was stored: the next commit shows the state before it. The
   * count becomes even, but larger than before, because readers may have seen the odd count.
   */
  cancelTruncation(before: Header): void {
    this.#makeCountEven();
    this.#committed = before;
    this.#running.invalidate();
  }

  #makeCountEven(): void {
    if (isTruncating(this.#recordedCount)) this.#recordedCount = (this.#recordedCount + 1) % (MAX_U32 + 1);
  }
}

/** Stores the application's version in place. No hash covers it. It becomes durable with the next flush. */
export function storeVersion(region: WritableRegion, version: number): void {
  const bytes = new Uint8Array(CONFIG.version.sizeBytes);
  new DataView(bytes.buffer).setUint32(0, version, true);
  region.store({ offset: CONFIG.version.offset, bytes });
}

/**
 * Stores the writer's process id in the annex in place, or 0 for a clean close. It becomes durable with the next flush.
 */
export function storeProcessId(region: WritableRegion, processId: number): void {
  region.store({ offset: FILE.annexHead.offset, bytes: encodeAnnexHead(processId, loadArea(region).bytes) });
}
