/**
 * Wrong decisions, as patches of the source, because they cannot be made at the seam. Faults in the order, the presence
 * and the place of stores and syncs are in `seam-mutants.ts`.
 *
 * Two faults are in neither list, because the replay cannot see them. Without the second sync of `repairDiskCopies`, the
 * flush that follows does the same. Without `rewriteUncached`, only a disk that reports a false success loses more.
 */

export interface PatchMutant {
  readonly name: string;
  /** Each text occurs once in `src/`. It is replaced by the second text. */
  readonly patches: readonly (readonly [text: string, instead: string])[];
  /** The test that finds the mutant, if the replay does not, or only with some seeds. */
  readonly test?: string;
  /** The workload that finds the mutant, if few do. The replay then runs only this one. */
  readonly workload?: string;
}

const lonePages = "a commit whose first and last cell are alone in their pages";
const mixes = "test/crash/mixes.test.ts";
const liveReaders = "test/crash/live-readers.test.ts";
const headerChoice = "test/state/header-choice.test.ts";
const readerTrust = "test/state/reader-trust.test.ts";
const flush = "test/state/flush.test.ts";
const commitRecord = "test/format/commit-record.test.ts";

export const patchMutants: readonly PatchMutant[] = [
  // Which state is chosen.
  {
    name: "next not held against the file",
    patches: [[" || next > bounds.fileCells", ""]],
    // The replay does not find it: opening makes the size durable before a header refers to it.
    test: headerChoice,
  },
  { name: "process-sync header trusted without proof", patches: [["proven ?? disk;", "proven ?? process ?? disk;"]] },
  {
    name: "an older process-sync header is followed",
    patches: [["proven ?? disk;", "proven ?? (process !== null && process.next < disk.next ? process : disk);"]],
  },
  {
    name: "a process-sync header as long as the flush needs no proof",
    patches: [["proven ?? disk;", "proven ?? (process?.next === disk.next ? process : disk);"]],
  },
  {
    name: "a reader trusts the process-sync header without proof",
    patches: [["return isProven(area,", "return true || isProven(area,"]],
  },
  {
    name: "a record of before the flush counts",
    patches: [["if (sameHeader(record, disk)) return null;", ""]],
    // The replay finds it, but not with every seed.
    test: headerChoice,
  },
  {
    name: "a record counts whatever root its flush had",
    patches: [[" && record.baseRoot === disk.root", ""]],
    test: headerChoice,
  },
  { name: "the older record that counts wins", patches: [["of area.records) {", "of area.records.toReversed()) {"]] },
  {
    name: "opening skips no cells that readers may hold",
    patches: [["found.next, ignored === undefined ? (process?.next ?? 0) : 0)", "found.next, 0)"]],
    workload: "changes in place",
  },
  {
    name: "the key is trusted though a writer of Cellar did not close",
    patches: [["area.annexHead?.processId === 0 && !", "!"]],
    test: mixes,
  },
  {
    name: "the annex head is not stored before the flush of opening",
    patches: [
      ["storeProcessId(region, process.pid);\n  const publisher = new", "const publisher = new"],
      ["recovery));\n", "recovery));\n  storeProcessId(region, process.pid);\n"],
    ],
    test: mixes,
  },

  // What a record proves.
  { name: "cells of a record not compared", patches: [["0, true) === record.cellsCrc", "0, true) !== -1"]] },
  {
    name: "CRC without the last cell",
    patches: [
      ["from.next, next, from.crc)", "run.base, next - 1)"],
      ["record.base, record.next, 0, true)", "record.base, record.next - 1, 0, true)"],
    ],
    workload: lonePages,
  },
  {
    name: "CRC without the first cell",
    patches: [
      ["from.next, next, from.crc)", "run.base + 1, next)"],
      ["record.base, record.next, 0, true)", "record.base + 1, record.next, 0, true)"],
    ],
    workload: lonePages,
  },

  // What a flush answers, and what a truncation does before it begins.
  {
    name: "what changed during the syncs is acknowledged",
    patches: [["#checkAcknowledgement(): void {", "#checkAcknowledgement(): void {\n    return;"]],
    test: "test/state/file-fault.test.ts",
  },
  {
    name: "a waiting flush's cells are given back",
    patches: [["Math.max(this.committed.next, this.#pending?.next ?? 0)", "this.committed.next"]],
    test: flush,
  },
  {
    name: "a truncation forgets what a waiting flush asked for",
    patches: [["if (this.#pending !== null) this.commit(this.#pending);", ""]],
    test: flush,
  },
  {
    name: "truncate does not flush the last commit first",
    patches: [["if (!sameHeader(this.committed, this.durable)) this.flushSync", "if (false) this.flushSync"]],
    workload: "truncate",
  },

  // How truncations are counted.
  {
    name: "truncation: counted at once, without an odd count",
    patches: [["this.#recordedCount++;", "this.#recordedCount += 2;"]],
    test: liveReaders,
  },
  {
    name: "truncation: the count is not made even by a commit",
    patches: [["this.commit(this.#committed);", ""]],
    test: liveReaders,
  },
  {
    name: "truncation: opening leaves an odd count as it is",
    patches: [["isTruncating(latest?.truncations ?? 0) || ", ""]],
    test: readerTrust,
  },
  {
    name: "truncation: opening that may give out cells again does not count",
    patches: [[' || ignored === "pastEnd" || ignored === "torn"', ""]],
    test: readerTrust,
  },
  {
    name: "truncation: every state that is shown while one is under way came after it",
    patches: [[" && next <= newest.next;", ";"]],
    test: liveReaders,
  },
  {
    name: "truncation: only the state of the newest record came after it",
    patches: [[" && next <= newest.next;", " && next === newest.next;"]],
    test: commitRecord,
  },
  {
    name: "truncation: cells are kept for one more count",
    patches: [[" >>> 0 <= 2;", " >>> 0 <= 3;"]],
    test: liveReaders,
  },
  {
    name: "truncation: copy 2 stands whatever is counted",
    patches: [["if (truncations === visible.truncations && !", "if (!"]],
    test: "test/state/reader-steps.test.ts",
  },
];
