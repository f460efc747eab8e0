/** What opening must choose, written down a second time: from the text of the design, with nothing from src/. */

import type { Area, Proof, State } from "../support/image.ts";

/** What a header points into. */
export interface Limits {
  readonly startIndex: number;
  readonly maxIndex: number;
  readonly fileCells: number;
}

/** The first cell for data of the tables. */
const START = 8;

/** How a state was found. */
export interface Found {
  readonly state: string;
  readonly disk: State;
  readonly skippedCells: number;
  readonly tornCopies: number;
  readonly ignored?: string | undefined;
}

/** A decision in a line, for tables: `clean 20/12`, `resumedAtFlush 30/12 after 20/12, 10 skipped`. */
export function inWords(chosen: State, { state, disk, skippedCells, tornCopies, ignored }: Found): string {
  const parts = [
    `${state} ${chosen.next}/${chosen.root}`,
    chosen.next === disk.next && chosen.root === disk.root ? "" : ` after ${disk.next}/${disk.root}`,
    skippedCells === 0 ? "" : `, ${skippedCells} skipped`,
    ignored === undefined ? "" : `, ${ignored} ignored`,
    tornCopies === 0 ? "" : `, ${tornCopies} torn`,
  ];
  return parts.join("");
}

/** The decision that the design asks for, in words, or the code of the error. */
export function modelOf({ disk, process, records = [null, null] }: Area, limits: Limits, cellsCrc: number): string {
  const tornCopies = [...disk, ...process].filter((copy) => copy === null).length;
  const fitsButForTheFile = (copy: State | null): copy is State => {
    if (copy === null || copy.next < limits.startIndex || copy.next > limits.maxIndex) return false;
    return copy.root === 0 || (copy.root >= limits.startIndex && copy.root < copy.next);
  };
  const fits = (copy: State | null): copy is State => fitsButForTheFile(copy) && copy.next <= limits.fileCells;
  const flush = disk.find(fits);
  const commit = process.find(fits);
  if (flush === undefined || flush === null) {
    return disk.some(fitsButForTheFile) ? "FILE_CUT" : "HEADER_BROKEN";
  }
  if (commit && commit.next === flush.next && commit.root === flush.root) {
    return inWords(flush, { state: "clean", disk: flush, skippedCells: 0, tornCopies });
  }
  let ignored: string | undefined;
  if (!commit) ignored = process.some((copy) => copy !== null) ? "pastEnd" : "torn";
  else if (commit.next < flush.next) ignored = "older";
  const newest = newestThatCounts(
    records,
    flush,
    commit ?? null,
    (record) => fits(record) && record.cellsCrc === cellsCrc,
  );
  const from = newest ?? flush;
  const next = Math.max(from.next, ignored === undefined && commit ? commit.next : 0);
  const state = newest === null ? "resumedAtFlush" : "resumedAtCommit";
  const skippedCells = next - from.next;
  return inWords({ next, root: from.root }, { state, disk: flush, skippedCells, tornCopies, ignored });
}

function newestThatCounts(
  [one, two]: readonly [Proof | null, Proof | null],
  flush: State,
  commit: State | null,
  isWhole: (record: Proof) => boolean,
): Proof | null {
  const oneIsNewer = one !== null && two !== null && ((one.sequence - two.sequence) | 0) > 0;
  for (const record of oneIsNewer ? [one, two] : [two, one]) {
    if (record === null) continue;
    const { next, root, base, baseRoot = 0 } = record;
    if (next === flush.next && root === flush.root) return null;
    const isOfCommit = next === commit?.next && root === commit.root;
    const isOfFlush = base === flush.next && baseRoot === flush.root && next > flush.next;
    if (!isOfCommit && !isOfFlush) continue;
    if (base >= START && base <= flush.next && flush.next <= next && isWhole(record)) return record;
  }
  return null;
}
