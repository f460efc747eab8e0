/**
 * What a reader shows, told from header areas alone. Pure but for one question, which the caller answers: whether the cells
 * of a commit record are what it says.
 *
 * At opening: process sync, if commits are wanted and it may be believed, else disk sync. At a later look:
 *
 * | goes by                     | what has moved since the look before         | shows                                       |
 * |-----------------------------|----------------------------------------------|---------------------------------------------|
 * | commits                     | anything                                     | process sync: copy 1, or copy 2             |
 * | flushes, and wants commits  | process sync, copy 1, to one inside the file | that, and goes by commits from now on       |
 * | flushes                     | neither disk sync, copy 2, nor the count     | what it showed                              |
 * | flushes                     | either                                       | disk sync: copy 2, or copy 1 if 2 is torn   |
 *
 * Process sync is stored copy 1 first: to a reader that waits for commits copy 2 says nothing, for it may be what a power
 * cut left. Disk sync copy 2 is stored when a flush has returned; copy 1 may be of one under way, or that was overtaken.
 */

import { type CommitRecord, truncationsOf } from "../format/annex.ts";
import { type CopyName, type HeaderArea, processCopies } from "../format/area.ts";
import { type Bounds, type CheckedHeader, checkHeader, sameHeader } from "../format/header.ts";
import { sameBytes } from "../format/hash.ts";
import { FILE } from "../format/layout.ts";
import { type CellsMatch, isProven } from "./choose-state.ts";

/** Which header a reader goes by. */
export type Follows = "flushes" | "commits";

/** A state that is shown. */
export interface Visible {
  readonly header: CheckedHeader;
  readonly follows: Follows;
  /** The truncations before it, as the annex told; null if it tells nothing. */
  readonly truncations: number | null;
}

/** What a reader looked at, and made of it. */
export interface Look {
  readonly area: HeaderArea;
  readonly visible: Visible;
  /** Commits, as soon as there is one to believe. */
  readonly wanted: Follows;
}

/**
 * What is visible now, after a look before. `torn`: a writer may be storing it, look again; null: it points outside the file.
 * @param isLast a copy that is torn is not looked at again: one that a kill has torn stays so
 */
export function visibleAfter(before: Look, area: HeaderArea, bounds: Bounds, isLast: boolean): Visible | "torn" | null {
  const { visible, wanted } = before;
  if (visible.follows === "commits") return firstOf(processCopies, area, bounds, "commits");
  if (wanted === "commits" && hasMoved("process1", before.area, area)) {
    const first = firstOf(["process1"], area, bounds, "commits");
    if (first !== null && !(first === "torn" && isLast)) return first;
    // A kill has torn it, or nothing that fits the file is in it: flushes count until it changes again.
  }
  const truncations = truncationsOf(area.records, visible.header.next);
  // At opening it may have been a copy 1 that is newer than copy 2.
  if (truncations === visible.truncations && !hasMoved("disk2", before.area, area)) return visible;
  return firstOf(["disk2", "disk1"], area, bounds, "flushes");
}

/** A header of this area as what is shown. */
export function shown(header: CheckedHeader, area: HeaderArea, follows: Follows): Visible {
  return { header, follows, truncations: truncationsOf(area.records, header.next) };
}

/** Whether the process-sync header may be believed before it has moved: it is kept current, or proves itself. */
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

/** Whether a copy is not what it was. */
export function hasMoved(name: CopyName, before: HeaderArea, now: HeaderArea): boolean {
  return !sameBytes(before.bytesAt(FILE[name]), now.bytesAt(FILE[name]));
}

/** The first copy that is not torn; one that is impossible leaves it to the next of process sync only. */
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
 * Whether the process-sync header was stored by the original: its file has no annex, or Cellar's last writer closed it,
 * and none of that writer's commits is this one. A writer of Cellar that did not close may have left a header on the disk
 * without its cells, by a power cut.
 */
function isOriginals(area: HeaderArea, process: CheckedHeader): boolean {
  if (area.isAnnexBlank) return true;
  const isOfRecord = (record: CommitRecord): boolean => sameHeader(record, process);
  return area.annexHead?.processId === 0 && !area.records.some(isOfRecord);
}
