/**
 * Publishing the state: commits, which other processes see, and flushes, which survive a power cut. What is stored, and in
 * which order, is in `header-stores.ts`; here are the syncs between the stores, their failures, and the queue of flushes.
 *
 * One flush at a time. Asynchronous flushes that are asked for while one runs share the next. A synchronous flush
 * does not wait for the running one: it raises the generation and runs the full sequence itself, and the
 * continuation of the older generation stores nothing. It cannot miss an error either: the asynchronous sync has
 * its own opening of the file, and the kernel tells every opening of a failed write-back once.
 */

import { StorageError } from "../error.ts";
import { type Header, sameHeader } from "../format/header.ts";
import { HEADER_AREA_BYTES } from "../format/layout.ts";
import type { WritableRegion } from "../region/region.ts";
import type { CommitChecksum } from "./commit-checksum.ts";
import { closedBefore, fileChanged, fileGone, syncFailed } from "./failure.ts";
import { HeaderStores, type Published } from "./header-stores.ts";
import { Metrics } from "./metrics.ts";

type Request = { readonly header: Header; readonly generation: number };

export class Publisher {
  readonly metrics: Metrics = new Metrics();
  /** The run of the next commit's proof: is told of cells that change. */
  readonly running: CommitChecksum;
  readonly #region: WritableRegion;
  readonly #bytesPerCell: number;
  readonly #stores: HeaderStores;
  #generation = 0;
  #failure: StorageError | null = null;
  #isGone = false;
  #isEnded = false;
  #onFileChanged: (error: StorageError) => void = () => undefined;
  /** The latest flush that was asked for, and its state while it is not committed. */
  #request: Request;
  #pending: Header | null = null;
  /** The flush that runs, and the one that waits for it. */
  #inFlight: Promise<Header> | null = null;
  #shared: Promise<Header> | null = null;

  constructor(region: WritableRegion, bytesPerCell: number, writerKey: Uint8Array, from: Published) {
    this.#region = region;
    this.#bytesPerCell = bytesPerCell;
    this.#stores = new HeaderStores(region, writerKey, from);
    this.running = from.running;
    this.#request = { header: from.durable, generation: 0 };
  }

  /** The state that the disk has. */
  get durable(): Header {
    return this.#stores.durable;
  }

  /** The state of the last commit: what other processes see, also if it threw midway. */
  get committed(): Header {
    return this.#stores.committed;
  }

  /** The cells that are committed, or will be by a flush that was asked for: none of them is given out again. */
  get claimedCells(): number {
    return Math.max(this.committed.next, this.#pending?.next ?? 0);
  }

  /** How often the storage was truncated, that is, how often its cells may have been given out again. */
  get truncations(): number {
    return this.#stores.truncations;
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

  /** Calls back once, when the file turns out to be changed: nothing of it may be read any more. */
  whenFileChanged(callback: (error: StorageError) => void): void {
    this.#onFileChanged = callback;
  }

  /** Looks at the file. What it finds, the next `checkFailure` or flush throws. @throws SYSTEM */
  inspectFile(): void {
    if (this.#failure !== null) return;
    const fault = this.#region.fileFault();
    this.#isGone = fault === "gone";
    if (fault === null || fault === "gone") return;
    this.#failure = fileChanged(this.#region.path, fault);
    this.#onFileChanged(this.#failure);
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

  /** Makes the state visible to other processes. The caller has called `checkFile`. */
  commit(header: Header): void {
    this.checkFailure();
    // The state of a flush that waits is older, and its flush makes it durable: it is committed first.
    const earlier = this.#pending;
    this.#pending = null;
    for (const each of earlier === null || sameHeader(earlier, header) ? [header] : [earlier, header]) {
      this.#stores.commit(each);
      this.metrics.addCommit();
    }
  }

  /** Makes the state durable, and returns when it is. */
  flushSync(header: Header): Header {
    this.commit(header);
    this.#checkNotGone();
    const begunAt = performance.now();
    // A power cut up to here: the disk-sync header is the last flush's, and the cells that it refers to are there.
    this.#sync(header.next * this.#bytesPerCell);
    this.#stores.storeDisk1(header);
    // Up to here: copy 1 is old, new or torn; copy 2 is the last flush's. If new, its cells are there.
    this.#sync(HEADER_AREA_BYTES);
    this.#checkAcknowledgement();
    // Not before: a flush under way goes on if this one was refused.
    this.#generation++;
    this.#acknowledge(header, begunAt);
    return header;
  }

  /**
   * The same without blocking. While a flush runs, only the state is noted: the next flush begins with one commit for all
   * that asked. Resolves with the state that is durable then, which is the one of this call or a later one.
   */
  async flush(header: Header): Promise<Header> {
    this.checkFailure();
    this.running.prepare(header.next);
    this.#pending = header;
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
    if (this.#pending !== null) this.commit(this.#pending);
    if (!sameHeader(this.committed, this.durable)) this.flushSync(this.committed);
    const before = this.committed;
    this.running.restart(header.next);
    try {
      this.startOver(header, true);
    } catch (error) {
      this.#stores.cancelTruncation(before);
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
    if (reuses) this.#stores.beginTruncation();
    this.commit(header);
    this.flushSync(header);
    // A kill here: the count is odd, which the next opening makes even.
    if (reuses) this.#stores.endTruncation();
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
    if (this.#overtaken(generation)) return this.durable;
    this.checkFile();
    const isCommitted = this.#pending === null || (sameHeader(header, this.committed) && !this.running.hasChanges);
    if (!isCommitted) this.commit(header);
    this.#pending = null;
    this.#checkNotGone();
    const begunAt = performance.now();
    await this.#syncLater();
    if (this.#overtaken(generation)) return this.durable;
    this.#stores.storeDisk1(header);
    await this.#syncLater();
    if (this.#overtaken(generation)) return this.durable;
    this.#checkAcknowledgement();
    this.#acknowledge(header, begunAt);
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

  #acknowledge(header: Header, begunAt: number): void {
    this.#stores.acknowledge(header);
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
