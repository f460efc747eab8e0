/** Prints all output of the command: in order, exact, and with colours only on a terminal that shows them. */

import { styleText } from "node:util";
import { printable } from "../error.ts";
import { ClosedPipe, CommandError } from "./failure.ts";

/** The styles. Each has one meaning everywhere. */
export type Style = "bold" | "dim" | "green" | "yellow" | "red" | "cyan";
type Stream = NodeJS.WriteStream & { readonly fd: number };

const COMMAND = "cellar:";
/** Carriage return, and "erase to the end of the line". */
const ERASE_LINE = "\r\x1b[K";
/** Text is never wrapped to fewer columns than this, even on a narrower terminal. */
const MIN_WIDTH = 40;
/** With fewer columns than this beside a label, the text goes below the label. */
const MIN_BESIDE_WIDTH = 20;
const BELOW_INDENT = 4;

/**
 * Writes bytes, and returns when the system has taken them. Then the storage of a view may be closed. A slow reader of
 * the output delays the caller, and does not fill memory.
 * @throws ClosedPipe, CommandError
 */
export async function write(bytes: string | Uint8Array, stream: Stream = process.stdout): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.write(bytes, (error) => {
      if (error) reject(outputError(error));
      else resolve();
    });
  });
}

/** Writes lines to standard output. Takes an array, because a call cannot take so many arguments. */
export async function print(lines: string | readonly string[]): Promise<void> {
  await write(`${typeof lines === "string" ? lines : lines.join("\n")}\n`);
}

/** Writes a value as one line of JSON. */
export async function printJson(value: unknown): Promise<void> {
  await print(jsonText(value));
}

/** Writes a line to standard error, for the user or for a log of errors. */
export async function printToStderr(line: string): Promise<void> {
  await write(`${line}\n`, process.stderr);
}

/** Writes an error to standard error, in one line. */
export async function printError(message: string): Promise<void> {
  const text = wrap(`${COMMAND} ${printable(message)}`, errorWidth()).join("\n");
  await printToStderr(text.replace(COMMAND, paint("red", COMMAND, process.stderr)));
}

/**
 * Replaces its previous line, if standard error is a terminal. Does not wait, because a slow terminal must not delay
 * the work whose progress is shown. Cuts the line to the terminal's width, because a wrapped line cannot be replaced.
 */
export function redraw(line: string): void {
  if (!isStderrTerminal()) return;
  const { columns } = process.stderr;
  process.stderr.write(`${ERASE_LINE}${columns > 0 ? line.slice(0, columns - 1) : line}`);
}

/** A value as one line of JSON. */
export function jsonText(value: unknown): string {
  return printable(JSON.stringify(value));
}

/** Whether standard error is a terminal. */
export function isStderrTerminal(): boolean {
  return process.stderr.isTTY === true;
}

/** Text in a style, if standard output is a terminal with colours: `NO_COLOR` and `TERM=dumb` are respected. */
export function paint(style: Style, text: string, stream: Stream = process.stdout): string {
  return styleText(style, text, { stream });
}

/**
 * Adds empty listeners: the callback of a write reports its error, but without a listener the error ends the process.
 */
export function listenForErrors(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
}

/** Columns side by side, each as wide as its widest cell, all aligned to one side. */
export function columns(rows: readonly (readonly string[])[], side: "left" | "right"): string[] {
  const widthAt = (i: number): number =>
    rows.reduce((widest, row) => Math.max(widest, Bun.stringWidth(row[i] ?? "")), 0);
  const widths = rows[0]?.map((_, i) => widthAt(i)) ?? [];
  return rows.map((row) => {
    const cells = row.map((cell, i) => {
      const padding = " ".repeat((widths[i] ?? 0) - Bun.stringWidth(cell));
      return side === "right" ? padding + cell : cell + padding;
    });
    return cells.join("  ").trimEnd();
  });
}

/** The columns of a stream's terminal; without a terminal, lines are not limited. */
export function widthOf(stream: Stream = process.stdout): number {
  return stream.isTTY ? Math.max(MIN_WIDTH, stream.columns || 80) : Infinity;
}

/** `widthOf` of standard error. */
export function errorWidth(): number {
  return widthOf(process.stderr);
}

/** Breaks a text between words into lines of at most `width` columns. The spaces at a break are removed. */
export function wrap(text: string, width: number): string[] {
  return width === Infinity ? [text] : Bun.wrapAnsi(text, width).split("\n");
}

/** A text after a label, with all its lines from column `indent` on; below the label on narrow terminals. */
export function labelled(label: string, text: string, indent: number, width: number = widthOf()): string[] {
  const isBeside = width - indent >= MIN_BESIDE_WIDTH;
  const margin = " ".repeat(isBeside ? indent : BELOW_INDENT);
  const lines = wrap(text, width - margin.length);
  if (!isBeside) return [label, ...lines.map((line) => margin + line)];
  const gap = " ".repeat(Math.max(0, indent - Bun.stringWidth(label)));
  return lines.map((line, i) => (i === 0 ? label + gap : margin) + line);
}

function outputError(error: NodeJS.ErrnoException): Error {
  if (error.code === "EPIPE") return new ClosedPipe();
  const code = error.code ?? "OUTPUT";
  return new CommandError(code, `the output cannot be written: ${code}: check its disk or pipe`, error);
}
