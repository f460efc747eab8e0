/** What a storage that is open knows of its cells: the checks of indices, and the views. */

import { StorageError, wrongType } from "../error.ts";
import { startIndexOf } from "../format/layout.ts";
import type { StorageConfig } from "../format/config.ts";
import type { ReadableRegion } from "../region/region.ts";

/** The longest view, and the longest blob that is read in one piece. */
export const MAX_VIEW_BYTES: number = 2 ** 31;

type CellMemory = Pick<ReadableRegion, "path" | "address" | "view">;

export class Cells {
  readonly region: CellMemory;
  readonly path: string;
  readonly bytesPerCell: number;
  readonly startIndex: number;
  /** The cells that may be read, the header area included. Set by the owner. */
  length: number;
  /** 0 for none. Set by the owner. */
  root: number;
  closed = false;

  constructor(region: CellMemory, config: Pick<StorageConfig, "bytesPerCell">, length: number, root: number) {
    this.region = region;
    this.path = region.path;
    this.bytesPerCell = config.bytesPerCell;
    this.startIndex = startIndexOf(config.bytesPerCell);
    this.length = length;
    this.root = root;
  }

  /** @throws CLOSED */
  checkOpen(): void {
    if (this.closed) {
      const message = `${this.path}: the storage is closed: open it again`;
      throw new StorageError("CLOSED", message, { path: this.path });
    }
  }

  /** @throws INDEX_OUT_OF_RANGE not an index of data; TypeError not a number */
  checkIndex(index: number): void {
    if (typeof index === "number" && index >= this.startIndex && index < this.length && Number.isInteger(index)) return;
    if (typeof index !== "number") throw wrongType("index", "a number", index);
    this.#outOfRange(index, `expected an index from ${this.startIndex} to ${this.length - 1}, got ${index}`);
  }

  /** A view of `count` units of `unitBytes` bytes, from the cell on. */
  view(index: number, count: number, unitBytes: number): Uint8Array {
    this.checkOpen();
    this.checkIndex(index);
    const offset = index * this.bytesPerCell;
    const mostBytes = Math.min(this.length * this.bytesPerCell - offset, MAX_VIEW_BYTES);
    if (!(typeof count === "number" && count >= 0 && count * unitBytes <= mostBytes && Number.isInteger(count))) {
      if (typeof count !== "number") throw wrongType("length of a view", "a number", count);
      const what = `from index ${index} on a view has at most ${Math.floor(mostBytes / unitBytes)} units of ${unitBytes} bytes`;
      this.#outOfRange(index, `${what}, got ${count}`);
    }
    return this.region.view(offset, count * unitBytes);
  }

  #outOfRange(index: number, what: string): never {
    throw new StorageError("INDEX_OUT_OF_RANGE", `${this.path}: ${what}`, { path: this.path, index });
  }
}
