/**
 * Explores the model of the log: `bun --smol test/replicate/model/run.ts [MOST_STATES]`, at most so many states of each
 * configuration (60,000 by default, which takes about a minute). Prints each configuration as it ends, and at
 * last what was covered. Ends with 1 if a configuration that must be sound is not, or one
 * that lacks a rule is not found to be broken.
 */

import { broken, sound } from "./configurations.ts";
import { explore } from "./log-model.ts";

const cap = Number(process.argv[2] ?? 60_000);
if (!(Number.isSafeInteger(cap) && cap > 0))
  throw new RangeError(`MOST_STATES: ${process.argv[2]}: no count of states`);
let failures = 0;
let explored = 0;
let leastSteps = Infinity;
const covered = { sound: 0, stopped: 0, violated: 0 };
for (const [configurations, isBroken] of [
  [sound, false],
  [broken, true],
] as const) {
  for (const configuration of configurations) {
    const begun = performance.now();
    const { verdict, states, depth, violation, path } = explore({ ...configuration, cap });
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    const isWrong = (verdict === "violated") !== isBroken;
    if (isWrong) failures++;
    explored += states;
    covered[verdict]++;
    if (verdict === "stopped") leastSteps = Math.min(leastSteps, depth);
    console.log(
      `${isWrong ? "WRONG  " : "as told"}  ${verdict.padEnd(8)}  ${states} states, ${depth} steps, ${seconds} s: ${configuration.name}`,
    );
    if (violation !== null) console.log(`         ${violation}`);
    if (isWrong) for (const [i, step] of path.entries()) console.log(`         ${i + 1}. ${step}`);
  }
}
const partly = `${covered.stopped} to ${cap} states, so every history of at most ${leastSteps - 1} steps`;
const parts = [`${explored} states`, `${covered.sound} configurations to their end`];
if (covered.stopped > 0) parts.push(partly);
parts.push(`${covered.violated} found to be broken`, `${failures} wrong`);
console.log(parts.join("; "));
process.exitCode = failures === 0 ? 0 : 1;
