/** The benchmark: `bun run bench --help`. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { chart } from "./lib/chart.ts";
import { updateDocs } from "./lib/docs.ts";
import { canDropFromMemory, isInMemory, machine } from "./lib/machine.ts";
import { measureRow } from "./lib/measure.ts";
import { type Options, optionsFrom, USAGE } from "./lib/options.ts";
import { install } from "./lib/packages.ts";
import { foot, head, isSound, type Report, type RowReport, rowText, table } from "./lib/report.ts";
import type { Row } from "./lib/row.ts";
import { rows } from "./rows/index.ts";

/** The exit code of a program that a signal ended. */
const INTERRUPTED = 130;

/** Measures the rows; prints and saves each when it is done, so that an interrupted run keeps them. */
async function run(options: Options): Promise<Report> {
  const { quick, repeats, directory, json } = options;
  const chosen = chosenRows(options.only);
  install(chosen.flatMap(({ contestants }) => contestants.flatMap(({ needs }) => needs ?? [])));
  const interrupted = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => interrupted.abort());
  const { signal } = interrupted;
  const print = (text: string): void => void (json || process.stdout.write(`${text}\n`));
  const report = { machine: machine(directory), quick, repeats, rows: [] as RowReport[] };
  print(head(report));
  try {
    for (const row of chosen) {
      const progress = progressOf(row.name);
      const refused = refusal(row, directory);
      report.rows.push(
        refused === null
          ? await measureRow(row, { quick, repeats, directory, signal, progress })
          : refusedRow(row, quick, refused),
      );
      clearProgress();
      save(report, options.out);
      print(rowText(report.rows.at(-1) as RowReport));
    }
  } finally {
    clearProgress();
    if (signal.aborted) process.stderr.write(`interrupted: ${options.out} has the rows that were done\n`);
  }
  print(foot(report));
  return report;
}

function save(report: Report, folder: string): void {
  writeFileSync(join(folder, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(folder, "table.txt"), table(report));
  writeFileSync(join(folder, "chart.svg"), chart(report));
}

/** Why the row cannot be measured in this directory, or null. */
function refusal({ needs }: Row, directory: string): string | null {
  if (needs === undefined) return null;
  if (isInMemory(directory)) return `${directory} is in memory, which has no disk to flush: choose another with --dir`;
  if (needs === "cold" && !canDropFromMemory(directory)) {
    return `the pages of files in ${directory} cannot be dropped from memory: choose another with --dir`;
  }
  return null;
}

function refusedRow({ name, title, unit }: Row, quick: boolean, refused: string): RowReport {
  return { name, title: title(quick), unit, refused, contestants: [], digests: [], targets: [] };
}

/** On a terminal one line, which is overwritten; else a line for each run of a row. */
function progressOf(name: string): (what: string) => void {
  let shown = "";
  return (what) => {
    const [run = ""] = what.split(":", 1);
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${name}, ${what}`);
    else if (run !== shown) process.stderr.write(`${name}, ${run}\n`);
    shown = run;
  };
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
}

function chosenRows(only: readonly string[]): readonly Row[] {
  if (only.length === 0) return rows;
  return only.map((name) => {
    const found = rows.find((row) => row.name === name);
    if (found === undefined) throw new Error(`--only: there is no row ${name}: --list prints their names`);
    return found;
  });
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = optionsFrom(args);
    if (options.help || options.list) {
      process.stdout.write(options.help ? USAGE : `${rows.map(({ name }) => name).join("\n")}\n`);
      return 0;
    }
    const report = await run(options);
    if (options.json) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    if (options.docs) updateDocs(report, join(import.meta.dir, "..", "docs"));
    return isSound(report) ? 0 : 1;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return INTERRUPTED;
    process.stderr.write(
      `${error instanceof Error ? error.message : String(error)}\nbun run bench --help prints the options\n`,
    );
    return 2;
  }
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
