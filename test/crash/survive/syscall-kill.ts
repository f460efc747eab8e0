/**
 * (b) A writer is killed before each call that it makes on its storage, one run a call: while it creates the file,
 * writes, grows, flushes, truncates, closes; and while it recovers what a killed writer left.
 */

import { existsSync, readdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { Expected } from "./expected.ts";
import { crashFigures, type Figures } from "./figures.ts";
import { Inspector } from "./inspector.ts";
import { liveTraced } from "./lives.ts";
import { Random } from "../../support/random.ts";
import { CALLS, orders, prepare, sitesOf, startsOf, type SyscallOptions } from "./starts.ts";
import { Workplace } from "./workplace.ts";

export async function syscallKill({ runs, seed }: SyscallOptions): Promise<Figures> {
  const random = new Random(seed);
  using workplace = new Workplace();
  await using inspector = new Inspector(workplace);
  const storages: Expected[] = [];
  const tally = { sites: 0, killed: 0, absent: 0, leftovers: 0 };
  const starts = await startsOf(workplace, random.seed());
  for (const start of starts) {
    const lifeSeed = random.seed();
    const sites = await sitesOf(workplace, start, lifeSeed);
    tally.sites += sites.length;
    for (const site of random.spread(sites, ({ call }) => call, Math.ceil(runs / starts.length))) {
      const { path, expected } = prepare(workplace, start);
      storages.push(expected);
      const inject = `${site.call}:signal=SIGKILL:when=${site.nth}`;
      const trace = { calls: CALLS, inject, logPath: workplace.path("kill.log") };
      const { signal } = await liveTraced(workplace, orders(path, start, lifeSeed, expected), expected, trace);
      expected.ended("kill");
      if (signal === "SIGKILL") tally.killed++;
      else if (signal !== null) expected.violations.push(`ended with ${signal}`);
      if (existsSync(path)) await inspector.read(path, prepared(expected), "commits");
      else if (expected.exists) expected.violations.push("the file is gone");
      else tally.absent++;
      tally.leftovers += readdirSync(dirname(path)).filter((name) => name !== basename(path)).length;
      // The next creation, or opening, is not blocked.
      await inspector.write(path, expected, random.seed());
      await inspector.again(path, expected);
      expected.annotate(`${start.name}, before ${site.line}`);
    }
  }
  const values = {
    "calls found": tally.sites,
    "killed before one": tally.killed,
    "no file yet": tally.absent,
    "temporary files left": tally.leftovers,
    ...crashFigures(storages, inspector.counts),
  };
  const violations = storages.flatMap((one) => one.violations);
  // A call of a thread of the runtime's pool may come to another thread, hardly ever more than a few of them.
  if (tally.killed < 0.8 * storages.length) violations.push(`only ${tally.killed} of ${storages.length} were killed`);
  return { scenario: "writer killed before each call", seed, values, violations };
}

/** A creation that was killed before it was acknowledged leaves a new storage, if anything. */
function prepared(expected: Expected): Expected {
  if (!expected.exists) expected.settle({ root: null, length: 8, blobs: [] });
  return expected;
}
