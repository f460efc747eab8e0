/**
 * Against the real kernel: killed writers, failing calls, full disks, power cuts, failing devices, races. These are
 * the short forms; `bun test/crash/survive/run.ts` runs the long ones and prints their figures.
 */

import { afterAll, expect, test } from "bun:test";
import { print } from "./survive/figures.ts";
import { seedFromEnvironment } from "../support/random.ts";
import { requires } from "./survive/requires.ts";
import { scenarios } from "./survive/scenarios.ts";
import { disposeAll } from "./survive/workplace.ts";
import { patienceMs } from "../support/emulated.ts";

const seed = seedFromEnvironment();

// A test that ran out of time leaves what it made.
afterAll(disposeAll);

/** Far more than any takes: bun's default is less than some take on a busy machine. */
const TIMEOUT_MS = patienceMs(120_000);

for (const { name, needs, run } of scenarios) {
  const { met, fails, note } = requires(...needs);
  const scenario = async (): Promise<void> => {
    expect(met).toBe(true);
    const figures = await run("short", seed);
    if (figures.violations.length > 0) console.error(print(figures));
    expect(figures.violations).toEqual([]);
  };
  test.skipIf(!met && !fails)(`${name}${note}`, scenario, TIMEOUT_MS);
}
