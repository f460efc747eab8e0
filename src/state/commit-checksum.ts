/** The running CRC-32 over the cells that were committed since the last flush: what lets a commit prove itself. */

import type { CommitRecord } from "../format/annex.ts";
import { crc32 } from "../format/hash.ts";
import { libc } from "../os/libc.ts";
import { SequentialReadAhead } from "../os/mapping.ts";
import type { ReadableRegion } from "../region/region.ts";

/** One step of a CRC. A copy that stays in the processor's cache costs less than windows, which the collector counts. */
const STEP_BYTES = 64 * 1024;

type Addressed = Pick<ReadableRegion, "address">;

/**
 * The CRC-32 of the cells `[from, to)`, going on from `crc`.
 * @param isCold the cells may not be in memory: they are read ahead
 */
export function crcOfCells(
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

/** Whether the cells of a record are what it says; its bounds must have been checked. */
export function cellsMatch(region: Addressed, bytesPerCell: number, record: CommitRecord): boolean {
  return crcOfCells(region, bytesPerCell, record.base, record.next, 0, true) === record.cellsCrc;
}

/** A CRC, and the cell up to which it was taken. */
interface Mark {
  readonly next: number;
  readonly crc: number;
}

/** The CRC from a base on: up to the last commit, and up to the last cell that was taken ahead of the next one. */
interface Run {
  readonly base: number;
  committed: Mark;
  ahead: Mark;
  /** Up to the length of the latest flush that was asked for, which commits later than it is asked for. */
  asked: Mark;
}

/** One that counts, one for the flush under way, and one for the flush that waits for it. */
const MAX_RUNS = 3;

/**
 * The CRC of `[base, next)`, extended from commit to commit. Cells may change until a commit covers them, so what was
 * taken ahead of it, while blobs were on their way, is dropped as soon as somebody may store into those cells.
 *
 * While a flush is under way a second run is taken from its length on: when it returns, that is the base, and
 * nothing that was written meanwhile has to be read again.
 */
export class CommitChecksum {
  readonly #region: Addressed;
  readonly #bytesPerCell: number;
  /** The first is the one that counts. */
  #runs: [Run, ...Run[]];
  /** The cells that the last record covers, whatever run counts by now. */
  #recorded: { readonly base: number; readonly next: number };
  #hasChanges = false;

  /** Goes on from a record that counts, or begins at a length. */
  constructor(region: Addressed, bytesPerCell: number, from: CommitRecord | number) {
    this.#region = region;
    this.#bytesPerCell = bytesPerCell;
    const committed = typeof from === "number" ? { next: from, crc: 0 } : { next: from.next, crc: from.cellsCrc };
    this.#runs = [{ base: typeof from === "number" ? from : from.base, committed, ahead: committed, asked: committed }];
    this.#recorded = { base: this.base, next: committed.next };
  }

  get base(): number {
    return this.#runs[0].base;
  }

  /** Whether the last commit is to be made again: cells that it covered were changed since, or it is in doubt. */
  get hasChanges(): boolean {
    return this.#hasChanges;
  }

  /** Takes the bytes of cells from `first` on, which are in the processor's cache still. */
  feed(first: number, bytes: Uint8Array): void {
    for (const run of this.#runs) {
      if (first !== run.ahead.next) continue;
      run.ahead = { next: first + bytes.length / this.#bytesPerCell, crc: crc32(bytes, run.ahead.crc) };
    }
  }

  /** A view of cells below `end` is handed out: what it changes before the next commit is to be covered by that. */
  exposed(end: number): void {
    for (const run of this.#runs) if (end > run.committed.next) run.ahead = run.asked = run.committed;
  }

  /** The library itself changes the cells `first` to `last`: the next commit covers them anew, if no flush has. */
  changed(first: number, last: number): void {
    if (first < this.#recorded.next && last >= this.#recorded.base) this.#hasChanges = true;
    for (const run of this.#runs) {
      if (last < run.base) continue;
      if (first < run.committed.next) run.committed = { next: run.base, crc: 0 };
      run.ahead = run.asked = run.committed;
    }
  }

  /** The CRC of `[base, next)`; only the cells that are new are read. */
  extendTo(next: number): number {
    const [run] = this.#runs;
    // Cells after `next` may have been taken already: a flush commits the state of its call, and truncating flushes the
    // last commit once more.
    const from = [run.ahead, run.asked].find((mark) => mark.next <= next) ?? run.committed;
    run.committed = { next, crc: crcOfCells(this.#region, this.#bytesPerCell, from.next, next, from.crc) };
    run.ahead = run.asked = run.committed;
    this.#recorded = { base: run.base, next };
    this.#hasChanges = false;
    return run.committed.crc;
  }

  /** It is not known whether the last commit was stored: the next one takes all its cells anew, whatever changed since. */
  invalidate(): void {
    this.#hasChanges = true;
    for (const run of this.#runs) run.ahead = run.asked = run.committed = { next: run.base, crc: 0 };
  }

  /** A flush of this length is asked for, to which `restart` will come. A later one replaces what still waits. */
  prepare(base: number): void {
    const [counting] = this.#runs;
    if (counting.ahead.next === base) counting.asked = counting.ahead;
    if (this.#runs.some((run) => run.base === base)) return;
    if (this.#runs.length === MAX_RUNS) this.#runs.pop();
    this.#runs.push(runFrom(base));
  }

  /** Begins anew: after a flush has returned, its length is the base. */
  restart(base: number): void {
    const [prepared = runFrom(base), ...later] = this.#runs.slice(1).filter((run) => run.base >= base);
    this.#runs = prepared.base === base ? [prepared, ...later] : [runFrom(base)];
  }
}

function runFrom(base: number): Run {
  const mark = { next: base, crc: 0 };
  return { base, committed: mark, ahead: mark, asked: mark };
}
