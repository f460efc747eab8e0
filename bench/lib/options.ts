/** The command line of the benchmark. */

import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { isInMemory } from "./machine.ts";

export interface Options {
  readonly quick: boolean;
  readonly json: boolean;
  readonly help: boolean;
  readonly list: boolean;
  /** Whether the documents get the table and the chart. */
  readonly docs: boolean;
  /** Rows by name; empty means all. */
  readonly only: readonly string[];
  readonly repeats: number;
  /** Where the contestants' files go. */
  readonly directory: string;
  /** Where the results go. */
  readonly out: string;
}

export const USAGE = `bun run bench [options]
Prints the table row by row; writes table.txt, chart.svg and report.json to bench/out/.
Takes about 15 minutes and up to 4 GiB of disk.
  --quick        tiny sizes, one slice of each, a minute; shows that it works, not how fast it is
  --only ROW     only this row (may be repeated); --list prints their names
  --repeats N    runs of each row, in new processes with new files (default 2, with --quick 1)
  --dir FOLDER   where the contestants' files go: the disk that is measured (default: the system's folder for
                 temporary files, or /var/tmp if that is in memory)
  --out FOLDER   where the results go (default bench/out)
  --json         prints the report as JSON in place of the table
  --docs         puts the table into docs/performance.md and the chart into docs/images/
The exit code is 1 if a contestant failed or if two of them saw different bytes, and 2 for a wrong option. A target
that is missed does not change it, nor do two runs whose ratios differ by more than 10 %: both are printed.
`;

/** @throws Error an option that does not exist or has no meaning */
export function optionsFrom(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      docs: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
      repeats: { type: "string" },
      dir: { type: "string", default: defaultDirectory() },
      out: { type: "string", default: join(import.meta.dir, "..", "out") },
    },
  });
  const { quick, docs, only } = values;
  const repeats = Number(values.repeats ?? (quick ? 1 : 2));
  if (!Number.isInteger(repeats) || repeats < 1) {
    throw new Error(`--repeats: expected 1 or more, got ${values.repeats}`);
  }
  if (docs && (quick || only.length > 0)) throw new Error("--docs: needs a whole run, without --quick and --only");
  const out = resolve(values.out);
  mkdirSync(out, { recursive: true });
  return { ...values, repeats, directory: resolve(values.dir), out };
}

function defaultDirectory(): string {
  return isInMemory(tmpdir()) ? "/var/tmp" : tmpdir();
}
