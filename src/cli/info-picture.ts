/**
 * Draws the picture of `cellar info`: labelled rows, at most 80 columns wide. Turns an inspection into lines. Pure,
 * except for the terminal's width and colours.
 */

import { printable, quoted, StorageError, withoutPath } from "../error.ts";
import { doneTruncations } from "../format/commit-record.ts";
import { sameHeader } from "../format/header.ts";
import type { CopyState, Inspection } from "../offline/inspect.ts";
import type { StateChoice } from "../state/choose-state.ts";
import { asCommands } from "./failure.ts";
import { bar, bytesText, countText, rootText, shareText } from "./figures.ts";
import { columns, labelled, paint, type Style, widthOf } from "./output.ts";
import { configDamageText, recoveryText } from "./recovery-text.ts";

const BAR_WIDTH = 40;
/** A shorter bar is left out: its figures say more. */
const MIN_BAR_WIDTH = 8;
const SHARE_WIDTH = 8;
const INDENT = 13;

const styles: Readonly<Record<CopyState, Style>> = { good: "green", older: "yellow", torn: "red", outside: "red" };

/** The lines of the picture: the file, its headers, how full it is, and how it would open. */
export function picture(inspection: Inspection): string[] {
  return [
    paint("bold", printable(inspection.path)),
    ...rows("config", configLines(inspection)),
    "",
    ...rows("headers", headerLines(inspection)),
    ...rows("annex", [annexText(inspection)]),
    "",
    ...fillLines(inspection),
    "",
    ...rows("writer", [writerText(inspection)]),
    ...rows(inspection.writer === "live" ? "if killed" : "opening", openingLines(inspection.opening)),
  ];
}

/** The state that opening for writing would choose, or why the file does not open. */
function openingLines(opening: StateChoice | StorageError): string[] {
  if (opening instanceof StorageError) {
    const lines = withoutPath(opening).split(/: |; |, (?=or )/);
    return [paint("red", `fails: ${opening.code}`), ...lines.map((line) => asCommands(line, opening.path))];
  }
  const { header, recovery } = opening;
  const state = `length ${header.next}, root ${rootText(header.root)}`;
  const style = recovery.state === "resumedAtFlush" ? "yellow" : "green";
  return [paint(style, state), recoveryText(recovery)];
}

/** Lines with a label before the first one. */
function rows(label: string, lines: readonly string[]): string[] {
  return lines.flatMap((line, i) => labelled(i === 0 ? `  ${paint("cyan", label)}` : "", line, INDENT));
}

function configLines({ config, damagedConfig, bounds }: Inspection): string[] {
  const name = config.headString === "" ? "no head string" : `head string ${quoted(config.headString)}`;
  return [
    `${name}, version ${config.version}`,
    `${config.bytesPerCell} bytes a cell, first index ${bounds.startIndex}, at most ${config.maxIndex} cells`,
    ...(damagedConfig === null ? [] : [paint("red", `damaged: ${configDamageText(damagedConfig, config)}`)]),
  ];
}

function headerLines({ copies, state: found }: Inspection): string[] {
  const flushed = found instanceof StorageError ? null : found.disk;
  const lines = copies.map(({ sync, copy, state, header }) => [
    `${sync} sync`,
    String(copy),
    paint(styles[state], state),
    header === null ? "" : `length ${header.next}`,
    header === null ? "" : `root ${rootText(header.root)}`,
    state === "good" && header !== null && flushed !== null && !sameHeader(header, flushed) ? "not flushed" : "",
  ]);
  return columns(lines, "left");
}

/** The state in the annex: commits on record, and truncations. */
function annexText({ area, records }: Inspection): string {
  if (area.isAnnexBlank) return "none, as in files of Plebeia";
  const sequences = records.map(({ sequence }) => sequence).sort((a, b) => a - b);
  if (sequences.length === 0) return "damaged: no commit record is whole";
  const commits = `commit${sequences.length === 1 ? "" : "s"} ${sequences.join(" and ")} on record`;
  const truncations = records.reduce((most, record) => Math.max(most, doneTruncations(record.truncations)), 0);
  return truncations === 0 ? commits : `${commits}, ${countText(truncations, "truncation")}`;
}

/** Cells in use, the file's size, and the blocks that the disk has allocated. */
function fillLines({ state, config, bounds, sizeBytes, allocatedBytes }: Inspection): string[] {
  const size = `file ${bytesText(sizeBytes)}, on the disk ${bytesText(allocatedBytes)}`;
  if (state instanceof StorageError) return rows("growth", [size]);
  const { next } = state.header;
  const usedBytes = next * config.bytesPerCell;
  const [ofFile, ofIndices] = [`of ${bytesText(sizeBytes)}`, `of ${config.maxIndex}`];
  const figures = 1 + SHARE_WIDTH + 1 + Math.max(ofFile.length, ofIndices.length);
  const barWidth = Math.min(BAR_WIDTH, widthOf() - INDENT - figures);
  return [
    ...rows("file", [gauge(next, bounds.fileCells, ofFile, barWidth)]),
    ...rows("indices", [gauge(next, config.maxIndex, ofIndices, barWidth)]),
    ...rows("growth", [`used ${bytesText(usedBytes)}, ${size}`]),
  ];
}

/** A bar if there is room for it, the share in percent, and the whole. */
function gauge(part: number, whole: number, of: string, width: number): string {
  const share = shareText(part, whole);
  if (width < MIN_BAR_WIDTH) return `${share} ${of}`;
  const { full, empty } = bar(part, whole, width);
  return `${paint("green", full)}${paint("dim", empty)} ${share.padStart(SHARE_WIDTH)} ${of}`;
}

/** The process that has the writer's lock, or the last one if it did not close the file. */
function writerText({ writer, annexHead }: Inspection): string {
  const processId = annexHead?.processId ?? 0;
  if (writer === "live") {
    return paint("green", processId === 0 ? "a process writes it now" : `process ${processId} writes it now`);
  }
  // Until a writer has opened the file, the annex names the one before it.
  if (writer === "opening") return paint("green", "a process is opening it");
  const last = processId === 0 ? "" : `process ${processId}, the last one, did not close it`;
  if (writer === "none") return last === "" ? "none" : `none; ${last}`;
  if (annexHead === null) return "not known";
  return last === "" ? "the last one closed it" : `process ${processId} writes it, or did not close it`;
}
