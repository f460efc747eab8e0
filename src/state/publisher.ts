/**
 * Publishing the state: commits, which other processes see, and flushes, which survive a power cut.
 * All stores of headers and commit records are made here, on the writer's own thread; what a crash at each step leaves
 * stands beside the step.
 *
 * One flush at a time. Asynchronous flushes that are asked for while one runs share the next. A synchronous flush
 * does not wait for the running one: it raises the generation and runs the full sequence itself, and the
 * continuation of the older generation stores nothing. It cannot miss an error either: the asynchronous sync has
 * its own opening of the file, and the kernel tells every opening of a failed write-back once.
 */

import { StorageError } from "../error.ts";
import { doneTruncations, encodeCommitRecord, isTruncating, placeOfRecord } from "../format/annex.ts";
import { encodeHeader, type Header, sameHeader } from "../format/header.ts";
import { FILE, HEADER_AREA_BYTES, MAX_U32 } from "../format/layout.ts";
import type { WritableRegion } from "../region/region.ts";
import { closedBefore, fileChanged, fileGone, syncFailed } from "./failure.ts";
import { Metrics } from "./metrics.ts";
import type { CommitChecksum } from "./commit-checksum.ts";

/** Where a publisher goes on from. */
export interface Published {
  readonly durable: Header;
  readonly sequence: number;
  /** As the newest record counts them. */
  readonly truncations: number;
  readonly running: CommitChecksum;
}

type Request = { readonly header: Header; readonly generation: number };

export class Publisher {
  readonly metrics: Metrics = new Metrics();
  /** The run of the next commit's proof: is told of cells that change. */
  readonly running: CommitChecksum;
  readonly #region: WritableRegion;
  readonly #bytesPerCell: number;
  readonly #writerKey: Uint8Array;
  #durable: Header;
  #committed: Header;
  #sequence: number;
  /** As records count them, and the number of the last that was done: one that failed has taken no cell. */
  #counted: number;
  #truncations: number;
  #generation = 0;
  #failure: StorageError | null = null;
  #isGone = false;
  #isEnded = false;
  /** Called once, when the file turns out to be changed: nothing of it may be read any more. */
  onFileChanged: (error: StorageError) => void = () => undefined;
  /** The latest flush that was asked for, the one that runs, and the one that waits for it. */
  #request: Request;
  #inFlight: Promise<Header> | null = null;
  #shared: Promise<Header> | null = null;

  constructor(region: WritableRegion, bytesPerCell: number, writerKey: Uint8Array, from: Published) {
    this.#region = region;
    this.#bytesPerCell = bytesPerCell;
    this.#writerKey = writerKey;
    this.running = from.running;
    this.#durable = from.durable;
    this.#committed = from.durable;
    this.#sequence = from.sequence;
    this.#counted = from.truncations;
    this.#truncations = doneTruncations(from.truncations);
    this.#request = { header: from.durable, generation: 0 };
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

  /** Whether a sync has failed. */
  get failed(): boolean {
    return this.#failure?.code === "FAILED";
  }

  /**
   * @throws FAILED a sync has failed: what is in memory can no longer be trusted to reach the disk; FILE_CHANGED
   */
  checkFailure(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  /** Looks at the file. What it finds, the next `checkFailure` or flush throws. @throws SYSTEM */
  inspectFile(): void {
    if (this.#failure !== null) return;
    const fault = this.#region.fileFault();
    this.#isGone = fault === "gone";
    if (fault === null || fault === "gone") return;
    this.#failure = fileChanged(this.#region.path, fault);
    this.onFileChanged(this.#failure);
  }

  /**
   * Looks at the file. Call it before a store into the file, so that a backup that was copied over it stays as it is.
   * A file that is gone is no error here: its data can still be copied.
   * @throws FAILED; FILE_CHANGED, as everything from then on; SYSTEM
   */
  checkFile(): void {
    this.inspectFile();
    this.checkFailure();
  }

  /**
   * Makes the state visible to other processes: the record that proves it, then the process-sync copies. The caller has
   * called `checkFile`.
   */
  commit(header: Header): void {
    this.checkFailure();
    this.#sequence = (this.#sequence + 1) % (MAX_U32 + 1);
    const { base } = this.running;
    const record = encodeCommitRecord({
      base,
      // Within a truncation the base is not that of the last flush but the start, which has no root.
      baseRoot: base === this.#durable.next ? this.#durable.root : 0,
      next: header.next,
      root: header.root,
      cellsCrc: this.running.extendTo(header.next),
      sequence: this.#sequence,
      truncations: this.#counted,
    });
    const copy = encodeHeader(header, this.#writerKey);
    // Before the store: one that throws may be seen all the same, and none of its cells is to be given out again.
    this.#committed = header;
    try {
      this.#region.store(
        // A kill here: the other record still proves the process-sync header that stands.
        { offset: placeOfRecord(this.#sequence).offset, bytes: record },
        // A kill inside copy 1: torn, copy 2 stands. Between the two: copy 1 is chosen, its record is there.
        { offset: FILE.process1.offset, bytes: copy },
        { offset: FILE.process2.offset, bytes: copy },
      );
    } catch (error) {
      this.running.invalidate();
      throw error;
    }
    this.metrics.commits++;
  }

  /** Makes the state durable, and returns when it is. */
  flushSync(header: Header): Header {
    this.commit(header);
    this.#checkNotGone();
    const begunAt = performance.now();
    const copy = encodeHeader(header, null);
    // A power cut up to here: the disk-sync header is the last flush's, and the cells that it refers to are there.
    this.#sync(header.next * this.#bytesPerCell);
    this.#region.store({ offset: FILE.disk1.offset, bytes: copy });
    // Up to here: copy 1 is old, new or torn; copy 2 is the last flush's. If new, its cells are there.
    this.#sync(HEADER_AREA_BYTES);
    this.#checkAcknowledgement();
    // Not before: a flush under way goes on if this one was refused.
    this.#generation++;
    this.#acknowledge(header, copy, begunAt);
    return header;
  }

  /**
   * The same without blocking: the state is the one of the latest call. Resolves with the state that is durable then,
   * which is a later one if a synchronous flush came between.
   */
  async flush(header: Header): Promise<Header> {
    // Many may ask at once; a commit of the same says nothing new.
    if (!sameHeader(header, this.#committed) || this.running.hasChanges) this.commit(header);
    else this.checkFailure();
    this.#checkNotGone();
    this.running.prepare(header.next);
    this.#request = { header, generation: this.#generation };
    // Asked first: it begins some microtasks after the one before has ended, and none may begin in between.
    if (this.#shared !== null) return this.#shared;
    if (this.#inFlight === null) return this.#begin();
    this.#shared = this.#afterInFlight(this.#inFlight);
    return this.#shared;
  }

  /** Empties the storage on the disk, by the order of a flush: until copy 1 is durable, nothing has happened. */
  truncate(header: Header): void {
    this.checkFailure();
    this.#checkNotGone();
    // From its first step on, a crash leaves the last flush: so that no commit is lost then, it is flushed before.
    if (!sameHeader(this.#committed, this.#durable)) this.flushSync(this.#committed);
    const before = this.#committed;
    this.running.restart(header.next);
    try {
      this.startOver(header, true);
    } catch (error) {
      // Whatever was stored of it: the caller goes on from the state before, and the next commit shows that again. It
      // makes the count even, and not what it was: readers may have seen the odd one.
      this.#endTruncation();
      this.#committed = before;
      this.running.invalidate();
      // A flush under way would move the base past what disk-sync copy 1 may say by now.
      this.#generation++;
      throw error;
    }
  }

  /**
   * Commits and flushes a state in place of another one: both records tell of it then. An old record would prove a later
   * header that happens to say the same, with cells that the disk still has.
   * @param reuses cells that readers may know are given out again: a truncation, for readers
   */
  startOver(header: Header, reuses: boolean): void {
    if (reuses && !isTruncating(this.#counted)) this.#counted++;
    this.commit(header);
    // A crash up to here, or in the flush: the last flush stands. Readers see an odd count: no cell is given out again yet.
    this.flushSync(header);
    if (!reuses) return;
    // A kill here: the count is odd, which the next opening makes even.
    this.#endTruncation();
    this.commit(header);
    this.#truncations = doneTruncations(this.#counted);
  }

  #endTruncation(): void {
    if (isTruncating(this.#counted)) this.#counted = (this.#counted + 1) % (MAX_U32 + 1);
  }

  /** The region is closed: a flush under way, if its state is not durable by now, stores nothing and is rejected. */
  end(): void {
    this.#isEnded = true;
  }

  async #afterInFlight(inFlight: Promise<Header>): Promise<Header> {
    // Its failure is its callers'; this one meets it again as FAILED.
    await inFlight.catch(() => undefined);
    this.#shared = null;
    return this.#begin();
  }

  #begin(): Promise<Header> {
    const sequence = this.#flushLater(this.#request).finally(() => {
      if (this.#inFlight === sequence) this.#inFlight = null;
    });
    this.#inFlight = sequence;
    return sequence;
  }

  /** The steps of `flushSync`, with the same crash states; each store only if nothing synchronous came between. */
  async #flushLater({ header, generation }: Request): Promise<Header> {
    if (this.#overtaken(generation)) return this.#durable;
    const begunAt = performance.now();
    const copy = encodeHeader(header, null);
    await this.#syncLater();
    if (this.#overtaken(generation)) return this.#durable;
    this.#region.store({ offset: FILE.disk1.offset, bytes: copy });
    await this.#syncLater();
    if (this.#overtaken(generation)) return this.#durable;
    this.#checkAcknowledgement();
    this.#acknowledge(header, copy, begunAt);
    return header;
  }

  /**
   * Whether a synchronous flush has made a state durable since: then there is nothing left to do.
   * @throws FAILED also then: after a sync that failed nothing is acknowledged; CLOSED it cannot be done any more
   */
  #overtaken(generation: number): boolean {
    this.checkFailure();
    if (generation !== this.#generation) return true;
    if (this.#isEnded) throw closedBefore(this.#region.path);
    return false;
  }

  /** After the last sync: what changed during the syncs is not acknowledged. @throws FILE_CHANGED, FILE_GONE */
  #checkAcknowledgement(): void {
    this.checkFile();
    this.#checkNotGone();
  }

  /** As of the last `checkFile`. @throws FILE_GONE */
  #checkNotGone(): void {
    if (this.#isGone) throw fileGone(this.#region.path, "writer");
  }

  #acknowledge(header: Header, copy: Uint8Array, begunAt: number): void {
    this.#durable = header;
    this.running.restart(header.next);
    // Durable with the next flush's first sync. Two copies are never in flight at once: they share a sector.
    this.#region.store({ offset: FILE.disk2.offset, bytes: copy });
    this.metrics.addFlush(begunAt);
  }

  #sync(toBytes: number): void {
    try {
      this.#region.sync(toBytes);
    } catch (cause) {
      throw this.#fail(cause);
    }
  }

  async #syncLater(): Promise<void> {
    try {
      await this.#region.syncLater();
    } catch (cause) {
      throw this.#fail(cause);
    }
  }

  /** After one failed sync the next may report success although pages are lost: nothing is claimed any more. */
  #fail(cause: unknown): StorageError {
    this.#failure ??= syncFailed(this.#region.path, cause);
    return this.#failure;
  }
}
