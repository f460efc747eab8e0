/**
 * The disk space of a storage, by two marks: `length <= reserved <= file`. No cell above `reserved` is allocated,
 * because a store into a hole of the file on a full disk would kill the process. Cells after `length` may hold any
 * bytes; only those before a third mark are known to be zero.
 */

import { StorageError } from "../error.ts";
import type { CheckedConfig } from "../format/config.ts";
import { MAX_U32 } from "../format/layout.ts";
import { pageSizeBytes } from "../os/mapping.ts";
import type { RepairableRegion, WritableRegion } from "../region/region.ts";

/**
 * The default step doubles the file, within these bounds: ten blobs take little space, and 100 GB grow in few steps.
 */
const MIN_STEP_BYTES = 64 * 1024;
const MAX_STEP_BYTES = 64 * 1024 * 1024;

const zeros: Uint8Array = new Uint8Array(16 * 1024);

/** Returns how many cells a new file has at first. */
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
  #reserved: number;
  /** Bytes from `length` up to this offset are known to be zero. */
  #zeroedBytes = 0;

  /**
   * @param reserved cells whose disk space is known to be reserved
   * @param beforeGrowth checks the file before it grows: the growth would hide that the file was cut
   */
  constructor(
    region: WritableRegion,
    config: CheckedConfig,
    stepBytes: number | null,
    reserved: number,
    beforeGrowth: () => void,
  ) {
    this.#region = region;
    this.#bytesPerCell = config.bytesPerCell;
    this.#maxIndex = config.maxIndex;
    this.#stepBytes = stepBytes;
    this.#beforeGrowth = beforeGrowth;
    this.#reserved = reserved;
  }

  /** Cells that can be in use without growing, including the header area. */
  get reserved(): number {
    return this.#reserved;
  }

  /** The number of cells in the file, at most `maxIndex`. */
  get #fileCells(): number {
    return Math.min(Math.floor(this.#region.sizeBytes / this.#bytesPerCell), this.#maxIndex);
  }

  /**
   * Makes sure that `cells` cells can be in use. Their bytes stay as they are: see {@link zero}.
   * @throws INDEX_OVERFLOW, DISK_FULL; nothing has changed
   */
  ensure(cells: number): void {
    if (cells > this.#reserved) this.#reserve(cells);
  }

  /**
   * Zeroes the cells `[from, to)`, which are being allocated, and some after them. It calls `write`, because a page
   * fault on a block that is only reserved costs many times as much. It writes in small pieces, because the kernel
   * caches each piece as a unit, and a flush writes the whole unit that a store has touched.
   * @throws DISK_FULL, SYSTEM
   */
  zero(from: number, to: number): void {
    const reservedBytes = this.#reserved * this.#bytesPerCell;
    this.#zeroedBytes = Math.max(this.#zeroedBytes, from * this.#bytesPerCell);
    while (this.#zeroedBytes < to * this.#bytesPerCell) {
      const lengthBytes = Math.min(zeros.length, reservedBytes - this.#zeroedBytes);
      this.#region.write(this.#zeroedBytes, zeros.subarray(0, lengthBytes));
      this.#zeroedBytes += lengthBytes;
    }
  }

  /** Call it when cells are freed: they keep their bytes, so they must be zeroed when they are allocated again. */
  forgetZeros(): void {
    this.#zeroedBytes = 0;
  }

  /**
   * Frees the disk space that is reserved past the step after `length`, but not that of the first `keptCells`. Called
   * when the blob that had reserved it is discarded.
   */
  releaseReserve(length: number, keptCells: number): void {
    const kept = Math.max(keptCells, length + this.#stepCells(length));
    if (kept >= this.#reserved) return;
    this.#beforeGrowth();
    this.#region.deallocate(alignToPages(kept * this.#bytesPerCell), this.#reserved * this.#bytesPerCell);
    this.#reserved = kept;
  }

  /** Reserves at least `required` cells, or a whole step if the disk has space for one. */
  #reserve(required: number): void {
    const { path } = this.#region;
    if (required > this.#maxIndex) {
      const more = this.#maxIndex < MAX_U32 ? "a higher one" : "larger cells, because no storage can have more cells";
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
        // The file system may have allocated a part before its space ran out.
        this.#region.deallocate(alignToPages(this.#reserved * this.#bytesPerCell), this.#region.sizeBytes);
        throw error;
      }
    }
  }

  #target(required: number): number {
    const fileCells = this.#fileCells;
    const stepCells = this.#stepCells(this.#reserved);
    if (required <= fileCells) return Math.min(fileCells, Math.max(required, this.#reserved + stepCells));
    // With a step set by the user: grow by whole steps, as many as Plebeia does (sometimes one more than needed).
    const steps = Math.floor((required - fileCells) / stepCells) + 1;
    const target = this.#stepBytes === null ? Math.max(required, fileCells + stepCells) : fileCells + steps * stepCells;
    return Math.min(target, this.#maxIndex);
  }

  /** How many cells the storage grows by at a length. */
  #stepCells(length: number): number {
    const stepBytes = this.#stepBytes ?? clamp(length * this.#bytesPerCell, MIN_STEP_BYTES, MAX_STEP_BYTES);
    return Math.max(1, Math.floor(stepBytes / this.#bytesPerCell));
  }
}

function clamp(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(value, most));
}

/**
 * Extends the file to whole cells, and to the end of the page with the last of `cells`: a partial page cannot be
 * rewritten past the page cache. A partial cell at the end may come from another tool, or from a writer that was killed
 * on a file system without reservation.
 * @returns the number of whole cells that the file has now
 */
export function alignFileEnd(
  region: RepairableRegion,
  { bytesPerCell, maxIndex }: CheckedConfig,
  cells: number,
): number {
  const pageEnd = alignToPages(cells * bytesPerCell);
  const fileCells = Math.ceil(region.sizeBytes / bytesPerCell);
  const wholeCells = Math.max(fileCells, Math.min(maxIndex, Math.ceil(pageEnd / bytesPerCell)));
  if (wholeCells * bytesPerCell <= region.sizeBytes) return wholeCells;
  try {
    region.grow(region.sizeBytes, wholeCells * bytesPerCell);
    return wholeCells;
  } catch (error) {
    // A full disk must not keep a storage from opening. The partial cell is completed when the file grows.
    if (!(error instanceof StorageError) || error.code !== "DISK_FULL") throw error;
    return Math.floor(region.sizeBytes / bytesPerCell);
  }
}

export function alignToPages(sizeBytes: number): number {
  return Math.ceil(sizeBytes / pageSizeBytes()) * pageSizeBytes();
}
