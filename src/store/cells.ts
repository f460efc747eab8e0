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
    if (index >= this.startIndex && index < this.length && Number.isInteger(index)) return;
    if (typeof index !== "number") throw wrongType("index", "a number", index);
    this.#outOfRange(index, `expected an index from ${this.startIndex} to ${this.length - 1}, got ${index}`);
  }

  /** A view of `byteLength` bytes from the cell on. */
  view(index: number, byteLength: number, what: string): Uint8Array {
    this.checkOpen();
    this.checkIndex(index);
    if (typeof byteLength !== "number") throw wrongType(what, "a number", byteLength);
    const offset = index * this.bytesPerCell;
    const restBytes = this.length * this.bytesPerCell - offset;
    if (!(Number.isInteger(byteLength) && byteLength >= 0 && byteLength <= Math.min(restBytes, MAX_VIEW_BYTES))) {
      const most = Math.min(restBytes, MAX_VIEW_BYTES);
      this.#outOfRange(index, `${what}: expected at most ${most} bytes from index ${index} on, got ${byteLength}`);
    }
    return this.region.view(offset, byteLength);
  }

  #outOfRange(index: number, what: string): never {
    throw new StorageError("INDEX_OUT_OF_RANGE", `${this.path}: ${what}`, { path: this.path, index });
  }
}
