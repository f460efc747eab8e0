/** The running CRC-32 over the cells that were committed since the last flush: what lets a commit prove itself. */

import type { CommitRecord } from "../format/annex.ts";
import { crc32 } from "../format/hash.ts";
import { libc } from "../os/libc.ts";
import type { ReadableRegion } from "../region/region.ts";

/** One step of a CRC. A copy that stays in the processor's cache costs less than windows, which the collector counts. */
const STEP_BYTES = 64 * 1024;

type Addressed = Pick<ReadableRegion, "address">;

/** The CRC-32 of the cells `[from, to)`, going on from `crc`. */
export function crcOfCells(region: Addressed, bytesPerCell: number, from: number, to: number, crc = 0): number {
  if (to <= from) return crc;
  const { memcpy } = libc();
  const step = new Uint8Array(Math.min(STEP_BYTES, (to - from) * bytesPerCell));
  const endBytes = to * bytesPerCell;
  for (let offset = from * bytesPerCell; offset < endBytes; offset += STEP_BYTES) {
    const lengthBytes = Math.min(STEP_BYTES, endBytes - offset);
    memcpy(step, region.address + offset, lengthBytes);
    crc = crc32(lengthBytes === step.length ? step : step.subarray(0, lengthBytes), crc);
  }
  return crc;
}

/** Whether the cells of a record are what it says; its bounds must have been checked. */
export function cellsMatch(region: Addressed, bytesPerCell: number, record: CommitRecord): boolean {
  return crcOfCells(region, bytesPerCell, record.base, record.next) === record.cellsCrc;
}

/** A CRC, and the cell up to which it was taken. */
interface Mark {
  readonly next: number;
  readonly crc: number;
}

/**
 * The CRC of `[base, next)`, extended from commit to commit. Cells may change until a commit covers them, so what was
 * taken ahead of it, while blobs were on their way, is dropped as soon as somebody may store into those cells.
 */
export class RunningCrc {
  readonly #region: Addressed;
  readonly #bytesPerCell: number;
  #base: number;
  /** Up to the last commit, and up to the last cell that was taken ahead of the next one. */
  #committed: Mark;
  #ahead: Mark;
  #hasChanges = false;

  /** Goes on from a record that counts, or begins at a length. */
  constructor(region: Addressed, bytesPerCell: number, from: CommitRecord | number) {
    this.#region = region;
    this.#bytesPerCell = bytesPerCell;
    this.#base = typeof from === "number" ? from : from.base;
    this.#committed = typeof from === "number" ? { next: from, crc: 0 } : { next: from.next, crc: from.cellsCrc };
    this.#ahead = this.#committed;
  }

  get base(): number {
    return this.#base;
  }

  /** Whether cells that the last commit covered were changed since. */
  get hasChanges(): boolean {
    return this.#hasChanges;
  }

  /** Takes the bytes of cells from `first` on, which are in the processor's cache still. */
  feed(first: number, bytes: Uint8Array): void {
    if (first !== this.#ahead.next) return;
    this.#ahead = { next: first + bytes.length / this.#bytesPerCell, crc: crc32(bytes, this.#ahead.crc) };
  }

  /** A view of cells below `end` is handed out: what it changes before the next commit is to be covered by that. */
  exposed(end: number): void {
    if (end > this.#committed.next) this.#ahead = this.#committed;
  }

  /** The library itself changes the cell `index`: the next commit covers it anew, if no flush has. */
  changed(index: number): void {
    if (index < this.#base) return;
    if (index < this.#committed.next) {
      this.#committed = { next: this.#base, crc: 0 };
      this.#hasChanges = true;
    }
    this.#ahead = this.#committed;
  }

  /** The CRC of `[base, next)`; only the cells that are new are read. */
  extendTo(next: number): number {
    // Truncating flushes the last commit once more, when cells after it may have been taken already.
    const from = this.#ahead.next <= next ? this.#ahead : this.#committed;
    this.#committed = { next, crc: crcOfCells(this.#region, this.#bytesPerCell, from.next, next, from.crc) };
    this.#ahead = this.#committed;
    this.#hasChanges = false;
    return this.#committed.crc;
  }

  /** Begins anew: after a flush has returned, its length is the base of the next run. */
  restart(base: number): void {
    this.#base = base;
    this.#committed = { next: base, crc: 0 };
    this.#ahead = this.#committed;
  }
}
