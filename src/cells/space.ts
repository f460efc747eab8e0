/**
 * Space: three marks, `length <= reserved <= file`. No index above `reserved` is given out, for a store into a hole
 * of the file on a full disk would end the process. Cells behind `length` may hold anything, but up to a mark of zeros.
 */

import { StorageError } from "../error.ts";
import type { CheckedConfig } from "../format/config.ts";
import { MAX_U32 } from "../format/layout.ts";
import { pageSizeBytes } from "../os/mapping.ts";
import type { WritableRegion } from "../region/region.ts";

/** The default step doubles the file, between these: ten blobs take little, 100 GB grow in few steps. */
const MIN_STEP_BYTES = 64 * 1024;
const MAX_STEP_BYTES = 64 * 1024 * 1024;

const zeros: Uint8Array = new Uint8Array(16 * 1024);

/** Cells that a new file has at once. */
export function initialCells(config: CheckedConfig, startIndex: number, stepBytes: number | null): number {
  const cells = Math.floor((stepBytes ?? MIN_STEP_BYTES) / config.bytesPerCell);
  return clamp(cells, startIndex, config.maxIndex);
}

export class Space {
  readonly #region: WritableRegion;
  readonly #bytesPerCell: number;
  readonly #maxIndex: number;
  readonly #stepBytes: number | null;
  readonly #beforeGrowth: () => void;
  #length: number;
  #reserved: number;
  /** From `length` up to here bytes are known to be zero. */
  #zeroedBytes = 0;

  /**
   * Marks of a region that is open: `length` from its header.
   * @param beforeGrowth looks at the file: one that was cut would seem whole when it has grown
   * @param reserved cells that are known to have room on the disk
   */
  constructor(
    region: WritableRegion,
    config: CheckedConfig,
    stepBytes: number | null,
    length: number,
    beforeGrowth: () => void,
    reserved: number = length,
  ) {
    this.#region = region;
    this.#bytesPerCell = config.bytesPerCell;
    this.#maxIndex = config.maxIndex;
    this.#stepBytes = stepBytes;
    this.#beforeGrowth = beforeGrowth;
    this.#length = length;
    this.#reserved = reserved;
  }

  /** Cells given out, the header area included: the next index. */
  get length(): number {
    return this.#length;
  }

  /** Cells that can be given out without growing, the header area included. */
  get reserved(): number {
    return this.#reserved;
  }

  /** Cells in the file; at most `maxIndex`, whatever the file's size. */
  get fileCells(): number {
    return Math.min(Math.floor(this.#region.sizeBytes / this.#bytesPerCell), this.#maxIndex);
  }

  /**
   * Gives out `count` cells, and returns the first index. Their content is left as it is: see {@link zero}.
   * @throws INDEX_OVERFLOW, DISK_FULL; nothing has changed
   */
  take(count: number): number {
    const first = this.#length;
    const next = first + count;
    if (next > this.#reserved) this.#reserve(next);
    this.#length = next;
    return first;
  }

  /**
   * Zeroes cells just taken, and some more: written by the kernel, for a page fault on a block that is only reserved
   * costs many times as much. In small pieces, for the kernel caches a piece as a whole, and a flush writes the whole
   * of what a store has touched.
   * @throws DISK_FULL, SYSTEM
   */
  zero(fromBytes: number, toBytes: number): void {
    const reservedBytes = this.#reserved * this.#bytesPerCell;
    this.#zeroedBytes = Math.max(this.#zeroedBytes, fromBytes);
    while (this.#zeroedBytes < toBytes) {
      const lengthBytes = Math.min(zeros.length, reservedBytes - this.#zeroedBytes);
      this.#region.write(this.#zeroedBytes, zeros.subarray(0, lengthBytes));
      this.#zeroedBytes += lengthBytes;
    }
  }

  /**
   * Makes sure that `cells` cells can be given out without growing.
   * @throws INDEX_OVERFLOW, DISK_FULL
   */
  ensure(cells: number): void {
    if (cells > this.#reserved) this.#reserve(cells);
  }

  /** Takes the cells from `length` on back, which nothing refers to. They keep their bytes until they are given out. */
  giveBack(length: number): void {
    this.#zeroedBytes = 0;
    this.#length = length;
  }

  /**
   * Gives the disk space back that is reserved past the next step, but not that of the first `keptCells`: what a blob
   * that was given up had reserved.
   */
  releaseReserve(keptCells: number): void {
    const kept = Math.max(keptCells, this.#length + this.#stepCells());
    if (kept >= this.#reserved) return;
    this.#region.deallocate(wholePages(kept * this.#bytesPerCell), this.#reserved * this.#bytesPerCell);
    this.#reserved = kept;
  }

  /** Reserves at least up to `required`, a step if there is room for one. */
  #reserve(required: number): void {
    const { path } = this.#region;
    if (required > this.#maxIndex) {
      const more = this.#maxIndex < MAX_U32 ? "a higher one" : "larger cells, for no storage has more of them";
      const message = `${path}: ${required} cells are needed, and maxIndex is ${this.#maxIndex}: write to a new storage with ${more}`;
      throw new StorageError("INDEX_OVERFLOW", message, { path });
    }
    this.#beforeGrowth();
    for (let target = this.#target(required); ; target = required + Math.floor((target - required) / 2)) {
      try {
        this.#region.grow(this.#reserved * this.#bytesPerCell, target * this.#bytesPerCell);
        this.#reserved = target;
        return;
      } catch (error) {
        const full = error instanceof StorageError && error.code === "DISK_FULL";
        if (!full) throw error;
        if (target > required) continue;
        // A file system may have allocated a part before it met the end of its space.
        this.#region.deallocate(wholePages(this.#reserved * this.#bytesPerCell), this.#region.sizeBytes);
        throw error;
      }
    }
  }

  #target(required: number): number {
    const fileCells = this.fileCells;
    if (required <= fileCells) return Math.min(fileCells, Math.max(required, this.#reserved + this.#stepCells()));
    const stepCells = this.#stepCells();
    // With a step that was chosen: whole steps, as many as the original takes (one more than just enough).
    const steps = Math.floor((required - fileCells) / stepCells) + 1;
    const target = this.#stepBytes === null ? Math.max(required, fileCells + stepCells) : fileCells + steps * stepCells;
    return Math.min(target, this.#maxIndex);
  }

  #stepCells(): number {
    const lengthBytes = this.#length * this.#bytesPerCell;
    const stepBytes = this.#stepBytes ?? clamp(lengthBytes, MIN_STEP_BYTES, MAX_STEP_BYTES);
    return Math.max(1, Math.floor(stepBytes / this.#bytesPerCell));
  }
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(value, most));
}

/**
 * Makes the file whole cells, and long enough that the page of the last of `cells` is whole too: a part of a page
 * cannot be renewed. A foreign tool, or a writer killed where blocks cannot be reserved, may have left a part of a
 * cell at the end.
 * @returns the whole cells that the file has now
 */
export function makeWhole(
  region: Pick<WritableRegion, "sizeBytes" | "grow">,
  { bytesPerCell, maxIndex }: CheckedConfig,
  cells: number,
): number {
  const pageEnd = wholePages(cells * bytesPerCell);
  const fileCells = Math.ceil(region.sizeBytes / bytesPerCell);
  const wholeCells = Math.max(fileCells, Math.min(maxIndex, Math.ceil(pageEnd / bytesPerCell)));
  if (wholeCells * bytesPerCell <= region.sizeBytes) return wholeCells;
  try {
    region.grow(region.sizeBytes, wholeCells * bytesPerCell);
    return wholeCells;
  } catch (error) {
    // A full disk keeps no storage from opening: the part of a cell is made whole when the file grows.
    if (!(error instanceof StorageError) || error.code !== "DISK_FULL") throw error;
    return Math.floor(region.sizeBytes / bytesPerCell);
  }
}

export function wholePages(sizeBytes: number): number {
  return Math.ceil(sizeBytes / pageSizeBytes()) * pageSizeBytes();
}
