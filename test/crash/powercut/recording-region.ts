/**
 * A region that writes down everything that decides what a disk may hold: each header store on its own, syncs with
 * their beginning and end, changes of size, and of all other bytes the difference since the call before.
 * It also refuses what a mapped file could not survive: stores into the header area past the seam, into space that
 * was not reserved, or past the end.
 */

import { HEADER_AREA_BYTES } from "../../../src/format/layout.ts";
import type { HeaderStore } from "../../../src/region/region.ts";
import { ArrayRegion } from "./array-region.ts";

export const PAGE_BYTES = 4096;
/** How far past the end stray stores are looked for. */
const GUARD_BYTES = 2 * PAGE_BYTES;

/** Bytes at a place. */
export interface Span {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** What the application knows, between the region's events: the states it published, and what it was told of them. */
export type Mark =
  /** A commit, a flush or a truncation is called. */
  | { readonly kind: "begins"; readonly order: number }
  /** Its commit has returned; `provable` unless cells were changed in place. */
  | { readonly kind: "returns"; readonly order: number; readonly provable: boolean }
  /** Its flush was acknowledged. */
  | { readonly kind: "durable"; readonly order: number }
  /** Committed cells were changed in place: only the flush counts. */
  | { readonly kind: "unproven" }
  /** The file got its name, and the directory was synced. */
  | { readonly kind: "linked" }
  | { readonly kind: "named" };

export type LogEntry =
  | { readonly kind: "store"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "cells"; readonly spans: readonly Span[] }
  | { readonly kind: "grow"; readonly reservedBytes: number; readonly sizeBytes: number }
  | { readonly kind: "syncStarts"; readonly id: number; readonly toBytes: number; readonly withSize: boolean }
  | { readonly kind: "syncEnds"; readonly id: number }
  | Mark;

interface PendingSync {
  readonly id: number;
  readonly resolve: () => void;
}

export class RecordingRegion extends ArrayRegion {
  log: LogEntry[] = [];
  readonly #shadow: Uint8Array;
  readonly #pending: PendingSync[] = [];
  #reservedBytes = 0;
  #syncs = 0;
  #closed = false;

  constructor(maxBytes: number) {
    super(maxBytes);
    this.#shadow = new Uint8Array(maxBytes);
  }

  override load(image: Uint8Array): void {
    const usedBytes = Math.min(this.memory.length, Math.max(image.length, this.sizeBytes + GUARD_BYTES));
    super.load(image);
    this.#shadow.set(this.memory.subarray(0, usedBytes));
    this.log = [];
    this.#pending.length = 0;
    this.#reservedBytes = 0;
    this.#closed = false;
  }

  /** Says that blocks hold `[0, reservedBytes)` already. */
  reserve(reservedBytes: number): void {
    this.#reservedBytes = reservedBytes;
  }

  mark(mark: Mark): void {
    this.observe();
    this.log.push(mark);
  }

  override store(...stores: HeaderStore[]): void {
    this.observe();
    if (this.#closed) throw new Error("a header was stored after close");
    for (const { offset, bytes } of stores) {
      if (offset % 4 !== 0 || bytes.length % 4 !== 0 || offset + bytes.length > HEADER_AREA_BYTES) {
        throw new RangeError(`store of ${bytes.length} bytes at ${offset}`);
      }
      super.store({ offset, bytes });
      this.#shadow.set(bytes, offset);
      this.log.push({ kind: "store", offset, bytes: bytes.slice() });
    }
  }

  override grow(fromBytes: number, toBytes: number): void {
    this.observe();
    super.grow(fromBytes, toBytes);
    this.#reservedBytes = Math.max(this.#reservedBytes, toBytes);
    this.log.push({ kind: "grow", reservedBytes: this.#reservedBytes, sizeBytes: this.sizeBytes });
  }

  /** What is given back must be reserved again. */
  override deallocate(fromBytes: number, toBytes: number): void {
    this.observe();
    if (!this.canDeallocate) return;
    const spans: Span[] = [];
    for (let start = fromBytes; start < toBytes; start = (Math.floor(start / PAGE_BYTES) + 1) * PAGE_BYTES) {
      const bytes = new Uint8Array(Math.min(PAGE_BYTES - (start % PAGE_BYTES), toBytes - start));
      if (Buffer.compare(bytes, this.memory.subarray(start, start + bytes.length)) === 0) continue;
      this.memory.set(bytes, start);
      this.#shadow.set(bytes, start);
      spans.push({ offset: start, bytes });
    }
    if (spans.length > 0) this.log.push({ kind: "cells", spans });
    this.#reservedBytes = Math.min(this.#reservedBytes, fromBytes);
  }

  /** The direct write may reach the disk, as every page may at any time. */
  override rewriteUncached(_fromBytes: number, _toBytes: number): void {
    this.observe();
  }

  override sync(toBytes: number): void {
    this.#endSync(this.beginSync(toBytes));
  }

  /** Goes on until {@link drain}. */
  override syncLater(): Promise<void> {
    const id = this.beginSync(this.sizeBytes);
    return new Promise((resolve) => this.#pending.push({ id, resolve }));
  }

  /** Lets the oldest asynchronous sync return. False if there is none. */
  drain(): boolean {
    const pending = this.#pending.shift();
    if (pending === undefined) return false;
    this.#endSync(pending.id);
    pending.resolve();
    return true;
  }

  /** The process is killed: no sync that is in flight is ever heard of. */
  abandon(): void {
    this.#pending.length = 0;
    this.#closed = false;
  }

  override close(): void {
    this.observe();
    this.#closed = true;
  }

  /** For mutants: what a sync covers. */
  protected beginSync(toBytes: number, withSize = true): number {
    this.observe();
    const id = this.#syncs++;
    this.log.push({ kind: "syncStarts", id, toBytes, withSize });
    return id;
  }

  #endSync(id: number): void {
    this.observe();
    this.log.push({ kind: "syncEnds", id });
  }

  /** Takes the difference of all cells since the last time. */
  observe(): void {
    const endBytes = Math.min(this.memory.length, this.sizeBytes + GUARD_BYTES);
    const live = Buffer.from(this.memory.buffer, 0, endBytes);
    if (live.compare(this.#shadow, 0, endBytes) === 0) return;
    const spans: Span[] = [];
    for (let start = 0; start < endBytes; start += PAGE_BYTES) {
      const end = Math.min(start + PAGE_BYTES, endBytes);
      if (live.compare(this.#shadow, start, end, start, end) !== 0) spans.push(this.#difference(start, end));
    }
    for (const { offset, bytes } of spans) {
      this.#checkPlace(offset, offset + bytes.length);
      this.#shadow.set(bytes, offset);
    }
    this.log.push({ kind: "cells", spans });
  }

  #difference(start: number, end: number): Span {
    let first = start;
    let last = end - 1;
    while (this.memory[first] === this.#shadow[first]) first++;
    while (this.memory[last] === this.#shadow[last]) last--;
    return { offset: first, bytes: this.memory.slice(first, last + 1) };
  }

  #checkPlace(from: number, to: number): void {
    const where = `[${from}, ${to})`;
    if (this.#closed) throw new Error(`${where} was changed after close`);
    if (from < HEADER_AREA_BYTES) throw new Error(`${where}: the header area was changed past the seam`);
    if (to > this.#reservedBytes) throw new Error(`${where} was changed, reserved are ${this.#reservedBytes} bytes`);
  }
}

/** Applies an entry to an image in memory; the answer is the file's size. */
export function applyToMemory(memory: Uint8Array, sizeBytes: number, entry: LogEntry): number {
  if (entry.kind === "store") memory.set(entry.bytes, entry.offset);
  else if (entry.kind === "cells") for (const { offset, bytes } of entry.spans) memory.set(bytes, offset);
  else if (entry.kind === "grow") return entry.sizeBytes;
  return sizeBytes;
}
