/** Faults that can be told at the seam: what a protocol that stores or syncs otherwise would leave on the disk. */

import { FILE, HEADER_BYTES } from "../../../src/format/layout.ts";
import type { HeaderStore } from "../../../src/region/region.ts";
import { PAGE_BYTES, RecordingRegion } from "./recording-region.ts";
import { REGION_BYTES } from "./replay.ts";

type Fault = () => RecordingRegion;

/** Knows which of a flush's two syncs it is: the one for the cells, or the one for disk-sync copy 1. */
class FlushRegion extends RecordingRegion {
  protected isForCopy1 = false;

  override load(image: Uint8Array): void {
    super.load(image);
    this.isForCopy1 = false;
  }

  override store(...stores: HeaderStore[]): void {
    for (const { offset } of stores) this.isForCopy1 = offset === FILE.disk1.offset;
    super.store(...stores);
  }
}

class NoCellSync extends FlushRegion {
  protected override beginSync(toBytes: number): number {
    return super.beginSync(this.isForCopy1 ? toBytes : 0);
  }
}

class NoHeaderSync extends FlushRegion {
  protected override beginSync(toBytes: number): number {
    return super.beginSync(this.isForCopy1 ? 0 : toBytes);
  }
}

class SyncPageShort extends RecordingRegion {
  protected override beginSync(toBytes: number): number {
    return super.beginSync(toBytes > PAGE_BYTES ? toBytes - PAGE_BYTES : toBytes);
  }
}

class SizeNotDurable extends RecordingRegion {
  protected override beginSync(toBytes: number): number {
    return super.beginSync(toBytes, false);
  }
}

/** Copy 1 is stored before the cells are synced; then both are. */
class CopyBeforeCells extends FlushRegion {
  protected override beginSync(): number {
    return super.beginSync(this.isForCopy1 ? this.sizeBytes : 0);
  }
}

class BothCopiesAtOnce extends RecordingRegion {
  override store(...stores: HeaderStore[]): void {
    const [store] = stores;
    if (store?.offset !== FILE.disk1.offset) super.store(...stores);
    else super.store(store, { ...store, offset: FILE.disk2.offset });
  }
}

class StoresReversed extends RecordingRegion {
  override store(...stores: HeaderStore[]): void {
    super.store(...stores.reverse());
  }
}

/** Stores process-sync copy 1 alone. */
class NoProcessCopy2 extends RecordingRegion {
  override store(...stores: HeaderStore[]): void {
    super.store(
      ...stores.map(({ offset, bytes }) => {
        return offset === FILE.process1.offset ? { offset, bytes: bytes.subarray(0, HEADER_BYTES) } : { offset, bytes };
      }),
    );
  }
}

/** Never stores at one of the places. */
function without(...places: readonly { readonly offset: number }[]): Fault {
  return () =>
    new (class extends RecordingRegion {
      override store(...stores: HeaderStore[]): void {
        super.store(...stores.filter(({ offset }) => !places.some((place) => place.offset === offset)));
      }
    })(REGION_BYTES);
}

export const seamMutants: Readonly<Record<string, Fault>> = {
  "no sync of the cells": () => new NoCellSync(REGION_BYTES),
  "no sync of copy 1": () => new NoHeaderSync(REGION_BYTES),
  "sync a page short": () => new SyncPageShort(REGION_BYTES),
  "size not durable": () => new SizeNotDurable(REGION_BYTES),
  "copy 1 before the cells": () => new CopyBeforeCells(REGION_BYTES),
  "both copies at once": () => new BothCopiesAtOnce(REGION_BYTES),
  "stores reversed": () => new StoresReversed(REGION_BYTES),
  "no disk-sync copy 2": without(FILE.disk2),
  "no process-sync copy 2": () => new NoProcessCopy2(REGION_BYTES),
  "no commit record": without(FILE.commitRecord1, FILE.commitRecord2),
};
