/** A region without memory, which keeps the order of what is asked of it. */

import { StorageError } from "../../src/error.ts";
import type { HeaderStore, RepairableRegion } from "../../src/region/region.ts";

export class RecordingStub implements RepairableRegion {
  readonly calls: (readonly [name: string, ...places: number[]])[] = [];
  sizeBytes: number;
  /** Nothing grows then. */
  readonly diskFull: boolean;

  constructor(sizeBytes: number, diskFull = false) {
    this.sizeBytes = sizeBytes;
    this.diskFull = diskFull;
  }

  store(...stores: HeaderStore[]): void {
    this.calls.push(["store", ...stores.map(({ offset }) => offset)]);
  }

  grow(fromBytes: number, toBytes: number): void {
    if (this.diskFull) throw new StorageError("DISK_FULL", "the disk is full");
    this.calls.push(["grow", fromBytes, toBytes]);
    this.sizeBytes = toBytes;
  }

  rewriteUncached(fromBytes: number, toBytes: number): void {
    this.calls.push(["rewriteUncached", fromBytes, toBytes]);
  }

  sync(toBytes: number): void {
    this.calls.push(["sync", toBytes]);
  }
}
