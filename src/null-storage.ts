/** A placeholder for "no storage yet". */

import { checkConfig } from "./format/config.ts";
import { MAX_U32 } from "./format/layout.ts";
import { Cells } from "./cells/cells.ts";
import { Storage } from "./storage.ts";

const config = checkConfig({ headString: "", version: 0, bytesPerCell: 32, maxIndex: MAX_U32 });
/** Never called: every function of a closed storage throws CLOSED first. */
const unreachable = (): never => {
  throw new Error("the null storage has no file");
};
const region = { path: "(null)", address: 0, sizeBytes: 0, view: unreachable, stat: unreachable };

class NullStorage extends Storage {
  readonly mode = "reader";
  readonly #cells: Cells;

  constructor() {
    const cells = new Cells(region, config.bytesPerCell, { next: 0, root: 0 });
    cells.close();
    super({ region, config, cells, snapshot: unreachable });
    this.#cells = cells;
  }

  stats(): never {
    this.#cells.checkOpen();
    return unreachable();
  }

  close(): void {}
}

/** A closed storage without cells: every access throws CLOSED, and closing does nothing. */
export const nullStorage: Storage = new NullStorage();
