/** A placeholder for "no storage yet". */

import { checkConfig } from "./format/config.ts";
import { MAX_U32 } from "./format/layout.ts";
import { Cells } from "./store/cells.ts";
import { Storage } from "./storage.ts";

const config = checkConfig({ headString: "", version: 0, bytesPerCell: 32, maxIndex: MAX_U32 });

class NullStorage extends Storage {
  readonly mode = "reader";

  constructor() {
    const view = (): Uint8Array => new Uint8Array(0);
    const region = { path: "(null)", address: 0, sizeBytes: 0, view };
    const cells = new Cells(region, config, 0, 0);
    cells.closed = true;
    super({ region, config, cells });
  }

  /** Always null. */
  get root(): null {
    return null;
  }

  close(): void {}
}

/** A closed storage of no cells: every access throws CLOSED, closing does nothing. */
export const nullStorage: Storage = new NullStorage();
