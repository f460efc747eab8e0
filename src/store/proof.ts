/** The running CRC-32 over the cells that were committed since the last flush: what lets a commit prove itself. */

import { crc32 } from "node:zlib";
import type { CommitRecord } from "../format/annex.ts";
import { libc } from "../os/libc.ts";
import type { ReadableRegion } from "../region/region.ts";

/** One step of a CRC. A copy that stays in the processor's cache costs less than windows, which the collector counts. */
const STEP_BYTES = 64 * 1024;

type Addressed = Pick<ReadableRegion, "address">;

/** The CRC-32 of the cells `[from, to)`, going on from `crc`. */
export function crcOfCells(region: Addressed, bytesPerCell: number, from: number, to: number, crc = 0): number {
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

/** The CRC of `[base, next)`, extended from commit to commit. */
export class RunningCrc {
  readonly #region: Addressed;
  readonly #bytesPerCell: number;
  #base: number;
  #next: number;
  #crc = 0;

  /** Goes on from a record that counts, or begins at a length. */
  constructor(region: Addressed, bytesPerCell: number, from: CommitRecord | number) {
    this.#region = region;
    this.#bytesPerCell = bytesPerCell;
    this.#base = typeof from === "number" ? from : from.base;
    this.#next = typeof from === "number" ? from : from.next;
    if (typeof from !== "number") this.#crc = from.cellsCrc;
  }

  get base(): number {
    return this.#base;
  }

  /** The CRC of `[base, next)`; only the cells that are new are read. */
  extendTo(next: number): number {
    this.#crc = crcOfCells(this.#region, this.#bytesPerCell, this.#next, next, this.#crc);
    this.#next = next;
    return this.#crc;
  }

  /** Begins anew: after a flush has returned, its length is the base of the next run. */
  restart(base: number): void {
    this.#base = base;
    this.#next = base;
    this.#crc = 0;
  }
}
