/** The command line of the benchmark. */

import { tmpdir } from "node:os";
import { parseArgs } from "node:util";

export interface Options {
  readonly quick: boolean;
  readonly json: boolean;
  readonly help: boolean;
  /** Where to draw the chart. */
  readonly svg: string | undefined;
  /** Rows by name; empty means all. */
  readonly only: readonly string[];
  readonly repeats: number;
  readonly directory: string;
}

export const USAGE = `bun run bench [options]
  --quick        small sizes, under a minute; no basis for conclusions
  --only ROW     only this row (may be repeated)
  --repeats N    runs of each contestant (default 5, with --quick 1)
  --json         prints JSON instead of the table
  --svg FILE     draws the chart
  --dir FOLDER   where the files go (default: the system's folder for temporary files)
`;

/** @throws Error an option that there is not, or one that means nothing */
export function optionsFrom(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      svg: { type: "string" },
      only: { type: "string", multiple: true, default: [] },
      repeats: { type: "string" },
      dir: { type: "string", default: tmpdir() },
    },
  });
  const { quick, json, help, svg, only, dir } = values;
  const repeats = Number(values.repeats ?? (quick ? 1 : 5));
  if (!Number.isInteger(repeats) || repeats < 1)
    throw new Error(`--repeats: expected 1 or more, got ${values.repeats}`);
  return { quick, json, help, svg, only, repeats, directory: dir };
}
