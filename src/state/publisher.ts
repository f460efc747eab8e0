/**
 * Commits states, which makes them visible to other processes, and flushes them, which makes them durable.
 * `header-stores.ts` has the stores and their order. This file has the syncs between the stores, their failures, and
 * the queue of flushes.
 *
 * At most one asynchronous flush runs. Asynchronous flushes that are requested meanwhile share the next one. A
 * synchronous flush does not wait for the running one. It runs the full sequence itself and raises the generation. The
 * running flush, of an older generation, then stores nothing more. No error is missed: the asynchronous sync has its
 * own open file description, and the kernel reports a failed write-back once to each.
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
  /** The running CRC of the next commit. Callers report changes of cells to it. */
  readonly running: CommitChecksum;
  readonly #region: WritableRegion;
  readonly #bytesPerCell: number;
  readonly #stores: HeaderStores;
  #generation = 0;
  #failure: StorageError | null = null;
  #isGone = false;
  #isEnded = false;
  #onFileChanged: (error: StorageError) => void = () => undefined;
  /** The latest requested flush, and its state until it is committed. */
  #request: Request;
  #pending: Header | null = null;
  /** The flush that runs, and the one that is queued behind it. */
  #inFlight: Promise<Header> | null = null;
  #queued: Promise<Header> | null = null;

  constructor(region: WritableRegion, bytesPerCell: number, writerKey: Uint8Array, from: Published) {
    this.#region = region;
    this.#bytesPerCell = bytesPerCell;
    this.#stores = new HeaderStores(region, writerKey, from);
    this.running = from.running;
    this.#request = { header: from.durable, generation: 0 };
  }

  /** The state of the last flush. */
  get durable(): Header {
    return this.#stores.durable;
  }

  /** The state of the last commit, which other processes see. A commit that threw midway counts too. */
  get committed(): Header {
    return this.#stores.committed;
  }

  /**
   * The length up to which cells are committed, or will be by a requested flush. None of these cells is allocated
   * again.
   */
  get claimedCells(): number {
    return Math.max(this.committed.next, this.#pending?.next ?? 0);
  }

  /** How often the storage was truncated, that is, how often its cells may have been allocated again. */
  get truncations(): number {
    return this.#stores.truncations;
  }

  /** Whether a sync has failed. */
  get failed(): boolean {
    return this.#failure?.code === "FAILED";
  }

  /** @throws FAILED a sync has failed, so data in memory may never reach the disk; FILE_CHANGED */
  checkFailure(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  /** Calls back once if another program has changed the file. Nothing of the file may be read from then on. */
  whenFileChanged(callback: (error: StorageError) => void): void {
    this.#onFileChanged = callback;
  }

  /** Checks the file. The next `checkFailure` or flush throws what it finds. @throws SYSTEM */
  inspectFile(changesOnly?: "changesOnly"): void {
    if (this.#failure !== null) return;
    const fault = this.#region.fileFault(changesOnly);
    if (changesOnly === undefined) this.#isGone = fault === "gone";
    if (fault === null || fault === "gone") return;
    this.#failure = fileChanged(this.#region.path, fault);
    this.#onFileChanged(this.#failure);
  }

  /**
   * Checks the file. Call it before a store into the file, so that a backup that was copied over the file is not
   * damaged. A file that is gone is not an error here: its data can still be copied.
   * @param changesOnly for a commit, which does not depend on whether the file is gone
   * @throws FAILED; FILE_CHANGED, which every later call throws too; SYSTEM
   */
  checkFile(changesOnly?: "changesOnly"): void {
    this.inspectFile(changesOnly);
    this.checkFailure();
  }

  /** Makes the state visible to other processes. The caller has called `checkFile`. */
  commit(header: Header): void {
    this.checkFailure();
    // Commit the state of a queued flush first: it is older, and its flush makes it durable.
    const earlier = this.#pending;
    this.#pending = null;
    for (const each of earlier === null || sameHeader(earlier, header) ? [header] : [earlier, header]) {
      this.#stores.commit(each);
      this.metrics.addCommit();
    }
  }

  /** Commits the state, and returns when it is durable. */
  flushSync(header: Header): Header {
    this.commit(header);
    this.#checkNotGone();
    const begunAt = performance.now();
    // A power cut up to here: the disk-sync header is that of the last flush, and its cells are on the disk.
    this.#sync(header.next * this.#bytesPerCell);
    this.#storeDisk1(header);
    // Up to here: copy 1 is old, new or torn; copy 2 is that of the last flush. If copy 1 is new, its cells are on the
    // disk.
    this.#sync(HEADER_AREA_BYTES);
    this.#checkAcknowledgement();
    // Raise it only now: if the check refuses this flush, a running flush must continue.
    this.#generation++;
    this.#acknowledge(header, begunAt);
    return header;
  }

  /**
   * Does the same without blocking. If a flush is running, this call only stores its request: the next flush begins
   * with one commit for all requests. Resolves with the durable state: that of this call or a later one.
   */
  async flush(header: Header): Promise<Header> {
    this.checkFailure();
    this.running.prepare(header.next);
    this.#pending = header;
    this.#request = { header, generation: this.#generation };
    // Test `#queued` first: the queued flush begins some microtasks after the running one has ended, and no other may
    // begin in between.
    if (this.#queued !== null) return this.#queued;
    if (this.#inFlight === null) return this.#begin();
    this.#queued = this.#beginAfter(this.#inFlight);
    return this.#queued;
  }

  /**
   * Empties the storage on the disk, in the order of a flush: until copy 1 is durable, the disk has the previous state.
   */
  truncate(header: Header): void {
    this.checkFailure();
    this.#checkNotGone();
    // Flush the last commit first. From the first step of the truncation on, a crash leaves the last flush, and must
    // lose no commit.
    if (this.#pending !== null) this.commit(this.#pending);
    if (!sameHeader(this.committed, this.durable)) this.flushSync(this.committed);
    const before = this.committed;
    this.running.restart(header.next);
    try {
      this.startOver(header, true);
    } catch (error) {
      this.#stores.cancelTruncation(before);
      // End a running flush: it would move the base past the length that disk-sync copy 1 may have now.
      this.#generation++;
      throw error;
    }
  }

  /**
   * Commits and flushes a state that replaces another one. Both records then hold the new state. Otherwise an old
   * record could prove a later header with the same length and root, by cells that are still on the disk.
   * @param reuses true if cells that readers may hold can be allocated again; readers then see a truncation
   */
  startOver(header: Header, reuses: boolean): void {
    if (reuses) this.#stores.beginTruncation();
    this.commit(header);
    this.flushSync(header);
    // A kill here: the count is odd; the next opening makes it even.
    if (reuses) this.#stores.endTruncation();
  }

  /**
   * Call it before the region is closed. A flush under way then stores nothing more. It is rejected, unless its state
   * is durable already.
   */
  end(): void {
    this.#isEnded = true;
  }

  async #beginAfter(inFlight: Promise<Header>): Promise<Header> {
    // Ignore its error: its own callers get it, and this flush then fails with FAILED.
    await inFlight.catch(() => undefined);
    this.#queued = null;
    return this.#begin();
  }

  #begin(): Promise<Header> {
    const sequence = this.#flushLater(this.#request).finally(() => {
      if (this.#inFlight === sequence) this.#inFlight = null;
    });
    this.#inFlight = sequence;
    return sequence;
  }

  /**
   * The steps of `flushSync`, with the same crash states. Each store happens only if no synchronous flush came between.
   */
  async #flushLater({ header, generation }: Request): Promise<Header> {
    this.#checkRunning(generation);
    if (this.#isOvertaken(generation)) return this.durable;
    this.checkFile();
    const isCommitted = this.#pending === null || (sameHeader(header, this.committed) && !this.running.hasChanges);
    if (!isCommitted) this.commit(header);
    this.#pending = null;
    this.#checkNotGone();
    const begunAt = performance.now();
    await this.#syncLater();
    this.#checkRunning(generation);
    if (this.#isOvertaken(generation)) return this.durable;
    this.#storeDisk1(header);
    await this.#syncLater();
    this.#checkRunning(generation);
    if (this.#isOvertaken(generation)) return this.durable;
    this.#checkAcknowledgement();
    this.#acknowledge(header, begunAt);
    return header;
  }

  /** Looks at the file first: a backup may have been copied over it during the sync, and must stay whole. */
  #storeDisk1(header: Header): void {
    this.checkFile();
    this.#stores.storeDisk1(header);
  }

  /** Tells whether a synchronous flush has made a later state durable since; then nothing is left to do. */
  #isOvertaken(generation: number): boolean {
    return generation !== this.#generation;
  }

  /**
   * Checks that a flush may continue or be acknowledged.
   * @throws FAILED a sync failed: not even an overtaken flush is acknowledged then; CLOSED the region is closed
   */
  #checkRunning(generation: number): void {
    this.checkFailure();
    if (this.#isEnded && !this.#isOvertaken(generation)) throw closedBefore(this.#region.path);
  }

  /**
   * Checks the file after the last sync, so that a flush of a file that has changed is not acknowledged.
   * @throws FILE_CHANGED, FILE_GONE
   */
  #checkAcknowledgement(): void {
    this.checkFile();
    this.#checkNotGone();
  }

  /** Checks the result of the last `checkFile`. @throws FILE_GONE */
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

  /** Stops all later flushes: after a failed sync, the next one may report success although pages are lost. */
  #fail(cause: unknown): StorageError {
    this.#failure ??= syncFailed(this.#region.path, cause);
    return this.#failure;
  }
}
