/**
 * Checks the cells that have a checksum. A file has only the checksums of its two commit records. Each covers the cells
 * written since the flush before it. Cells may be changed in place after a commit, so a difference is a note and not
 * damage.
 */

import { type CommitRecord, isLater } from "../format/commit-record.ts";
import { cellsOnFileMatch, type Inspection, readArea } from "./inspect.ts";

interface RecordFinding {
  readonly part: string;
  readonly level: "ok" | "note";
  readonly message: string;
}

/** A commit record, and the result of comparing its cells with its checksum. */
type Compared =
  | { readonly result: "torn"; readonly record: null }
  | { readonly result: "outside" | "empty" | "matches" | "differs"; readonly record: CommitRecord };

const texts: Readonly<Record<Compared["result"] | "replaced" | "written", readonly [RecordFinding["level"], string]>> =
  {
    torn: ["note", "its CRC is wrong: the record is torn or was never written, and proves no commit"],
    outside: ["note", "points outside the file"],
    empty: ["ok", "its checksum covers no cell"],
    matches: ["ok", "the checksum matches"],
    differs: ["note", "the checksum does not match: the cells were changed in place since, or are damaged"],
    replaced: ["ok", "replaced by the other commit"],
    written: ["ok", "not compared, because a writer has changed the file meanwhile"],
  };

/** Compares the cells that the commit records cover with their checksums. */
export function checkRecords(fd: number, file: Inspection): RecordFinding[] {
  const compared = file.area.recordPlaces.map((record) => compare(fd, file, record));
  const differs = compared.some(({ result }) => result === "differs");
  // A live writer may have replaced the cells and the records since.
  const isWritten = differs && Buffer.compare(file.area.bytes, readArea(fd, file.path)) !== 0;
  const findings = compared.map((one, i) => {
    const [level, what] = texts[isWritten && one.result === "differs" ? "written" : resultBeside(one, compared[1 - i])];
    const message = one.record === null ? what : `${recordText(one.record)}: ${what}`;
    return { part: `commit record ${i + 1}`, level, message };
  });
  const sizeBytes = unionCells(compared.filter(({ result }) => result === "matches")) * file.config.bytesPerCell;
  const message = sizeBytes === 0 ? "no byte was compared" : `${sizeBytes} bytes match their checksum`;
  return [...findings, { part: "cells", level: "ok", message: `${message}: no checksum covers other cells` }];
}

function compare(fd: number, { path, config, bounds }: Inspection, record: CommitRecord | null): Compared {
  if (record === null) return { result: "torn", record };
  const { base, next } = record;
  const isInside = base >= bounds.startIndex && base <= next && next <= Math.min(bounds.maxIndex, bounds.fileCells);
  if (!isInside) return { result: "outside", record };
  if (base === next) return { result: "empty", record };
  return { result: cellsOnFileMatch(fd, path, config.bytesPerCell, record) ? "matches" : "differs", record };
}

/**
 * Returns the result to report. A difference does not count if a newer record matches and covers the same cells: they
 * were changed in place between the two commits.
 */
function resultBeside({ result, record }: Compared, other: Compared | undefined): keyof typeof texts {
  if (result !== "differs" || other?.result !== "matches") return result;
  const newer = other.record;
  const isCovered = newer.base <= record.base && record.next <= newer.next;
  return isLater(newer.sequence, record.sequence) && isCovered ? "replaced" : result;
}

function recordText({ sequence, base, next, root }: CommitRecord): string {
  return `commit ${sequence}: cells ${base} to ${next}, root ${root === 0 ? "none" : root}`;
}

/** Returns how many cells at most two records cover together. */
function unionCells([a, b]: readonly Compared[]): number {
  const sizeOf = (one: Compared | undefined): number => (one?.record ? one.record.next - one.record.base : 0);
  if (!a?.record || !b?.record) return sizeOf(a) + sizeOf(b);
  const shared = Math.min(a.record.next, b.record.next) - Math.max(a.record.base, b.record.base);
  return sizeOf(a) + sizeOf(b) - Math.max(0, shared);
}
