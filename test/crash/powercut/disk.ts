/**
 * What a disk may hold at a moment. A unit is what reaches the disk at one instant: each page; of page 0, which is
 * stored into while it may be on its way, each 64-byte line of the header area, and the rest of the page.
 * A unit has every version that it had since the start of its last completed sync. Versions of header lines are taken
 * after each 4-byte word, in both orders: a store is one `pwrite`, whose bytes may be seen in any.
 */

import { HEADER_AREA_BYTES } from "../../../src/format/layout.ts";
import { itemAt } from "./random.ts";
import { type LogEntry, PAGE_BYTES, type Span } from "./recording-region.ts";

export const LINE_BYTES = 64;
export const HEADER_LINES: number = HEADER_AREA_BYTES / LINE_BYTES;

export interface Version {
  readonly bytes: Uint8Array;
  /** When it came to be; counts words stored. */
  readonly instant: number;
  /** For header lines: after a whole store, in the middle of one, or after any other word of it. */
  readonly kind: "whole" | "half" | "torn";
}

export interface Unit {
  readonly offset: number;
  /** Oldest first, never empty. */
  versions: Version[];
}

export interface Size {
  readonly sizeBytes: number;
  readonly instant: number;
}

interface Sync {
  readonly id: number;
  readonly instant: number;
  readonly toBytes: number;
  readonly withSize: boolean;
}

export class Disk {
  /** The header's lines, the rest of page 0, then a unit a page. */
  units: Unit[] = [];
  /** The sizes that the file may have, oldest first. */
  sizes: Size[];
  /** Words stored so far. */
  instant = 0;
  #syncs: Sync[] = [];

  /** A disk that holds just this. */
  constructor(image: Uint8Array) {
    this.sizes = [{ sizeBytes: image.length, instant: 0 }];
    for (let line = 0; line < HEADER_LINES; line++) this.#addUnit(line * LINE_BYTES, (line + 1) * LINE_BYTES, image);
    this.#addUnit(HEADER_AREA_BYTES, PAGE_BYTES, image);
    this.#cover(image.length, image);
  }

  /** The same disk, from here on by itself. */
  clone(): Disk {
    const copy = new Disk(new Uint8Array(0));
    copy.units = this.units.map(({ offset, versions }) => ({ offset, versions: [...versions] }));
    copy.sizes = [...this.sizes];
    copy.instant = this.instant;
    // A sync that was in flight when its process was killed promises nothing to anybody.
    return copy;
  }

  apply(entry: LogEntry): void {
    if (entry.kind === "store") this.#store(entry);
    else if (entry.kind === "cells") this.#change(entry.spans);
    else if (entry.kind === "grow") this.#resize(entry.sizeBytes);
    else if (entry.kind === "syncStarts") this.#syncs.push({ ...entry, instant: this.instant });
    else if (entry.kind === "syncEnds") this.#synced(entry.id);
  }

  /** A file that was made so long, of which nothing is known to be on the disk yet. */
  static created(sizeBytes: number): Disk {
    const disk = new Disk(new Uint8Array(0));
    disk.#resize(sizeBytes);
    return disk;
  }

  #store({ offset, bytes }: Span): void {
    for (let at = 0; at < bytes.length;) {
      const unit = itemAt(this.units, Math.floor((offset + at) / LINE_BYTES));
      const end = Math.min(bytes.length, unit.offset + LINE_BYTES - offset);
      this.#storeInLine(unit, { offset: offset + at - unit.offset, bytes: bytes.subarray(at, end) });
      at = end;
    }
  }

  /**
   * The part of a store in one line: each line is at a version of its own, so all copies in one store may be torn at once.
   */
  #storeInLine(unit: Unit, { offset, bytes }: Span): void {
    const before = newest(unit).bytes;
    const words: number[] = [];
    for (let at = 0; at < bytes.length; at += 4) {
      const old = before.subarray(offset + at, offset + at + 4);
      if (Buffer.compare(old, bytes.subarray(at, at + 4)) !== 0) words.push(at);
    }
    const versionsIn = (order: readonly number[]): Uint8Array[] => {
      const line = before.slice();
      return order.map((at) => {
        line.set(bytes.subarray(at, at + 4), offset + at);
        return line.slice();
      });
    };
    const ascending = versionsIn(words);
    // The last of either order is the whole store.
    const descending = versionsIn(words.toReversed()).slice(0, -1);
    const middle = Math.floor((words.length - 1) / 2);
    descending.forEach((after) => {
      this.instant++;
      unit.versions.push({ bytes: after, instant: this.instant, kind: "torn" });
    });
    ascending.forEach((after, i) => {
      this.instant++;
      const kind = i === words.length - 1 ? "whole" : i === middle ? "half" : "torn";
      unit.versions.push({ bytes: after, instant: this.instant, kind });
    });
  }

  #change(spans: readonly Span[]): void {
    this.instant++;
    for (const { offset, bytes } of spans) {
      const unit = itemAt(this.units, HEADER_LINES + Math.floor(offset / PAGE_BYTES));
      const after = newest(unit).bytes.slice();
      after.set(bytes, offset - unit.offset);
      unit.versions.push({ bytes: after, instant: this.instant, kind: "whole" });
    }
  }

  #resize(sizeBytes: number): void {
    this.instant++;
    if (sizeBytes !== this.sizes.at(-1)?.sizeBytes) this.sizes.push({ sizeBytes, instant: this.instant });
    this.#cover(sizeBytes, new Uint8Array(0));
  }

  #synced(id: number): void {
    const sync = this.#syncs.find((candidate) => candidate.id === id);
    if (sync === undefined) throw new Error(`sync ${id} ends, and never began`);
    this.#syncs = this.#syncs.filter((candidate) => candidate !== sync);
    const pageEnd = Math.ceil(sync.toBytes / PAGE_BYTES) * PAGE_BYTES;
    for (const unit of this.units) if (unit.offset < pageEnd) unit.versions = since(unit.versions, sync.instant);
    if (sync.withSize) this.sizes = since(this.sizes, sync.instant);
  }

  #cover(sizeBytes: number, image: Uint8Array): void {
    for (;;) {
      const start = (this.units.length - HEADER_LINES) * PAGE_BYTES;
      if (start >= sizeBytes) return;
      this.#addUnit(start, start + PAGE_BYTES, image);
    }
  }

  #addUnit(start: number, end: number, image: Uint8Array): void {
    const bytes = new Uint8Array(end - start);
    bytes.set(image.subarray(start, end));
    this.units.push({ offset: start, versions: [{ bytes, instant: 0, kind: "whole" }] });
  }
}

export function newest(unit: Unit): Version {
  return itemAt(unit.versions, unit.versions.length - 1);
}

/** What was there at the instant, and all that came after. */
function since<T extends { readonly instant: number }>(all: readonly T[], instant: number): T[] {
  const first = all.findLastIndex((item) => item.instant <= instant);
  return all.slice(Math.max(0, first));
}
