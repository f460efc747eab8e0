/** The harnesses that are programs of their own, in their long forms; `bun test` runs the short ones as tests. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Figures } from "./figures.ts";
import type { Scenario } from "./scenarios.ts";
import { Workplace } from "./workplace.ts";

const crash = join(import.meta.dir, "..");
/** Of what a program prints, the end. */
const SHOWN_LINES = 60;

export const programs: readonly Scenario[] = [
  {
    name: "power-cut replay",
    needs: [],
    run: (_length, seed) => program("power-cut replay", seed, ["powercut/replay.ts", "long"]),
  },
  {
    name: "mutants",
    needs: [],
    run: (_length, seed) => program("mutants", seed, ["powercut/mutants.ts"]),
  },
  {
    name: "spoiled files",
    needs: [],
    run: async (_length, seed) => {
      using workplace = new Workplace();
      const folder = workplace.path();
      mkdirSync(folder);
      return await program("spoiled files", seed, ["fuzz/main.ts", folder, "full", String(seed)]);
    },
  },
];

/** Runs `bun test/crash/FILE ARGS…`; anything but a clean end is a violation. */
async function program(scenario: string, seed: number, [file = "", ...args]: readonly string[]): Promise<Figures> {
  const child = Bun.spawn([process.execPath, join(crash, file), ...args], {
    env: { ...process.env, SEED: String(seed) },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  await child.exited;
  const lines = output.trim().split("\n").slice(-SHOWN_LINES);
  const how = child.signalCode ?? child.exitCode;
  return {
    scenario,
    seed,
    values: Object.fromEntries(lines.map((line, i) => [String(i + 1), line])),
    violations: child.exitCode === 0 ? [] : [`ended with ${how}: ${errors.slice(-2000)}`],
  };
}
