/**
 * Which state a file is in, told from its header area. Pure but for the question whether a commit record's cells
 * are what it says they are, which the caller answers.
 *
 * | process sync, against disk sync | a commit record counts | opened at |
 * |---|---|---|
 * | the same | – | both: clean |
 * | newer | yes | process sync: every committed cell is there |
 * | newer | no | root of disk sync, next of process sync: no cell that a reader may hold is used again |
 * | torn, older, or past the end of the file | – | disk sync |
 */

import { RESTORE, StorageError } from "../error.ts";
import { type CommitRecord, decodeCommitRecords } from "../format/annex.ts";
import {
  type Bounds,
  type CheckedHeader,
  checkHeader,
  decodeHeader,
  type Header,
  sameHeader,
} from "../format/header.ts";
import { FILE, HEADER_AREA_BYTES, type Place } from "../format/layout.ts";
import { loadHeader } from "../region/header.ts";
import type { ReadableRegion } from "../region/region.ts";

/** What was found at opening, and what was made of it. */
export interface Recovery {
  /**
   * `clean`: disk sync and process sync agreed. `resumedAtCommit`: a writer was killed, nothing committed is lost.
   * `resumedAtFlush`: the state is that of the last flush.
   */
  readonly state: "clean" | "resumedAtCommit" | "resumedAtFlush";
  /** Cells of commits that could not be proven: never used again, for a reader may hold their indices. */
  readonly skippedCells: number;
  /** Header copies whose hash was wrong, of four. */
  readonly tornCopies: number;
  /** Why the process-sync header was not looked at any further; `pastEnd`: it points at what the file does not have. */
  readonly ignored?: "torn" | "older" | "pastEnd";
}

export interface StateChoice {
  /** The state to go on from. */
  readonly header: CheckedHeader;
  /** The last flush. */
  readonly disk: CheckedHeader;
  /** The record that proved the commit, if one did. */
  readonly proof: CommitRecord | null;
  readonly recovery: Recovery;
}

/** A load takes a fraction of a microsecond, a commit several. */
const MAX_LOADS = 100;

/** Whether the cells `[base, next)` have the record's CRC. */
export type CellsMatch = (record: CommitRecord) => boolean;

/**
 * @throws HEADER_BROKEN both disk-sync copies are torn or impossible
 * @throws FILE_CUT the disk-sync header points past the end of the file
 */
export function chooseState(area: Uint8Array, bounds: Bounds, cellsMatch: CellsMatch, path: string): StateChoice {
  const diskCopies = [FILE.disk1, FILE.disk2].map((place) => decodeAt(area, place));
  const processCopies = [FILE.process1, FILE.process2].map((place) => decodeAt(area, place));
  const tornCopies = [...diskCopies, ...processCopies].filter((copy) => copy === null).length;
  const disk = firstBelievable(diskCopies, bounds) ?? brokenHeader(diskCopies, bounds, path);
  const process = firstBelievable(processCopies, bounds);

  const atFlush = (ignored: "torn" | "older" | "pastEnd"): StateChoice => {
    return {
      header: disk,
      disk,
      proof: null,
      recovery: { state: "resumedAtFlush", skippedCells: 0, tornCopies, ignored },
    };
  };
  if (process === null) return atFlush(processCopies.every((copy) => copy === null) ? "torn" : "pastEnd");
  if (process.next < disk.next) return atFlush("older");
  if (sameHeader(process, disk)) {
    return { header: disk, disk, proof: null, recovery: { state: "clean", skippedCells: 0, tornCopies } };
  }
  const proof = proofOf(area, process, disk, cellsMatch);
  if (proof !== null) {
    return { header: process, disk, proof, recovery: { state: "resumedAtCommit", skippedCells: 0, tornCopies } };
  }
  const skippedCells = process.next - disk.next;
  const header = { next: process.next, root: disk.root } as CheckedHeader;
  return { header, disk, proof: null, recovery: { state: "resumedAtFlush", skippedCells, tornCopies } };
}

/**
 * A copy of the header area, as it is now. Its parts belong together: a reader that is held up in the middle of a
 * load would see old headers beside new records, so it is loaded until it is twice the same, or a writer is too busy.
 */
export function loadArea(region: Pick<ReadableRegion, "address">): Uint8Array {
  let area = new Uint8Array(HEADER_AREA_BYTES);
  let again = new Uint8Array(HEADER_AREA_BYTES);
  loadHeader(region.address, area);
  for (let load = 0; load < MAX_LOADS; load++) {
    loadHeader(region.address, again);
    if (Buffer.compare(area, again) === 0) break;
    [area, again] = [again, area];
  }
  return area;
}

/** The commit record that proves a process-sync header, or null. */
export function proofOf(
  area: Uint8Array,
  process: CheckedHeader,
  disk: CheckedHeader,
  cellsMatch: CellsMatch,
): CommitRecord | null {
  const counts = (record: CommitRecord): boolean =>
    sameHeader(record, process) && record.base <= disk.next && disk.next <= record.next && cellsMatch(record);
  return decodeCommitRecords(area).find(counts) ?? null;
}

/** The header in the area at `place`, or null if it is torn. */
export function decodeAt(area: Uint8Array, place: Place): Header | null {
  return decodeHeader(area.subarray(place.offset, place.offset + place.sizeBytes));
}

/** The first of the copies that points inside the file: copy 1 wins where one is chosen. */
export function firstBelievable(copies: readonly (Header | null)[], bounds: Bounds): CheckedHeader | null {
  for (const copy of copies) {
    const header = copy === null ? null : checkHeader(copy, bounds);
    if (header !== null) return header;
  }
  return null;
}

function brokenHeader(copies: readonly (Header | null)[], bounds: Bounds, path: string): never {
  const inLongerFile = { ...bounds, fileCells: bounds.maxIndex };
  const cut = copies.find((copy) => copy !== null && checkHeader(copy, inLongerFile) !== null);
  if (cut) {
    const message = `${path}: the last flush has ${cut.next} cells, the file only ${bounds.fileCells}: it was cut; see what cellar recover can do, or ${RESTORE}`;
    throw new StorageError("FILE_CUT", message, { path });
  }
  const message = `${path}: both copies of the disk-sync header are broken: see what cellar recover can do, or ${RESTORE}`;
  throw new StorageError("HEADER_BROKEN", message, { path });
}
