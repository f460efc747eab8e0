/** `cellar cells`: cells in hex and as text. */

import { command, type Command } from "./command.ts";
import { CommandError, OK } from "./failure.ts";
import { indexIn, openReader, readingOptions, wholeNumber } from "./opening.ts";
import { paint, print, printJson } from "./output.ts";

const ROW_BYTES = 16;
const INDEX_WIDTH = 10;
/** Cells that are printed in one write. */
const BATCH_CELLS = 64;
/** The limit of bytes in one line of JSON, so that programs can read it as one line. */
const MAX_JSON_BYTES: number = 2 ** 24;

/** Prints the bytes of cells without interpreting them. */
export const cells: Command = command({
  name: "cells",
  summary: "Shows cells in hex and as text",
  positionals: [
    ["PATH", "the storage's file"],
    ["FROM", "the first index, or root"],
    ["[COUNT]", "how many cells, at most to the end; default: 1"],
  ],
  options: readingOptions,
  notes: "Repeated rows of a cell are shown as one *.",
  examples: ["cellar cells data.cellar 8 4"],
  run: async ({ positionals: [path = "", from, countWord = "1"], values, json }) => {
    using reader = openReader(path, values);
    const first = indexIn(reader, from);
    const count = wholeNumber("COUNT", countWord);
    const { bytesPerCell } = reader.config;
    // Refuses an invalid index even if no cell is requested.
    reader.cell(first);
    const end = Math.min(first + count, reader.length);
    if (json) {
      const sizeBytes = (end - first) * bytesPerCell;
      if (sizeBytes > MAX_JSON_BYTES) {
        throw new CommandError("TOO_LARGE", `${path}: ${sizeBytes} bytes are too many for JSON: ask for fewer cells`);
      }
      const list = range(first, end).map((index) => ({ index, hex: reader.cell(index).toHex() }));
      await printJson({ path, bytesPerCell, cells: list });
      return OK;
    }
    for (let index = first; index < end; index += BATCH_CELLS) {
      const batch = range(index, Math.min(end, index + BATCH_CELLS));
      await print(batch.flatMap((one) => cellLines(one, reader.cell(one))));
    }
    return OK;
  },
});

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}

/** Shows the index, then 16 bytes a row. Repeated rows are left out: 64 KiB of zeros take two lines, not 4096. */
function cellLines(index: number, cell: Uint8Array): string[] {
  const lines: string[] = [];
  let before = "";
  let repeats = false;
  for (let offset = 0; offset < cell.length; offset += ROW_BYTES) {
    const row = cell.subarray(offset, offset + ROW_BYTES);
    const hex = row.toHex();
    const same = hex === before && offset + ROW_BYTES < cell.length;
    if (!same) lines.push(`${label(offset, index)} ${rowText(row)}`);
    else if (!repeats) lines.push(`${" ".repeat(INDEX_WIDTH)} ${paint("dim", "*")}`);
    before = hex;
    repeats = same;
  }
  return lines;
}

function label(offset: number, index: number): string {
  return offset === 0 ? paint("cyan", String(index).padStart(INDEX_WIDTH)) : " ".repeat(INDEX_WIDTH);
}

/** The format of `hexdump -C`: two halves in hex, then the printable characters. */
function rowText(row: Uint8Array): string {
  const bytes = Array.from(row, (byte) => byte.toString(16).padStart(2, "0"));
  const hex = `${bytes.slice(0, 8).join(" ")}  ${bytes.slice(8).join(" ")}`.padEnd(3 * ROW_BYTES);
  const text = Array.from(row, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
  return `${hex} ${paint("dim", `|${text}|`)}`;
}
