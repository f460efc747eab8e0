/** A placeholder for "no storage yet". */

import { checkConfig } from "./format/config.ts";
import { MAX_U32 } from "./format/layout.ts";
import type { RegionStat } from "./region/region.ts";
import { type StorageStats, storageStats } from "./stats.ts";
import { Cells } from "./cells/cells.ts";
import type { Snapshot } from "./state/snapshot.ts";
import { Storage } from "./storage.ts";

const config = checkConfig({ headString: "", version: 0, bytesPerCell: 32, maxIndex: MAX_U32 });
const nothing: RegionStat = { sizeBytes: 0, allocatedBytes: 0, permissions: 0, links: 0, windows: 0 };
const region = {
  path: "(null)",
  address: 0,
  sizeBytes: 0,
  view: (): Uint8Array<ArrayBuffer> => new Uint8Array(0),
  stat: () => nothing,
};

class NullStorage extends Storage {
  readonly mode = "reader";
  readonly #cells: Cells;

  constructor() {
    const cells = new Cells(region, config, 0, 0);
    cells.closed = true;
    const snapshot = (): Snapshot => ({
      header: { next: 0, root: 0 },
      check: () => undefined,
      checkTrust: () => undefined,
    });
    super({ region, config, cells, snapshot });
    this.#cells = cells;
  }

  /** Always null. */
  get root(): null {
    return null;
  }

  stats(): StorageStats {
    this.#cells.checkOpen();
    return storageStats(region, this.#cells, 0);
  }

  close(): void {}
}

/** A closed storage without cells: every access throws CLOSED, and closing does nothing. */
export const nullStorage: Storage = new NullStorage();
