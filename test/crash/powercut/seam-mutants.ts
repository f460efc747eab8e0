/**
 * Faults at the seam: a region that drops, doubles, moves or changes what the protocol asks of it. It leaves on the disk
 * what a protocol would leave that stores or syncs otherwise, and it needs no change when the source is renamed.
 */

import { type CommitRecord, decodeCommitRecord, encodeCommitRecord } from "../../../src/format/commit-record.ts";
import { crc32 } from "../../../src/format/hash.ts";
import { decodeHeader } from "../../../src/format/header.ts";
import { FILE, HEADER_BYTES, type Place } from "../../../src/format/layout.ts";
import type { HeaderStore } from "../../../src/region/region.ts";
import { configIn } from "./opening.ts";
import { PAGE_BYTES, RecordingRegion } from "./recording-region.ts";
import { REGION_BYTES } from "./replay.ts";

export interface SeamMutant {
  readonly name: string;
  readonly newRegion: () => RecordingRegion;
  /** The workload that meets it, if few do. The replay then lives through no other. */
  readonly workload?: string;
}

const RECORDS: readonly Place[] = [FILE.commitRecord1, FILE.commitRecord2];
const isAt =
  (...places: readonly Place[]) =>
  ({ offset }: HeaderStore): boolean =>
    places.some((place) => place.offset === offset);
const isRecord = isAt(...RECORDS);

abstract class FaultyRegion extends RecordingRegion {
  constructor() {
    super(REGION_BYTES);
  }

  protected bytesAt({ offset, sizeBytes }: Place): Uint8Array {
    return this.memory.slice(offset, offset + sizeBytes);
  }

  /** A sync that covers nothing. */
  protected noSync(): number {
    return super.beginSync(0, false);
  }
}

// Syncs and stores of commits and flushes.

/** Tells the two syncs of a flush apart: the one of the cells, and the one of disk-sync copy 1. */
abstract class FlushRegion extends FaultyRegion {
  protected isForCopy1 = false;

  override load(image: Uint8Array): void {
    super.load(image);
    this.isForCopy1 = false;
  }

  override store(...stores: HeaderStore[]): void {
    this.isForCopy1 = stores.every(isAt(FILE.disk1));
    super.store(...stores);
  }
}

class NoCellSync extends FlushRegion {
  protected override beginSync(toBytes: number): number {
    return this.isForCopy1 ? super.beginSync(toBytes) : this.noSync();
  }
}

class NoHeaderSync extends FlushRegion {
  protected override beginSync(toBytes: number): number {
    return this.isForCopy1 ? this.noSync() : super.beginSync(toBytes);
  }
}

class SyncPageShort extends FaultyRegion {
  protected override beginSync(toBytes: number): number {
    return super.beginSync(toBytes > PAGE_BYTES ? toBytes - PAGE_BYTES : toBytes);
  }
}

class SizeNotDurable extends FaultyRegion {
  protected override beginSync(toBytes: number): number {
    return super.beginSync(toBytes, false);
  }
}

/** Copy 1 is stored before the cells are synced; then both are. */
class CopyBeforeCells extends FlushRegion {
  protected override beginSync(): number {
    return this.isForCopy1 ? super.beginSync(this.sizeBytes) : this.noSync();
  }
}

class BothCopiesAtOnce extends FaultyRegion {
  override store(...stores: HeaderStore[]): void {
    const both = (store: HeaderStore): HeaderStore[] => [store, { ...store, offset: FILE.disk2.offset }];
    super.store(...stores.flatMap((store) => (isAt(FILE.disk1)(store) ? both(store) : [store])));
  }
}

/** The copies of a commit are stored before its record. */
class StoresReversed extends FaultyRegion {
  override store(...stores: HeaderStore[]): void {
    super.store(...stores.reverse());
  }
}

class NoProcessCopy2 extends FaultyRegion {
  override store(...stores: HeaderStore[]): void {
    super.store(
      ...stores.map(({ offset, bytes }) => {
        return offset === FILE.process1.offset ? { offset, bytes: bytes.subarray(0, HEADER_BYTES) } : { offset, bytes };
      }),
    );
  }
}

class RecordsInOnePlace extends FaultyRegion {
  override store(...stores: HeaderStore[]): void {
    super.store(...stores.map((store) => (isRecord(store) ? { ...store, offset: FILE.commitRecord1.offset } : store)));
  }
}

/** Never stores at one of the places. */
function without(...places: readonly Place[]): SeamMutant["newRegion"] {
  return () =>
    new (class extends FaultyRegion {
      override store(...stores: HeaderStore[]): void {
        super.store(...stores.filter((store) => !isAt(...places)(store)));
      }
    })();
}

class LaterWithoutCellSync extends FlushRegion {
  #isLater = false;

  override syncLater(): Promise<void> {
    this.#isLater = true;
    const synced = super.syncLater();
    this.#isLater = false;
    return synced;
  }

  protected override beginSync(toBytes: number): number {
    return this.#isLater && !this.isForCopy1 ? this.noSync() : super.beginSync(toBytes);
  }
}

/** An asynchronous flush goes on although a synchronous one has overtaken it, during its first or its second sync. */
class OvertakenGoesOn extends FlushRegion {
  readonly #duringCopy1: boolean;
  #flushes = 0;

  constructor(duringCopy1: boolean) {
    super();
    this.#duringCopy1 = duringCopy1;
  }

  override store(...stores: HeaderStore[]): void {
    super.store(...stores);
    if (this.isForCopy1) this.#flushes++;
  }

  override async syncLater(): Promise<void> {
    const flushes = this.#flushes;
    const [from, to] = this.#duringCopy1 ? [FILE.disk1, FILE.disk2] : [FILE.process1, FILE.disk1];
    const isThisSync = this.isForCopy1 === this.#duringCopy1;
    const bytes = this.bytesAt(from);
    await super.syncLater();
    if (isThisSync && this.#flushes > flushes) super.store({ offset: to.offset, bytes });
  }
}

// What commit records say.

/** The same commit, whose record covers the cells from another base on. */
function recordFrom(base: number, record: CommitRecord, region: RecordingRegion): CommitRecord {
  const { bytesPerCell } = configIn(region);
  const cells = region.memory.subarray(base * bytesPerCell, record.next * bytesPerCell);
  return { ...record, base, baseRoot: 0, cellsCrc: crc32(cells) };
}

/** Stores another record, or nothing at all (null), in place of the one that the protocol stores. */
abstract class RecordRegion extends FlushRegion {
  protected abstract instead(record: CommitRecord): CommitRecord | null;

  override store(...stores: HeaderStore[]): void {
    const old = stores.find(isRecord);
    const record = old === undefined ? null : decodeCommitRecord(old.bytes);
    if (record === null) {
      super.store(...stores);
      return;
    }
    const changed = this.instead(record);
    if (changed === null) return;
    super.store(...stores.map((store) => (store === old ? { ...store, bytes: encodeCommitRecord(changed) } : store)));
  }
}

/** A state that replaces another one is committed once, so that a record of what it replaced stays. */
class CommittedOnce extends RecordRegion {
  #last = "";

  protected instead(record: CommitRecord): CommitRecord | null {
    const isSame = record.base === record.next && JSON.stringify({ ...record, sequence: 0 }) === this.#last;
    this.#last = JSON.stringify({ ...record, sequence: 0 });
    return isSame ? null : record;
  }
}

/** While a synchronous flush runs, the record covers only cells that come after it. */
class RestartedBeforeFlush extends FlushRegion {
  /** The newest record, if it was stored since opening. */
  #newest: HeaderStore | null = null;

  override load(image: Uint8Array): void {
    super.load(image);
    this.#newest = null;
  }

  override abandon(): void {
    super.abandon();
    this.#newest = null;
  }

  override store(...stores: HeaderStore[]): void {
    this.#newest = stores.find(isRecord) ?? this.#newest;
    super.store(...stores);
  }

  override sync(toBytes: number): void {
    const record = this.#newest === null ? null : decodeCommitRecord(this.#newest.bytes);
    if (this.#newest !== null && record !== null && !this.isForCopy1) {
      const changed = encodeCommitRecord(recordFrom(record.next, record, this));
      super.store({ offset: this.#newest.offset, bytes: changed });
    }
    super.sync(toBytes);
  }
}

/** While an asynchronous flush runs, records cover only cells that come after it. */
class RestartedDuringFlush extends RecordRegion {
  #bases: number[] = [];

  override load(image: Uint8Array): void {
    super.load(image);
    this.#bases = [];
  }

  override async syncLater(): Promise<void> {
    this.#bases.push(decodeHeader(this.bytesAt(FILE.process1))?.next ?? 0);
    await super.syncLater();
    this.#bases.shift();
  }

  protected instead(record: CommitRecord): CommitRecord {
    const [base = 0] = this.#bases;
    return record.base < base && base <= record.next ? recordFrom(base, record, this) : record;
  }
}

// Opening.

/** What opening stores into a disk-sync copy: a copy again as it is, a copy like the other one, or another state. */
type OpeningStore = "again" | "likeOther" | "state";

/** Tells the steps of opening apart, up to the store of the annex head. */
abstract class OpeningRegion extends FaultyRegion {
  #isOpening = false;
  #hasBegun = false;
  #hasState = false;
  #last: OpeningStore | null = null;

  override load(image: Uint8Array): void {
    super.load(image);
    this.#startOpening();
  }

  override abandon(): void {
    super.abandon();
    this.#startOpening();
  }

  override store(...stores: HeaderStore[]): void {
    this.#begin();
    super.store(...stores.filter((store) => !this.#isOpening || this.#keeps(store)));
    if (stores.some(isAt(FILE.annexHead))) this.#isOpening = false;
  }

  override rewriteUncached(fromBytes: number, toBytes: number): void {
    this.#begin();
    super.rewriteUncached(fromBytes, toBytes);
  }

  protected override beginSync(toBytes: number): number {
    this.#begin();
    const syncs = !this.#isOpening || this.syncsAfter(this.#last);
    this.#last = null;
    return syncs ? super.beginSync(toBytes) : this.noSync();
  }

  /** Before the first step of opening. */
  protected begin(): void {}

  /** Whether opening stores this into a disk-sync copy. */
  protected stores(_store: OpeningStore, _hasState: boolean): boolean {
    return true;
  }

  /** Whether opening syncs after a store; null: after none. */
  protected syncsAfter(_last: OpeningStore | null): boolean {
    return true;
  }

  #startOpening(): void {
    this.#isOpening = true;
    this.#hasBegun = false;
    this.#hasState = false;
    this.#last = null;
  }

  #begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.begin();
  }

  #keeps(store: HeaderStore): boolean {
    if (!isAt(FILE.disk1, FILE.disk2)(store)) return true;
    const is = (place: Place): boolean => Buffer.compare(store.bytes, this.bytesAt(place)) === 0;
    const [place, other] = isAt(FILE.disk1)(store) ? [FILE.disk1, FILE.disk2] : [FILE.disk2, FILE.disk1];
    this.#last = is(place) ? "again" : is(other) ? "likeOther" : "state";
    this.#hasState ||= this.#last === "state";
    return this.stores(this.#last, this.#hasState);
  }
}

class RecordsBeforeState extends OpeningRegion {
  protected override stores(store: OpeningStore): boolean {
    return store !== "state";
  }
}

class StateBeforeCells extends OpeningRegion {
  protected override syncsAfter(last: OpeningStore | null): boolean {
    return last !== null;
  }
}

class StateInBothCopies extends OpeningRegion {
  protected override syncsAfter(last: OpeningStore | null): boolean {
    return last !== "state";
  }
}

class NoRepair extends OpeningRegion {
  protected override stores(store: OpeningStore, hasState: boolean): boolean {
    return store === "state" || hasState;
  }
}

class RepairWithoutSync extends OpeningRegion {
  protected override syncsAfter(last: OpeningStore | null): boolean {
    return last !== "again";
  }
}

/** Opening shows the last flush, before it has the commit that it chose. */
class FlushBeforeCommit extends OpeningRegion {
  protected override begin(): void {
    const flushed = [FILE.disk1, FILE.disk2].map((place) => this.bytesAt(place)).find((bytes) => decodeHeader(bytes));
    if (flushed !== undefined) super.store({ offset: FILE.process1.offset, bytes: flushed });
  }
}

/** The cells behind the length are given back as the first step of opening, not as the last. */
class GivenBackFirst extends OpeningRegion {
  #first: number | null = null;

  protected override begin(): void {
    this.#first = this.log.length;
  }

  override deallocate(fromBytes: number, toBytes: number): void {
    this.observe();
    const before = this.log.length;
    super.deallocate(fromBytes, toBytes);
    if (this.#first !== null) this.log.splice(this.#first, 0, ...this.log.splice(before));
    this.#first = null;
  }
}

// Cells that are allocated.

/** Cells are not zeroed; with `afterTruncation` only those of which a truncation took other contents away. */
class NotZeroed extends FaultyRegion {
  #isSkipping: boolean;

  constructor(afterTruncation = false) {
    super();
    this.#isSkipping = !afterTruncation;
  }

  override store(...stores: HeaderStore[]): void {
    this.#isSkipping ||= stores.some(
      (store) => isRecord(store) && (decodeCommitRecord(store.bytes)?.truncations ?? 0) > 0,
    );
    super.store(...stores);
  }

  override write(offset: number, bytes: Uint8Array): void {
    if (!this.#isSkipping || bytes.some((byte) => byte !== 0)) super.write(offset, bytes);
  }
}

const later = "flush later, with commits meanwhile";
const overtaken = "flush overtaken by flushSync";

export const seamMutants: readonly SeamMutant[] = [
  { name: "no sync of the cells", newRegion: () => new NoCellSync() },
  { name: "no sync of copy 1", newRegion: () => new NoHeaderSync() },
  { name: "sync of the cells a page short", newRegion: () => new SyncPageShort() },
  { name: "size not durable", newRegion: () => new SizeNotDurable() },
  { name: "copy 1 before the cells are synced", newRegion: () => new CopyBeforeCells() },
  { name: "both copies at once", newRegion: () => new BothCopiesAtOnce() },
  { name: "record stored after the copies", newRegion: () => new StoresReversed() },
  { name: "no disk-sync copy 2", newRegion: without(FILE.disk2) },
  { name: "no process-sync copy 2", newRegion: () => new NoProcessCopy2() },
  { name: "no commit record", newRegion: without(...RECORDS) },
  { name: "records all in one place", newRegion: () => new RecordsInOnePlace() },
  { name: "flush later: no sync of the cells", newRegion: () => new LaterWithoutCellSync(), workload: later },
  { name: "flush later: an overtaken one stores", newRegion: () => new OvertakenGoesOn(false), workload: overtaken },
  {
    name: "flush later: an overtaken one acknowledges",
    newRegion: () => new OvertakenGoesOn(true),
    workload: overtaken,
  },
  { name: "flush: its record covers no cells", newRegion: () => new RestartedBeforeFlush() },
  {
    name: "flush later: records cover only the cells after it",
    newRegion: () => new RestartedDuringFlush(),
    workload: later,
  },
  { name: "records of what was given up stay", newRegion: () => new CommittedOnce() },
  { name: "opening touches the records before its state is durable", newRegion: () => new RecordsBeforeState() },
  { name: "opening stores its state before the cells are synced", newRegion: () => new StateBeforeCells() },
  { name: "opening stores both copies of its state at once", newRegion: () => new StateInBothCopies() },
  { name: "opening does not repair copies", newRegion: () => new NoRepair(), workload: later },
  { name: "opening repairs a copy without a sync before it", newRegion: () => new RepairWithoutSync() },
  { name: "opening publishes the flush before the commit", newRegion: () => new FlushBeforeCommit() },
  {
    name: "opening gives cells back before its flush",
    newRegion: () => new GivenBackFirst(),
    workload: "truncate, write the same again",
  },
  {
    name: "cells above the length taken for zero",
    newRegion: () => new NotZeroed(),
    workload: "cells filled through a view",
  },
  {
    name: "cells that a truncation emptied taken for zero",
    newRegion: () => new NotZeroed(true),
    workload: "truncate",
  },
];
