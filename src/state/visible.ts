/**
 * Chooses the state that a reader shows, from header areas alone. Pure, except that the caller's `cellsMatch` compares
 * the cells of a commit record with its CRC.
 *
 * At opening, a reader shows process sync if it wants commits and the header may be believed, else disk sync. At a
 * later look:
 *
 * | follows                     | what has moved since the look before         | shows                                       |
 * |-----------------------------|----------------------------------------------|---------------------------------------------|
 * | commits                     | anything                                     | process sync: copy 1, or copy 2             |
 * | flushes, and wants commits  | process sync, copy 1, to one inside the file | that, and follows commits from now on       |
 * | flushes                     | neither disk sync, copy 2, nor the count     | what it showed                              |
 * | flushes                     | either                                       | disk sync: copy 2, or copy 1 if 2 is torn   |
 *
 * Process sync is stored copy 1 first. A reader that waits for commits ignores copy 2, which may be older than the last
 * power cut. Disk-sync copy 2 is stored when a flush is durable; copy 1 may be of a flush that is still under way, or
 * was overtaken.
 */

import { type CommitRecord, truncationsOf } from "../format/commit-record.ts";
import { type CopyName, type HeaderArea, processCopies } from "../format/area.ts";
import { type Bounds, type CheckedHeader, checkHeader, sameHeader } from "../format/header.ts";
import { sameBytes } from "../format/hash.ts";
import { FILE } from "../format/layout.ts";
import { type CellsMatch, isProven } from "./choose-state.ts";

/** Which header a reader follows. */
export type Follows = "flushes" | "commits";

/** A state that is shown. */
export interface Visible {
  readonly header: CheckedHeader;
  readonly follows: Follows;
  /** How many truncations came before it, by the annex; null if the annex holds no count. */
  readonly truncations: number | null;
}

/** The area that a reader loaded, and the state that it chose. */
export interface Look {
  readonly area: HeaderArea;
  readonly visible: Visible;
  /** `commits`: follow commits as soon as there is one to believe. */
  readonly wanted: Follows;
}

/**
 * Returns the state that is visible now. `torn`: a writer may be storing the header, so look again; null: the header
 * points outside the file.
 * @param isLast do not ask for another look at a torn copy: a copy that a kill has torn stays torn
 */
export function visibleAfter(before: Look, area: HeaderArea, bounds: Bounds, isLast: boolean): Visible | "torn" | null {
  const { visible, wanted } = before;
  if (visible.follows === "commits") return firstOf(processCopies, area, bounds, "commits");
  if (wanted === "commits" && hasMoved("process1", before.area, area)) {
    const first = firstOf(["process1"], area, bounds, "commits");
    if (first !== null && !(first === "torn" && isLast)) return first;
    // A kill has torn copy 1, or it points outside the file: follow flushes until it changes again.
  }
  const truncations = truncationsOf(area.records, visible.header.next);
  // Keep the state: at opening, it may have come from a copy 1 that is newer than copy 2.
  if (truncations === visible.truncations && !hasMoved("disk2", before.area, area)) return visible;
  return firstOf(["disk2", "disk1"], area, bounds, "flushes");
}

/** The visible state for a header of this area. */
export function shown(header: CheckedHeader, area: HeaderArea, follows: Follows): Visible {
  return { header, follows, truncations: truncationsOf(area.records, header.next) };
}

/**
 * Tells whether the process-sync header may be believed although no change of it was seen: a live writer keeps it
 * current, or a record proves it.
 */
export function isCurrent(
  area: HeaderArea,
  bounds: Bounds,
  { process, disk }: { readonly process: CheckedHeader; readonly disk: CheckedHeader },
  {
    isLive,
    hasKey,
    cellsMatch,
  }: { readonly isLive: boolean; readonly hasKey: boolean; readonly cellsMatch: CellsMatch },
): boolean {
  if (isLive) return true;
  if (process.next < disk.next) return false;
  if (sameHeader(process, disk) || (hasKey && isOriginals(area, process))) return true;
  return isProven(area, bounds, { process, disk }, cellsMatch);
}

/** Tells whether a copy has changed. */
export function hasMoved(name: CopyName, before: HeaderArea, now: HeaderArea): boolean {
  return !sameBytes(before.bytesAt(FILE[name]), now.bytesAt(FILE[name]));
}

/**
 * Returns the first copy that is not torn. An impossible copy is skipped for process sync, and ends the search for disk
 * sync.
 */
function firstOf(
  names: readonly CopyName[],
  area: HeaderArea,
  bounds: Bounds,
  follows: Follows,
): Visible | "torn" | null {
  let torn = true;
  for (const name of names) {
    const copy = area.copy(name);
    if (copy === null) continue;
    torn = false;
    const header = checkHeader(copy, bounds);
    if (header !== null) return shown(header, area, follows);
    if (follows === "flushes") return null;
  }
  return torn ? "torn" : null;
}

/**
 * Tells whether the original stored the process-sync header: the file has no annex, or Cellar's last writer closed the
 * file and none of its commits is this one. A Cellar writer that did not close may, after a power cut, have left a
 * header on the disk without its cells.
 */
function isOriginals(area: HeaderArea, process: CheckedHeader): boolean {
  if (area.isAnnexBlank) return true;
  const isOfRecord = (record: CommitRecord): boolean => sameHeader(record, process);
  return area.annexHead?.processId === 0 && !area.records.some(isOfRecord);
}
