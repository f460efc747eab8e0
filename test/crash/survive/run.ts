/**
 * The long forms of all scenarios, one after the other, and their figures: `bun run test:survive`.
 * `--only NAME` runs those whose name contains it, `--short` the short forms; env SEED brings a run back.
 * Ends with 1 if a promise was broken or a scenario could not run to its end; CELLAR_NO_SKIP=1: or at all.
 */

import { type Figures, print, printViolations } from "./figures.ts";
import { seedFromEnvironment } from "../../support/random.ts";
import { programs } from "./programs.ts";
import { requires } from "./requires.ts";
import { type Length, scenarios } from "./scenarios.ts";

const flag = process.argv.indexOf("--only");
const only = flag === -1 ? "" : (process.argv[flag + 1] ?? "");
const length: Length = process.argv.includes("--short") ? "short" : "long";
const seed = seedFromEnvironment();
const rows: string[] = [];
const findings: string[] = [];
let broken = 0;

const all = length === "long" ? [...scenarios, ...programs] : scenarios;

for (const { name, needs, run } of all) {
  if (!name.includes(only)) continue;
  const { met, fails, note } = requires(...needs);
  if (!met) {
    if (fails) broken++;
    rows.push(`${name.padEnd(32)} not run${note}`);
    continue;
  }
  const begun = performance.now();
  const figures = await figuresOf(name, () => run(length, seed));
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  console.log(`${print(figures)}\n  ${"seconds".padEnd(36)} ${seconds}\n`);
  if (figures.violations.length > 0) broken++;
  findings.push(...printViolations(figures).map((finding) => `${name}: ${finding}`));
  rows.push(`${name.padEnd(32)} ${String(figures.violations.length).padStart(4)} violations ${seconds.padStart(8)} s`);
}

// Once more at the end: the middle of a long log is often cut.
console.log([...rows, ...findings].join("\n"));
if (rows.length === 0) throw new Error(`no scenario is called ${only}`);
process.exit(broken === 0 ? 0 : 1);

/** A scenario that throws has failed: the others run all the same. */
async function figuresOf(scenario: string, run: () => Promise<Figures>): Promise<Figures> {
  try {
    return await run();
  } catch (error) {
    console.error(error);
    return { scenario, seed, values: {}, violations: [`did not run to its end: ${String(error)}`] };
  }
}
