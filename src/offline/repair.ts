/**
 * Going on where no disk-sync header tells the last flush: from what else the file tells of it, and from nothing else.
 * Opening never does this by itself: a person is asked first.
 */

import type { CommitRecord } from "../format/annex.ts";
import { type CopyName, diskCopies, type HeaderArea, processCopies } from "../format/area.ts";
import type { CheckedConfig } from "../format/config.ts";
import {
  type Bounds,
  type CheckedHeader,
  checkHeader,
  encodeHeader,
  type Header,
  sameHeader,
} from "../format/header.ts";
import { FILE, HEADER_AREA_BYTES, type Place } from "../format/layout.ts";
import type { WritableRegion } from "../region/region.ts";
import type { CellsMatch } from "../state/choose-state.ts";
import { makeWhole } from "../cells/space.ts";

/**
 * What tells of a state, the best first.
 * `proof`: the process-sync header, and a commit record whose CRC holds over the cells since the flush before it.
 * `commit`: the process-sync header alone; whether its cells reached the disk is not known.
 * `record`: a commit record whose CRC holds, alone; the original leaves old ones standing.
 * `cut`: the disk-sync header of a file that was cut short: its root is kept if it is in the cells that are left.
 */
export type Evidence = "proof" | "commit" | "record" | "cut";

/** A state to go on from. */
export interface Restorable {
  readonly evidence: Evidence;
  readonly header: CheckedHeader;
  /** Cells of the last flush that the file has lost. */
  readonly lostCells: number;
  /** The root of the last flush, if the file has lost it. */
  readonly lostRoot: number | null;
  /** From here on no flush is known to have covered the cells. */
  readonly unflushedFrom: number;
  /** Process-sync copies that opening must not go by once there is a disk-sync header again. */
  readonly misleading: readonly Place[];
}

const whole = { lostCells: 0, lostRoot: null } as const;

/** The best state that the area of a file which does not open tells of, or null. */
export function restorable(area: HeaderArea, bounds: Bounds, cellsMatch: CellsMatch): Restorable | null {
  const cut = cutState(area, bounds);
  // Older states that a cut file may still tell of are not looked for: its own root, if it is there, is newer.
  if (cut !== "whole") return cut;
  const counts = (record: CommitRecord): boolean =>
    record.base >= bounds.startIndex && record.base <= record.next && cellsMatch(record);
  const records = area.records.filter((record) => checkHeader(record, bounds) !== null);
  const process = area.believed(processCopies, bounds);
  // What points behind the end could be believed once the file is longer.
  const misleading = copiesWith(area, (copy) => checkHeader(copy, bounds) === null);
  if (process !== null) {
    const proof = records.find((record) => sameHeader(record, process) && counts(record));
    if (proof !== undefined) {
      return { ...whole, evidence: "proof", header: process, unflushedFrom: proof.base, misleading };
    }
    return { ...whole, evidence: "commit", header: process, unflushedFrom: bounds.startIndex, misleading };
  }
  const record = records.find(counts);
  const header = record === undefined ? null : checkHeader({ next: record.next, root: record.root }, bounds);
  if (record === undefined || header === null) return null;
  return { ...whole, evidence: "record", header, unflushedFrom: record.base, misleading };
}

/**
 * Makes a state that of the last flush. A power cut at any step leaves no valid copy, and the same is told again,
 * or one that says this state.
 */
export function restore(
  region: Pick<WritableRegion, "sizeBytes" | "store" | "grow" | "rewriteUncached" | "sync">,
  config: CheckedConfig,
  { header, unflushedFrom, misleading }: Pick<Restorable, "header" | "unflushedFrom" | "misleading">,
): void {
  const toBytes = header.next * config.bytesPerCell;
  if (misleading.length > 0) {
    // On the disk before the file grows, and before there is a header that they could be held against.
    region.store(...misleading.map(({ offset, sizeBytes }) => ({ offset, bytes: new Uint8Array(sizeBytes) })));
    region.sync(HEADER_AREA_BYTES);
  }
  if (unflushedFrom < header.next) {
    makeWhole(region, config, header.next);
    // The page cache may show cells that no flush covered and that are not on the disk, although earlier syncs succeeded.
    region.rewriteUncached(unflushedFrom * config.bytesPerCell, toBytes);
  }
  region.sync(toBytes);
  for (const { offset } of [FILE.disk1, FILE.disk2]) {
    region.store({ offset, bytes: encodeHeader(header, null) });
    region.sync(HEADER_AREA_BYTES);
  }
}

/** What is left of a file that was cut short: null if no cell is, `whole` if it was not cut. */
function cutState(area: HeaderArea, bounds: Bounds): Restorable | null | "whole" {
  const inLongerFile = { ...bounds, fileCells: bounds.maxIndex };
  const disk = area.believed(diskCopies, inLongerFile);
  if (disk === null) return "whole";
  const next = bounds.fileCells;
  const withRoot = checkHeader({ next, root: disk.root }, bounds);
  const header = withRoot ?? checkHeader({ next, root: 0 }, bounds);
  if (header === null || next === bounds.startIndex) return null;
  // An older commit may end where the file does, and prove itself. With none left, opening counts a truncation: the
  // cells behind the cut are given out again.
  const misleading = copiesWith(area, () => true);
  const lost = { lostCells: disk.next - next, lostRoot: withRoot === null ? disk.root : null };
  return { ...lost, evidence: "cut", header, unflushedFrom: next, misleading };
}

/** The process-sync copies that are not torn, and say such a thing. */
function copiesWith(area: HeaderArea, says: (copy: Header) => boolean): Place[] {
  const isSuch = (name: CopyName): boolean => {
    const copy = area.copy(name);
    return copy !== null && says(copy);
  };
  return processCopies.filter(isSuch).map((name) => FILE[name]);
}
