/**
 * Repairs a file without a believed disk-sync header. Uses only the other evidence in the file. Opening never does this
 * by itself: a person must ask for it.
 */

import type { CommitRecord } from "../format/commit-record.ts";
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
import type { RepairableRegion } from "../region/region.ts";
import type { CellsMatch } from "../state/choose-state.ts";
import { alignFileEnd } from "../cells/space.ts";

/**
 * The evidence of a state, best first.
 * - `proof`: the process-sync header, and a commit record whose CRC matches the cells since the flush before it.
 * - `commit`: the process-sync header alone; its cells may not have reached the disk.
 * - `record`: a commit record whose CRC matches, alone; it may be old, because Plebeia does not update records.
 * - `cut`: the disk-sync header of a file that was cut; its root is kept if it is in the remaining cells.
 */
type Evidence = "proof" | "commit" | "record" | "cut";

/** A state that the file can be brought to. */
export interface Restorable {
  readonly evidence: Evidence;
  readonly header: CheckedHeader;
  /** How many cells of the last flush the file has lost. */
  readonly lostCells: number;
  /** The root of the last flush, if the file has lost it. */
  readonly lostRoot: number | null;
  /** Cells from this index on are not known to be covered by a flush. */
  readonly unflushedFrom: number;
  /** Process-sync copies that opening must not believe once there is a disk-sync header again. */
  readonly misleading: readonly Place[];
}

const notCut = { lostCells: 0, lostRoot: null } as const;

/** Finds the best state of a file that does not open. Returns null if its header area has no evidence of a state. */
export function restorable(area: HeaderArea, bounds: Bounds, cellsMatch: CellsMatch): Restorable | null {
  const cut = cutState(area, bounds);
  // Ignore the evidence of older states that a cut file may have: its own root is newer, if the file still has it.
  if (cut !== "whole") return cut;
  const isProof = (record: CommitRecord): boolean =>
    record.base >= bounds.startIndex && record.base <= record.next && cellsMatch(record);
  const records = area.records.filter((record) => checkHeader(record, bounds) !== null);
  const process = area.believed(processCopies, bounds);
  // A copy that points past the end could be believed once the file is longer.
  const misleading = copiesWith(area, (copy) => checkHeader(copy, bounds) === null);
  if (process !== null) {
    const proof = records.find((record) => sameHeader(record, process) && isProof(record));
    if (proof !== undefined) {
      return { ...notCut, evidence: "proof", header: process, unflushedFrom: proof.base, misleading };
    }
    return { ...notCut, evidence: "commit", header: process, unflushedFrom: bounds.startIndex, misleading };
  }
  const record = records.find(isProof);
  const header = record === undefined ? null : checkHeader({ next: record.next, root: record.root }, bounds);
  if (record === undefined || header === null) return null;
  return { ...notCut, evidence: "record", header, unflushedFrom: record.base, misleading };
}

/**
 * Makes a state the last flush. A power cut at any step leaves a file for which the same state is found again, or a
 * file with a disk-sync copy of this state.
 */
export function restore(
  region: RepairableRegion,
  config: CheckedConfig,
  { header, unflushedFrom, misleading }: Pick<Restorable, "header" | "unflushedFrom" | "misleading">,
): void {
  const toBytes = header.next * config.bytesPerCell;
  if (misleading.length > 0) {
    // Erase these copies before the file grows and before a disk-sync header is stored. Each of the two could make
    // opening believe them.
    region.store(...misleading.map(({ offset, sizeBytes }) => ({ offset, bytes: new Uint8Array(sizeBytes) })));
    region.sync(HEADER_AREA_BYTES);
  }
  if (unflushedFrom < header.next) {
    alignFileEnd(region, config, header.next);
    // A failed sync may have left these cells in the page cache only, and a later sync would not write them again.
    region.rewriteUncached(unflushedFrom * config.bytesPerCell, toBytes);
  }
  region.sync(toBytes);
  for (const { offset } of [FILE.disk1, FILE.disk2]) {
    region.store({ offset, bytes: encodeHeader(header, null) });
    region.sync(HEADER_AREA_BYTES);
  }
}

/** Returns the state of a file that was cut: null if no cell is left, `whole` if the file was not cut. */
function cutState(area: HeaderArea, bounds: Bounds): Restorable | null | "whole" {
  const inLongerFile = { ...bounds, fileCells: bounds.maxIndex };
  const disk = area.believed(diskCopies, inLongerFile);
  if (disk === null) return "whole";
  const next = bounds.fileCells;
  const withRoot = checkHeader({ next, root: disk.root }, bounds);
  const header = withRoot ?? checkHeader({ next, root: 0 }, bounds);
  if (header === null || next === bounds.startIndex) return null;
  // Remove all process-sync copies: an older commit may end at the file's end and be proven. Without a copy, opening
  // isProof a truncation. It must, because the cells behind the cut are allocated again.
  const misleading = copiesWith(area, () => true);
  const lost = { lostCells: disk.next - next, lostRoot: withRoot === null ? disk.root : null };
  return { ...lost, evidence: "cut", header, unflushedFrom: next, misleading };
}

/** Returns the places of the process-sync copies that are not torn and for which `test` returns true. */
function copiesWith(area: HeaderArea, test: (copy: Header) => boolean): Place[] {
  const isSelected = (name: CopyName): boolean => {
    const copy = area.copy(name);
    return copy !== null && test(copy);
  };
  return processCopies.filter(isSelected).map((name) => FILE[name]);
}
