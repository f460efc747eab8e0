/**
 * Loads and stores fields for the library, through windows: DataViews over runs of cells. A load through a window takes
 * a few nanoseconds, a `memcpy` many times that. But a window takes tens of microseconds to make, and the garbage
 * collector counts it as live memory. So there are few windows; fields elsewhere are copied until they are used often.
 *
 * The caller checks bounds: nothing here compares an index with the storage's length.
 */

import { libc } from "../os/libc.ts";
import type { CellMemory } from "../region/region.ts";

const WINDOW_BYTES = 16 * 1024 * 1024;
const MAX_WINDOWS = 16;
/**
 * How many copies from a slot come before the slot gets a window. So many copies take longer than making the window.
 * The footers of large blobs never reach this number.
 */
const MISSES_PER_WINDOW = 2048;

/** Offsets count from the first byte of the cell; numbers are little-endian. */
export class FieldAccess {
  readonly #region: CellMemory;
  readonly #bytesPerCell: number;
  /** A window has 2^shift cells, so that its slot is computed without a division. */
  readonly #shift: number;
  readonly #mask: number;
  readonly #views: (DataView | undefined)[] = [];
  /** The slots with a window, the oldest first. */
  readonly #slots: number[] = [];
  /** Copies from each slot without a window, by slot number. */
  readonly #misses: (number | undefined)[] = [];
  readonly #copy: DataView = new DataView(new ArrayBuffer(8));

  constructor(region: CellMemory, bytesPerCell: number) {
    this.#region = region;
    this.#bytesPerCell = bytesPerCell;
    this.#shift = Math.floor(Math.log2(WINDOW_BYTES / bytesPerCell));
    this.#mask = 2 ** this.#shift - 1;
  }

  u8(index: number, offset: number): number {
    const at = this.#placeOf(index, offset);
    return this.#window(index, at, 1)?.getUint8(at) ?? this.#load(index, offset, 1).getUint8(0);
  }

  u16(index: number, offset: number): number {
    const at = this.#placeOf(index, offset);
    return this.#window(index, at, 2)?.getUint16(at, true) ?? this.#load(index, offset, 2).getUint16(0, true);
  }

  u32(index: number, offset: number): number {
    const at = this.#placeOf(index, offset);
    return this.#window(index, at, 4)?.getUint32(at, true) ?? this.#load(index, offset, 4).getUint32(0, true);
  }

  u64(index: number, offset: number): bigint {
    const at = this.#placeOf(index, offset);
    return this.#window(index, at, 8)?.getBigUint64(at, true) ?? this.#load(index, offset, 8).getBigUint64(0, true);
  }

  setU8(index: number, offset: number, value: number): void {
    const at = this.#placeOf(index, offset);
    const window = this.#window(index, at, 1);
    if (window !== undefined) return window.setUint8(at, value);
    this.#copy.setUint8(0, value);
    this.#store(index, offset, 1);
  }

  setU16(index: number, offset: number, value: number): void {
    const at = this.#placeOf(index, offset);
    const window = this.#window(index, at, 2);
    if (window !== undefined) return window.setUint16(at, value, true);
    this.#copy.setUint16(0, value, true);
    this.#store(index, offset, 2);
  }

  setU32(index: number, offset: number, value: number): void {
    const at = this.#placeOf(index, offset);
    const window = this.#window(index, at, 4);
    if (window !== undefined) return window.setUint32(at, value, true);
    this.#copy.setUint32(0, value, true);
    this.#store(index, offset, 4);
  }

  setU64(index: number, offset: number, value: bigint): void {
    const at = this.#placeOf(index, offset);
    const window = this.#window(index, at, 8);
    if (window !== undefined) return window.setBigUint64(at, value, true);
    this.#copy.setBigUint64(0, value, true);
    this.#store(index, offset, 8);
  }

  /** The offset of a field in its window, if there is one. */
  #placeOf(index: number, offset: number): number {
    return (index & this.#mask) * this.#bytesPerCell + offset;
  }

  #window(index: number, at: number, lengthBytes: number): DataView | undefined {
    const view = this.#views[index >>> this.#shift];
    if (view !== undefined && at >= 0 && at + lengthBytes <= view.byteLength) return view;
    return this.#miss(index >>> this.#shift, at, lengthBytes);
  }

  /**
   * Makes a window for a slot that has none, or a longer one if the file has grown. Returns undefined if a copy is
   * better.
   */
  #miss(slot: number, at: number, lengthBytes: number): DataView | undefined {
    const cells = 2 ** this.#shift;
    const startBytes = slot * cells * this.#bytesPerCell;
    const sizeBytes = Math.min(cells * this.#bytesPerCell, this.#region.sizeBytes - startBytes);
    // The field lies across two windows, or before the first byte of one.
    if (at < 0 || at + lengthBytes > sizeBytes) return undefined;
    if (this.#views[slot] === undefined && !this.#countMiss(slot)) return undefined;
    const bytes = this.#region.view(startBytes, sizeBytes, true);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#views[slot] = view;
    return view;
  }

  /** Counts a miss. Returns true if the slot now gets a window, which replaces the oldest one. */
  #countMiss(slot: number): boolean {
    const misses = (this.#misses[slot] ?? 0) + 1;
    this.#misses[slot] = misses;
    if (misses < MISSES_PER_WINDOW) return false;
    this.#misses[slot] = 0;
    this.#slots.push(slot);
    const oldest = this.#slots.length > MAX_WINDOWS ? this.#slots.shift() : undefined;
    if (oldest !== undefined) this.#views[oldest] = undefined;
    return true;
  }

  #load(index: number, offset: number, lengthBytes: number): DataView {
    libc().memcpy(this.#copy, this.#region.address + index * this.#bytesPerCell + offset, lengthBytes);
    return this.#copy;
  }

  #store(index: number, offset: number, lengthBytes: number): void {
    libc().memcpy(this.#region.address + index * this.#bytesPerCell + offset, this.#copy, lengthBytes);
  }
}
