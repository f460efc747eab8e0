/**
 * Explores the model of the log to its end: `bun --smol test/replicate/model/run.ts [MOST_STATES]`, some minutes. Ends with
 * 1 if a configuration that must be sound is not, or one that lacks a rule is not found to be broken.
 */

import { broken, sound } from "./configurations.ts";
import { explore } from "./log-model.ts";

const cap = Number(process.argv[2] ?? 500_000);
let failures = 0;
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
    console.log(
      `${isWrong ? "WRONG  " : "as told"}  ${verdict.padEnd(8)}  ${states} states, ${depth} steps, ${seconds} s: ${configuration.name}`,
    );
    if (violation !== null) console.log(`         ${violation}`);
    if (isWrong) for (const [i, step] of path.entries()) console.log(`         ${i + 1}. ${step}`);
  }
}
process.exitCode = failures === 0 ? 0 : 1;
