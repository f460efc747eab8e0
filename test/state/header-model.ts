/** What opening must choose, written down a second time: from the text of the design, with nothing from src/. */

import type { Area, Proof, State } from "../support/image.ts";

/** What a header points into. */
export interface Limits {
  readonly startIndex: number;
  readonly maxIndex: number;
  readonly fileCells: number;
}

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
  const found = { state: "resumedAtFlush", disk: flush, skippedCells: 0, tornCopies };
  if (!commit) return inWords(flush, { ...found, ignored: process.some((copy) => copy !== null) ? "pastEnd" : "torn" });
  if (commit.next < flush.next) return inWords(flush, { ...found, ignored: "older" });
  if (commit.next === flush.next && commit.root === flush.root) return inWords(flush, { ...found, state: "clean" });
  const counts = (record: Proof | null): boolean =>
    record !== null &&
    record.next === commit.next &&
    record.root === commit.root &&
    record.base <= flush.next &&
    flush.next <= record.next &&
    record.cellsCrc === cellsCrc;
  if (records.some(counts)) return inWords(commit, { ...found, state: "resumedAtCommit" });
  const skippedCells = commit.next - flush.next;
  return inWords({ next: commit.next, root: flush.root }, { ...found, skippedCells });
}
