/**
 * The benchmark: every row of the table, each contestant in a process of its own, in turns.
 * Prints times and ratios. Missed targets are told and change nothing; the exit code is 1 if a contestant failed
 * or if two of them saw different bytes.
 */

import { writeFileSync } from "node:fs";
import { machine } from "./machine.ts";
import { measureRow } from "./measure.ts";
import { type Options, optionsFrom, USAGE } from "./options.ts";
import { install } from "./peers.ts";
import { isSound, type Report, type RowReport, table } from "./report.ts";
import { chart } from "./svg.ts";
import type { Workload } from "./workload.ts";
import { workloads } from "./workloads/index.ts";

async function run(options: Options): Promise<Report> {
  const { quick, repeats, directory } = options;
  const chosen = chosenRows(options.only);
  install(chosen.flatMap(({ contestants }) => contestants.flatMap(({ peer }) => peer ?? [])));
  const interrupted = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => interrupted.abort());
  const { signal } = interrupted;
  const progress = (what: string): void => void process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${what}` : "");
  const before = machine(directory);
  const rows: RowReport[] = [];
  for (const row of chosen) rows.push(await measureRow(row, { quick, repeats, directory, signal, progress }));
  progress("");
  return { machine: before, quick, repeats, rows };
}

function chosenRows(only: readonly string[]): readonly Workload[] {
  if (only.length === 0) return workloads;
  return only.map((name) => {
    const found = workloads.find((row) => row.name === name);
    if (found === undefined) {
      throw new Error(`--only: there is no row ${name}: there are ${workloads.map((row) => row.name).join(", ")}`);
    }
    return found;
  });
}

async function main(args: readonly string[]): Promise<number> {
  try {
    const options = optionsFrom(args);
    if (options.help) {
      process.stdout.write(USAGE);
      return 0;
    }
    const report = await run(options);
    process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : table(report));
    if (options.svg !== undefined) writeFileSync(options.svg, chart(report));
    return isSound(report) ? 0 : 1;
  } catch (error) {
    process.stderr.write(
      `${error instanceof Error ? error.message : String(error)}\nbun run bench --help tells what there is\n`,
    );
    return 2;
  }
}

process.exitCode = await main(process.argv.slice(2));
