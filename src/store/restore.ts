/**
 * Going on where no disk-sync header tells the last flush: from what else the file tells of it, and from nothing else.
 * Opening never does this by itself: a person is asked first.
 */

import { type CommitRecord, decodeCommitRecords } from "../format/annex.ts";
import type { CheckedConfig } from "../format/config.ts";
import { type Bounds, type CheckedHeader, checkHeader, encodeHeader, sameHeader } from "../format/header.ts";
import { FILE, HEADER_AREA_BYTES } from "../format/layout.ts";
import type { WritableRegion } from "../region/region.ts";
import { type CellsMatch, decodeAt, firstBelievable } from "./recover.ts";
import { makeWhole } from "./whole.ts";

/**
 * What tells of a state, the best first.
 * `proof`: the process-sync header, and a commit record whose CRC holds over the cells since the flush before it.
 * `commit`: the process-sync header alone; whether its cells reached the disk is not known.
 * `record`: a commit record whose CRC holds, alone; the original leaves old ones standing.
 * `cut`: the disk-sync header of a file that was cut short behind its root.
 */
export type Evidence = "proof" | "commit" | "record" | "cut";

/** A state to go on from. */
export interface Restorable {
  readonly evidence: Evidence;
  readonly header: CheckedHeader;
  /** Cells of the last flush that the file has lost. */
  readonly lostCells: number;
  /** From here on no flush is known to have covered the cells. */
  readonly unflushedFrom: number;
}

/** The best state that the area of a file which does not open tells of, or null. */
export function restorable(area: Uint8Array, bounds: Bounds, cellsMatch: CellsMatch): Restorable | null {
  const cut = cutState(area, bounds);
  // Older states that a cut file may still tell of are not looked for: its own root, if it is there, is newer.
  if (cut !== "whole") return cut;
  const counts = (record: CommitRecord): boolean =>
    record.base >= bounds.startIndex && record.base <= record.next && cellsMatch(record);
  const records = decodeCommitRecords(area).filter((record) => checkHeader(record, bounds) !== null);
  const process = firstBelievable(
    [FILE.process1, FILE.process2].map((place) => decodeAt(area, place)),
    bounds,
  );
  if (process !== null) {
    const proof = records.find((record) => sameHeader(record, process) && counts(record));
    if (proof !== undefined) {
      return { evidence: "proof", header: process, lostCells: 0, unflushedFrom: proof.base };
    }
    return { evidence: "commit", header: process, lostCells: 0, unflushedFrom: bounds.startIndex };
  }
  const record = records.find(counts);
  const header = record === undefined ? null : checkHeader({ next: record.next, root: record.root }, bounds);
  if (record === undefined || header === null) return null;
  return { evidence: "record", header, lostCells: 0, unflushedFrom: record.base };
}

/**
 * Makes a state that of the last flush. A power cut at any step leaves no valid copy, and the same is told again,
 * or one that says this state.
 */
export function restore(
  region: Pick<WritableRegion, "sizeBytes" | "store" | "grow" | "renew" | "sync">,
  config: CheckedConfig,
  { header, unflushedFrom }: Omit<Restorable, "evidence" | "lostCells">,
): void {
  const toBytes = header.next * config.bytesPerCell;
  if (unflushedFrom < header.next) {
    makeWhole(region, config, header.next);
    // What the page cache shows of cells that no flush covers may not be on the disk, whatever earlier syncs said.
    region.renew(unflushedFrom * config.bytesPerCell, toBytes);
  }
  region.sync(toBytes);
  for (const { offset } of [FILE.disk1, FILE.disk2]) {
    region.store({ offset, bytes: encodeHeader(header, null) });
    region.sync(HEADER_AREA_BYTES);
  }
}

/** What is left of a file that was cut short: null if its root is not, `whole` if it was not cut. */
function cutState(area: Uint8Array, bounds: Bounds): Restorable | null | "whole" {
  const inLongerFile = { ...bounds, fileCells: bounds.maxIndex };
  const disk = firstBelievable(
    [FILE.disk1, FILE.disk2].map((place) => decodeAt(area, place)),
    inLongerFile,
  );
  if (disk === null) return "whole";
  const header = checkHeader({ next: bounds.fileCells, root: disk.root }, bounds);
  if (header === null) return null;
  return { evidence: "cut", header, lostCells: disk.next - header.next, unflushedFrom: header.next };
}
