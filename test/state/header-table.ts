/** The table of src/state/choose-state.ts row by row, in letters. */

import type { Area, Proof, State } from "../support/image.ts";

/** The CRC that the cells have. */
export const CELLS_CRC = 7;

/** The states of the table. F: the last flush. C: a commit after it. E: an earlier state. The others are impossible. */
const states: Readonly<Record<string, State | null>> = {
  F: { next: 20, root: 12 },
  E: { next: 15, root: 9 },
  C: { next: 30, root: 25 },
  G: { next: 40, root: 35 }, // A later commit.
  "C'": { next: 20, root: 19 }, // As long as the flush, with another root.
  N: { next: 20, root: 0 }, // No root.
  P: { next: 101, root: 12 }, // Past the end of the file.
  M: { next: 1001, root: 12 }, // Past maxIndex.
  R: { next: 30, root: 30 }, // The root is no cell.
  S: { next: 7, root: 0 }, // Before the first cell for data.
  "-": null, // Torn.
};

/**
 * Copies 1 and 2; records as state@base, with ! for the CRC of other cells, and ~ for a base with another root. The record
 * in the second place is the newer one.
 */
const table = `
  disk  | process | records     | decided
  F F   | F F     | -     -     | clean 20/12
  N N   | N N     | C@20  -     | clean 20/0
  F F   | C C     | C@20  -     | resumedAtCommit 30/25 after 20/12
  F F   | C C     | F@20  C@20  | resumedAtCommit 30/25 after 20/12
  F F   | C C     | C@8   -     | resumedAtCommit 30/25 after 20/12
  F F   | C' C'   | C'@20 -     | resumedAtCommit 20/19 after 20/12
  F F   | N N     | -     N@20  | resumedAtCommit 20/0 after 20/12
  F F   | C C     | -     -     | resumedAtFlush 30/12 after 20/12, 10 skipped
  F F   | C' C'   | -     -     | resumedAtFlush 20/12
  F F   | C C     | C@21  -     | resumedAtFlush 30/12 after 20/12, 10 skipped
  F F   | C C     | C!20  -     | resumedAtFlush 30/12 after 20/12, 10 skipped
  F F   | C C     | C!20  C@20  | resumedAtCommit 30/25 after 20/12
  F F   | C C     | F@20  C'@20 | resumedAtFlush 30/12 after 20/12, 10 skipped
  F F   | - -     | C@20  -     | resumedAtCommit 30/25 after 20/12, torn ignored, 2 torn
  F F   | - -     | C@8   -     | resumedAtFlush 20/12, torn ignored, 2 torn
  F F   | E E     | C@20  -     | resumedAtCommit 30/25 after 20/12, older ignored
  F F   | P P     | C@20  -     | resumedAtCommit 30/25 after 20/12, pastEnd ignored
  F F   | G G     | C@20  G!20  | resumedAtCommit 40/25 after 20/12, 10 skipped
  F F   | G G     | C~20  G!20  | resumedAtFlush 40/12 after 20/12, 20 skipped
  F F   | G G     | C@15  G!20  | resumedAtFlush 40/12 after 20/12, 20 skipped
  F F   | G G     | C!20  G!20  | resumedAtFlush 40/12 after 20/12, 20 skipped
  F F   | C C     | C@20  G@20  | resumedAtCommit 40/35 after 20/12
  F F   | C C     | C@20  G~20  | resumedAtCommit 30/25 after 20/12
  F F   | C C     | C~20  -     | resumedAtCommit 30/25 after 20/12
  F F   | C C     | C@20  F@8   | resumedAtFlush 30/12 after 20/12, 10 skipped
  F F   | C C     | C@7   -     | resumedAtFlush 30/12 after 20/12, 10 skipped
  F F   | C' C'   | C@20  -     | resumedAtCommit 30/25 after 20/12
  F F   | F F     | -     C@20  | clean 20/12
  F F   | E E     | E@8   -     | resumedAtFlush 20/12, older ignored
  F F   | P P     | P@20  -     | resumedAtFlush 20/12, pastEnd ignored
  F F   | M M     | M@20  -     | resumedAtFlush 20/12, pastEnd ignored
  F F   | - P     | -     -     | resumedAtFlush 20/12, pastEnd ignored, 1 torn
  F F   | - C     | C@20  -     | resumedAtCommit 30/25 after 20/12, 1 torn
  F F   | C F     | C@20  -     | resumedAtCommit 30/25 after 20/12
  F F   | F C     | C@20  -     | clean 20/12
  F F   | P F     | -     -     | clean 20/12
  - F   | F F     | -     -     | clean 20/12, 1 torn
  F -   | F F     | -     -     | clean 20/12, 1 torn
  F E   | F F     | -     -     | clean 20/12
  E F   | F F     | F@15  -     | resumedAtCommit 20/12 after 15/9
  F C   | F F     | -     -     | clean 20/12
  P F   | F F     | -     -     | clean 20/12
  M F   | F F     | -     -     | clean 20/12
  R F   | F F     | -     -     | clean 20/12
  S F   | F F     | -     -     | clean 20/12
  - -   | F F     | -     -     | HEADER_BROKEN
  R S   | F F     | -     -     | HEADER_BROKEN
  - R   | F F     | -     -     | HEADER_BROKEN
  M M   | F F     | -     -     | HEADER_BROKEN
  P P   | F F     | -     -     | FILE_CUT
  - P   | F F     | -     -     | FILE_CUT
  P R   | F F     | -     -     | FILE_CUT`;

export const rows: [disk: string, process: string, records: string, decided: string][] = table
  .trim()
  .split("\n")
  .slice(1)
  .map((line) => line.split("|").map((column) => column.trim()) as [string, string, string, string]);

function pairOf<T>(column: string, read: (word: string) => T): [T, T] {
  const [first = "", second = ""] = column.split(/ +/);
  return [read(first), read(second)];
}

/** A state by its letter. */
export function stateOf(name: string): State | null {
  const state = states[name];
  if (state === undefined) throw new Error(`no state ${name}`);
  return state;
}

function recordOf(word: string): Proof | null {
  const [, name = "-", mark, base] = /^(.+)([@!~])(\d+)$/.exec(word) ?? [];
  const state = stateOf(name);
  const cellsCrc = mark === "!" ? CELLS_CRC + 1 : CELLS_CRC;
  const flush = Object.values(states).find((other) => other?.next === Number(base) && other.root !== 19);
  const baseRoot = mark === "~" ? 19 : (flush?.root ?? 0);
  return state && { ...state, base: Number(base), baseRoot, cellsCrc, sequence: 3, truncations: 0 };
}

/** A header area from the columns of a row. */
export function areaOf(disk: string, process: string, records: string): Area {
  return { disk: pairOf(disk, stateOf), process: pairOf(process, stateOf), records: pairOf(records, recordOf) };
}
