/** What a writer does to cells: gives them out, fills them with blobs and fields, and knows what others may see. */

import { StorageError, wrongType } from "../error.ts";
import type { WritableRegion } from "../region/region.ts";
import { type Cells, MAX_VIEW_BYTES } from "./cells.ts";
import type { RunningCrc } from "./proof.ts";
import type { Space } from "./space.ts";
import { Stage } from "./stage.ts";

export class WritableCells {
  readonly #cells: Cells;
  readonly #space: Space;
  readonly #running: RunningCrc;
  readonly #stage: Stage;

  constructor(region: WritableRegion, cells: Cells, space: Space, running: RunningCrc) {
    this.#cells = cells;
    this.#space = space;
    this.#running = running;
    this.#stage = new Stage(region, cells.bytesPerCell, space, (first, bytes) => running.feed(first, bytes));
    cells.owner = { settle: () => this.settle(), exposed: (end) => running.exposed(end) };
  }

  /** Cells that are sure to have room, the used ones included. */
  get reservedCells(): number {
    return this.#space.reserved;
  }

  /** Brings what is staged into memory. @throws DISK_FULL, SYSTEM */
  settle(): void {
    this.#stage.drain();
    this.#cells.setLength(this.#space.length);
  }

  /** The first of `count` consecutive cells, all zero. */
  allocate(count: number): number {
    if (!Number.isInteger(count) || count < 1) throw wrongType("count", "a positive whole number", count);
    this.settle();
    const first = this.#space.take(count);
    const { bytesPerCell } = this.#cells;
    this.#space.clear(first * bytesPerCell, (first + count) * bytesPerCell);
    this.#cells.setLength(this.#space.length);
    return first;
  }

  /** Stages a blob, and returns its index. */
  write(blob: Uint8Array): number {
    if (blob.length > MAX_VIEW_BYTES) {
      const { path } = this.#cells;
      const message = `${path}: a blob has at most 2^31 bytes, got ${blob.length}: write it in parts`;
      throw new StorageError("UNSUPPORTED", message, { path });
    }
    try {
      return this.#stage.add(blob);
    } finally {
      this.#cells.setLength(this.#space.length, this.#stage.drained);
    }
  }

  /** Checks a store of `value` into a field, and notes that its cell changes. */
  change(index: number, offset: number, lengthBytes: number, value: number | bigint, most: number | bigint): void {
    const { bytesPerCell } = this.#cells;
    this.#cells.checkField(index, offset, lengthBytes);
    const fits = typeof value === typeof most && value >= 0 && value <= most;
    if (!fits || (typeof value === "number" && !Number.isInteger(value))) {
      throw wrongType("value", `a ${typeof most === "bigint" ? "bigint" : "whole number"} from 0 to ${most}`, value);
    }
    const isInside = offset + lengthBytes <= bytesPerCell;
    this.#running.changed(isInside ? index : index + Math.floor((offset + lengthBytes - 1) / bytesPerCell));
  }

  /** Takes every cell back, and makes sure of room for `capacityCells`. */
  empty(capacityCells: number | null): void {
    const { startIndex } = this.#cells;
    this.#space.empty(startIndex);
    this.#stage.restart();
    this.#cells.setLength(startIndex);
    this.#cells.root = 0;
    if (capacityCells !== null) this.#space.ensure(capacityCells);
  }
}
