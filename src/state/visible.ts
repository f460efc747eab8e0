/**
 * Chooses the state that a reader shows, from header areas alone. Pure, except that the caller's `cellsMatch` compares
 * the cells of a commit record with its CRC.
 *
 * At opening, a reader of commits shows the process-sync header if `isCurrent` accepts it. Otherwise it shows
 * the disk-sync header. A later look compares the header area with that of the previous look:
 *
 * | the reader follows         | what has changed                             | the reader shows                            |
 * |----------------------------|----------------------------------------------|---------------------------------------------|
 * | commits                    | anything                                     | process sync: copy 1, or copy 2             |
 * | flushes, waits for commits | process-sync copy 1; it is inside the file   | copy 1, and follows commits from now on     |
 * | flushes                    | neither disk-sync copy 2 nor the truncations | the same state as before                    |
 * | flushes                    | one of these two                             | disk sync: copy 2, or copy 1 if 2 is torn   |
 *
 * A commit stores process-sync copy 1 first. A reader that waits for commits ignores copy 2, because it may be older
 * than the last power cut. A flush stores disk-sync copy 2 when it is durable. Copy 1 may be that of a flush that has
 * not ended.
 */

import { type CommitRecord, truncationsOf } from "../format/commit-record.ts";
import { type CopyName, type HeaderArea, processCopies } from "../format/area.ts";
import { type Bounds, type CheckedHeader, checkHeader, sameHeader } from "../format/header.ts";
import { sameBytes } from "../format/hash.ts";
import { FILE } from "../format/layout.ts";
import { type CellsMatch, isProven } from "./choose-state.ts";

/** Which header a reader follows. */
export type Follows = "flushes" | "commits";

/** The state that a reader shows. */
export interface Visible {
  readonly header: CheckedHeader;
  readonly follows: Follows;
  /** The number of truncations before this state, from the annex; null if the annex has no count. */
  readonly truncations: number | null;
}

/** The area that a reader loaded, and the state that it chose. */
export interface Look {
  readonly area: HeaderArea;
  readonly visible: Visible;
  /** `commits`: follow commits as soon as one can be believed. */
  readonly wanted: Follows;
}

/**
 * Returns the state that is visible now. Returns `torn` if a writer may be storing the header, so that the caller must
 * look again, and null if the header points outside the file.
 * @param isLast true for the last look: if process-sync copy 1 is still torn, a kill has torn it
 */
export function visibleAfter(before: Look, area: HeaderArea, bounds: Bounds, isLast: boolean): Visible | "torn" | null {
  const { visible, wanted } = before;
  if (visible.follows === "commits") return firstOf(processCopies, area, bounds, "commits");
  if (wanted === "commits" && hasChanged("process1", before.area, area)) {
    const first = firstOf(["process1"], area, bounds, "commits");
    if (first !== null && !(first === "torn" && isLast)) return first;
    // Copy 1 was torn by a kill, or points outside the file: follow flushes until it changes again.
  }
  const truncations = truncationsOf(area.records, visible.header.next);
  // Nothing has changed: keep the state. At opening it may have come from copy 1, which may be newer than copy 2.
  if (truncations === visible.truncations && !hasChanged("disk2", before.area, area)) return visible;
  return firstOf(["disk2", "disk1"], area, bounds, "flushes");
}

/** Makes the visible state of a header in this area. */
export function visibleOf(header: CheckedHeader, area: HeaderArea, follows: Follows): Visible {
  return { header, follows, truncations: truncationsOf(area.records, header.next) };
}

/**
 * Tells whether a reader may show the process-sync header although it has not seen it change. It may if a live writer
 * keeps the header current, or if the header's cells are known to be there.
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
  if (sameHeader(process, disk) || (hasKey && isStoredByPlebeia(area, process))) return true;
  return isProven(area, bounds, { process, disk }, cellsMatch);
}

/** Tells whether the bytes of a copy differ between two looks. */
export function hasChanged(name: CopyName, before: HeaderArea, now: HeaderArea): boolean {
  return !sameBytes(before.bytesAt(FILE[name]), now.bytesAt(FILE[name]));
}

/**
 * Returns the state of the first copy that is not torn. If the copy points outside the file, process sync tries the
 * next copy, and disk sync returns null.
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
    if (header !== null) return visibleOf(header, area, follows);
    if (follows === "flushes") return null;
  }
  return torn ? "torn" : null;
}

/**
 * Tells whether Plebeia stored the process-sync header. It did if the file has no annex, or if Cellar's last writer
 * closed the file and no commit record has this header. If a writer of Cellar did not close the file, a power cut may
 * have left its header on the disk without its cells.
 */
function isStoredByPlebeia(area: HeaderArea, process: CheckedHeader): boolean {
  if (area.isAnnexBlank) return true;
  const isOfRecord = (record: CommitRecord): boolean => sameHeader(record, process);
  return area.annexHead?.processId === 0 && !area.records.some(isOfRecord);
}
