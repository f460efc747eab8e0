/**
 * The running CRC-32 of the cells that were committed since the last flush. A commit record holds it, as proof of its
 * cells.
 */

import type { CommitRecord } from "../format/commit-record.ts";
import { crc32 } from "../format/hash.ts";
import { libc } from "../os/libc.ts";
import { SequentialReadAhead } from "../os/mapping.ts";
import type { Addressed } from "../region/region.ts";

/**
 * One step of a CRC. The step is copied, because a copy within the processor's cache costs less than a view, whose
 * buffer the garbage collector must track.
 */
const STEP_BYTES = 64 * 1024;

/**
 * Returns the CRC-32 of the cells `[from, to)`, continued from `crc`.
 * @param isCold the cells may not be in memory, so they are read ahead
 */
function crcOfCells(
  region: Addressed,
  bytesPerCell: number,
  from: number,
  to: number,
  crc = 0,
  isCold = false,
): number {
  if (to <= from) return crc;
  const { memcpy } = libc();
  const step = new Uint8Array(Math.min(STEP_BYTES, (to - from) * bytesPerCell));
  const [startBytes, endBytes] = [from * bytesPerCell, to * bytesPerCell];
  const ahead = isCold ? new SequentialReadAhead(startBytes, endBytes) : null;
  for (let offset = startBytes; offset < endBytes; offset += STEP_BYTES) {
    const lengthBytes = Math.min(STEP_BYTES, endBytes - offset);
    ahead?.before(region.address, offset);
    memcpy(step, region.address + offset, lengthBytes);
    crc = crc32(lengthBytes === step.length ? step : step.subarray(0, lengthBytes), crc);
  }
  return crc;
}

/** Tells whether a record's cells match its CRC. The caller has checked the record's bounds. */
export function cellsMatch(region: Addressed, bytesPerCell: number, record: CommitRecord): boolean {
  return crcOfCells(region, bytesPerCell, record.base, record.next, 0, true) === record.cellsCrc;
}

/** A CRC, and the cell up to which it was taken. */
interface Mark {
  readonly next: number;
  readonly crc: number;
}

/** The CRC from a base on: up to the last commit, and up to the last cell that was added ahead of the next commit. */
interface Run {
  readonly base: number;
  committed: Mark;
  ahead: Mark;
  /** Up to the length of the latest flush that was requested. A flush may commit some time after its request. */
  requested: Mark;
}

/** The active run, one for the flush under way, and one for the flush that is queued behind it. */
const MAX_RUNS = 3;

/**
 * The CRC of `[base, next)`, extended from commit to commit. The CRC of new blobs is taken ahead of their commit, while
 * they are written. Cells may change until a commit covers them, so the part taken ahead is dropped as soon as the
 * caller may store into those cells.
 *
 * While a flush is under way, a second run starts at its length. When the flush returns, that length is the new base,
 * and the cells written meanwhile need not be read again.
 */
export class CommitChecksum {
  readonly #region: Addressed;
  readonly #bytesPerCell: number;
  /** The first is the active run: its CRC goes into the next record. */
  #runs: [Run, ...Run[]];
  /** The cells that the last record covers, whichever run is active now. */
  #recorded: { readonly base: number; readonly next: number };
  #hasChanges = false;

  /** Begins at a length that is durable, or becomes so before the first commit. */
  constructor(region: Addressed, bytesPerCell: number, base: number) {
    this.#region = region;
    this.#bytesPerCell = bytesPerCell;
    this.#runs = [runFrom(base)];
    this.#recorded = { base, next: base };
  }

  get base(): number {
    return this.#runs[0].base;
  }

  /**
   * Whether the last commit must be repeated: cells that it covered have changed since, or its stores may have failed.
   */
  get hasChanges(): boolean {
    return this.#hasChanges;
  }

  /** Adds the bytes of the cells from `first` on, while they are still in the processor's cache. */
  feed(first: number, bytes: Uint8Array): void {
    for (const run of this.#runs) {
      if (first !== run.ahead.next) continue;
      run.ahead = { next: first + bytes.length / this.#bytesPerCell, crc: crc32(bytes, run.ahead.crc) };
    }
  }

  /**
   * Drops the CRC that was taken ahead of a commit, if it covers cells below `end`. Call it before the caller gets a
   * view of these cells, through which it may change them.
   */
  dropAhead(end: number): void {
    for (const run of this.#runs) if (end > run.committed.next) run.ahead = run.requested = run.committed;
  }

  /**
   * Call it before the library changes the cells `first` to `last`. The next commit covers them again, unless a flush
   * has covered them.
   */
  changed(first: number, last: number): void {
    if (first < this.#recorded.next && last >= this.#recorded.base) this.#hasChanges = true;
    for (const run of this.#runs) {
      if (last < run.base) continue;
      if (first < run.committed.next) run.committed = { next: run.base, crc: 0 };
      run.ahead = run.requested = run.committed;
    }
  }

  /** Returns the CRC of `[base, next)`; reads only the cells that are new. */
  extendTo(next: number): number {
    const [run] = this.#runs;
    // A mark may be past `next`: a flush commits the state of its call, and a truncation flushes the last commit again.
    const from = [run.ahead, run.requested].find((mark) => mark.next <= next) ?? run.committed;
    run.committed = { next, crc: crcOfCells(this.#region, this.#bytesPerCell, from.next, next, from.crc) };
    run.ahead = run.requested = run.committed;
    this.#recorded = { base: run.base, next };
    this.#hasChanges = false;
    return run.committed.crc;
  }

  /** The last commit may or may not have been stored. The next commit computes the CRC of all its cells again. */
  invalidate(): void {
    this.#hasChanges = true;
    for (const run of this.#runs) run.ahead = run.requested = run.committed = { next: run.base, crc: 0 };
  }

  /**
   * A flush of this length was requested; `restart` is called with the length when it returns. A later request replaces
   * one that is still queued.
   */
  prepare(base: number): void {
    const [active] = this.#runs;
    if (active.ahead.next === base) active.requested = active.ahead;
    if (this.#runs.some((run) => run.base === base)) return;
    if (this.#runs.length === MAX_RUNS) this.#runs.pop();
    this.#runs.push(runFrom(base));
  }

  /** Sets the base to the length of a flush that has returned. */
  restart(base: number): void {
    const [prepared = runFrom(base), ...later] = this.#runs.slice(1).filter((run) => run.base >= base);
    this.#runs = prepared.base === base ? [prepared, ...later] : [runFrom(base)];
  }
}

function runFrom(base: number): Run {
  const mark = { next: base, crc: 0 };
  return { base, committed: mark, ahead: mark, requested: mark };
}
