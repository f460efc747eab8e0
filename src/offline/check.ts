/**
 * The checker: reads a file and reports findings. It reads by `pread` only, so that neither content nor a cut can kill
 * the process. It never throws on a bad file, never changes a file, and works beside a live writer.
 */

import { closeSync, readSync } from "node:fs";
import { quoted, RESTORE, StorageError, withoutPath, wrongType } from "../error.ts";
import { chunkCells, firstIndexOf } from "../format/chunk.ts";
import { FOOTER, FOOTER_BYTES } from "../format/layout.ts";
import { checkRecords } from "./check-records.ts";
import { inspect, type Inspection } from "./inspect.ts";
import { openFile, pathFrom } from "../os/file.ts";
import type { StateChoice } from "../state/choose-state.ts";

/** One finding of the checker. */
export interface Finding {
  /** The part of the file that was checked. */
  readonly part: string;
  /**
   * `ok`: the part is as a clean close leaves it. `note`: it differs, because of a crash (the finding `state` says
   * whether commits are lost), cells that were changed in place, or damage that looks like these. `damage`: something
   * cannot be read.
   */
  readonly level: "ok" | "note" | "damage";
  /** The finding in a sentence. */
  readonly message: string;
  /** The index of the blob, if the finding is about one. */
  readonly index?: number;
}

type Report = (part: string, level: Finding["level"], message: string, index?: number) => void;

/**
 * Checks a file: config, size, the four header copies, the annex, the cells covered by the checksums of commit records,
 * and the state that opening for writing would choose. Also checks the blobs with the given indices; "root" is the root
 * of that state. Other cells have no checksum, so damage of them is not found.
 * @throws TypeError the path is not a path, or an index is neither a number nor "root"
 *
 * @example
 * const damage = check("data.cellar", ["root"]).filter((finding) => finding.level === "damage");
 */
export function check(path: string | URL, indices: Iterable<number | "root"> = []): Finding[] {
  const findings: Finding[] = [];
  const report: Report = (part, level, message, index) => {
    findings.push({ part, level, message, ...(index === undefined ? {} : { index }) });
  };
  const name = pathFrom(path);
  const blobs = blobsFrom(indices);
  try {
    const fd = openFile(name, "read");
    try {
      checkFile(fd, name, blobs, report);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    // An error that prevents reading the file is a finding too.
    report("file", "damage", error instanceof StorageError ? withoutPath(error) : String(error));
  }
  const looked = findings.filter(({ part }) => part === "blob").length;
  for (const index of blobs.slice(looked)) report("blob", "note", `${index}: not checked`);
  return findings;
}

function blobsFrom(indices: Iterable<number | "root">): readonly (number | "root")[] {
  const isList = typeof indices === "object" && indices !== null && Symbol.iterator in indices;
  if (!isList) throw wrongType("indices", "a list of indices", indices);
  const blobs = [...indices];
  for (const index of blobs) {
    if (typeof index !== "number" && index !== "root") throw wrongType("an index", 'a number or "root"', index);
  }
  return blobs;
}

function checkFile(fd: number, path: string, blobs: readonly (number | "root")[], report: Report): void {
  const inspection = inspectIfSound(fd, path, report);
  if (inspection === null) return;
  checkSize(inspection, report);
  checkCopies(inspection, report);
  checkAnnex(inspection, report);
  for (const { part, level, message } of checkRecords(fd, inspection)) report(part, level, message);
  const { state } = inspection;
  reportState(state, report);
  if (state instanceof StorageError) return;
  const { next, root } = state.header;
  for (const index of blobs) {
    if (index !== "root") checkBlob(fd, inspection, next, index, report);
    else if (root !== 0) checkBlob(fd, inspection, next, root, report);
    else report("blob", "note", "root: the storage has none");
  }
}

/** Inspects the file. Returns null if its config is damaged: then nothing else in the file can be checked. */
function inspectIfSound(fd: number, path: string, report: Report): Inspection | null {
  try {
    // Do not search for the config that the file had, which may take seconds.
    const inspection = inspect(fd, path, () => null);
    const { headString, version, bytesPerCell, maxIndex } = inspection.config;
    const said = `head string ${quoted(headString)}, version ${version} (not covered by a checksum)`;
    report("config", "ok", `${said}, ${bytesPerCell} bytes per cell, max index ${maxIndex}`);
    return inspection;
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== "INVALID_CONFIG") throw error;
    report("config", "damage", withoutPath(error));
    report("state", "note", "not checked, because the config is damaged");
    return null;
  }
}

function checkSize({ sizeBytes, config, bounds }: Inspection, report: Report): void {
  const rest = sizeBytes % config.bytesPerCell;
  if (rest === 0) report("size", "ok", `${sizeBytes} bytes, ${bounds.fileCells} cells`);
  else
    report(
      "size",
      "note",
      `${sizeBytes} bytes: ${bounds.fileCells} cells and ${rest} bytes of another, which are not used`,
    );
}

function checkCopies({ copies }: Inspection, report: Report): void {
  for (const { sync, copy, state, header } of copies) {
    const name = `${sync}-sync copy ${copy}`;
    if (header === null) report(name, "note", "its hash is wrong: the copy is torn or was never written");
    else {
      const said = `length ${header.next}, root ${header.root === 0 ? "none" : header.root}`;
      if (state === "outside") report(name, "note", `${said}: points outside the file`);
      else report(name, "ok", said);
    }
  }
}

function checkAnnex({ annexHead: head }: Inspection, report: Report): void {
  if (head === null)
    report("annex head", "note", "absent or torn: nothing confirms the config, and the writer's process is not known");
  else if (head.processId === 0) report("annex head", "ok", "the last writer closed the file");
  else report("annex head", "ok", `process ${head.processId} writes the file, or was killed`);
}

/** Reports the state that opening the file for writing would choose, or the error that it would throw. */
function reportState(found: StateChoice | StorageError, report: Report): void {
  if (found instanceof StorageError) return report("state", "damage", withoutPath(found));
  const { header, recovery } = found;
  const { state, skippedCells, ignored } = recovery;
  const said = `${state}: length ${header.next}, root ${header.root === 0 ? "none" : header.root}`;
  const skipped = skippedCells > 0 ? `, ${skippedCells} cells of unproven commits skipped` : "";
  const why = ignored === undefined ? "" : `, process-sync header ignored: ${ignored}`;
  report("state", state === "clean" ? "ok" : "note", `${said}${skipped}${why}`);
}

/** Follows a blob's chunks from its last one back; each step goes to a lower index. */
function checkBlob(fd: number, { config, bounds }: Inspection, length: number, index: number, report: Report): void {
  const { bytesPerCell } = config;
  if (!Number.isInteger(index) || index < bounds.startIndex || index >= length) {
    const range = length === bounds.startIndex ? "there are none" : `expected ${bounds.startIndex} to ${length - 1}`;
    report("blob", "damage", `${index} is not an index of data: ${range}`, index);
    return;
  }
  const footer = new Uint8Array(FOOTER_BYTES);
  const view = new DataView(footer.buffer);
  let chunks = 0;
  let blobBytes = 0;
  for (let last = index; last !== 0; chunks++) {
    const readBytes = readSync(fd, footer, 0, FOOTER_BYTES, (last + 1) * bytesPerCell - FOOTER_BYTES);
    if (readBytes < FOOTER_BYTES) {
      report("blob", "damage", `chunk at ${last}: the file ends before it`, index);
      return;
    }
    const sizeBytes = view.getUint16(FOOTER.size.offset, true);
    const previous = view.getUint32(FOOTER.previous.offset, true);
    if (firstIndexOf(last, sizeBytes, previous, chunks > 0, bounds.startIndex, bytesPerCell) === 0) {
      const footer = `its footer says ${sizeBytes} bytes after index ${previous}`;
      const advice = `if write() returned this index, the blob is damaged: ${RESTORE}`;
      report("blob", "damage", `no chunk ends at ${last}: ${footer}: ${advice}`, index);
      return;
    }
    blobBytes += sizeBytes;
    last = previous;
  }
  const said = `${blobBytes} bytes in ${chunks} ${chunks === 1 ? "chunk" : "chunks"}`;
  const isCell = blobBytes === 0 && !isZero(fd, index + 1 - chunkCells(0, bytesPerCell), index + 1, bytesPerCell);
  if (isCell)
    report("blob", "note", `${said}, but its cell is not all zero: an allocated cell reads as an empty blob`, index);
  else report("blob", "ok", said, index);
}

/** Tells whether all bytes of the cells `[from, to)` are zero. */
function isZero(fd: number, from: number, to: number, bytesPerCell: number): boolean {
  const bytes = new Uint8Array((to - from) * bytesPerCell);
  readSync(fd, bytes, 0, bytes.length, from * bytesPerCell);
  return bytes.every((byte) => byte === 0);
}
