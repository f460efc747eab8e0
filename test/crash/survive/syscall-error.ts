/**
 * (c) Each call that a writer and a reader make on the storage fails, once or from then on, with each error that a
 * kernel may give: only StorageErrors come out, nothing is called flushed after a failed sync, every answer is right,
 * and without the fault the file opens at a state that was acknowledged.
 */

import { existsSync, readdirSync, rmSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { Expected } from "./expected.ts";
import { crashFigures, type Figures } from "./figures.ts";
import { Inspector } from "./inspector.ts";
import { liveTraced } from "./lives.ts";
import { Random } from "../../support/random.ts";
import { CALLS, orders, prepare, sitesOf, type Start, startsOf, type SyscallOptions } from "./starts.ts";
import { claimsAfterFailure, type Site, wasInjected } from "./strace.ts";
import { Workplace } from "./workplace.ts";

const ERRORS = ["EIO", "ENOSPC", "ENOMEM", "EINTR", "EDQUOT", "EFBIG", "EACCES", "EOPNOTSUPP"] as const;

/** These are the runtime's own too: they fail at the symbol table, see memory-error.ts. */
const NOT_HERE: readonly string[] = ["mmap", "munmap", "madvise"];

/** A signal interrupts a call a few times, never for ever. */
const INTERRUPTIONS = 5;

interface Fault {
  readonly start: Start;
  readonly lifeSeed: number;
  readonly site: Site;
  readonly error: (typeof ERRORS)[number];
  readonly times: "once" | "from then on";
}

/** Lives that go on at the same time: each waits for its disk most of the time. */
const LANES = 2;

interface Tally {
  injected: number;
  missed: number;
  createdThoughRefused: number;
}

export async function syscallError({ runs, seed }: SyscallOptions): Promise<Figures> {
  const random = new Random(seed);
  using workplace = new Workplace();
  const faults = await faultsOf(workplace, random);
  const rest = random.spread(faults, ({ site }) => site.call, runs);
  const count = rest.length;
  const storages: Expected[] = [];
  const tally: Tally = { injected: 0, missed: 0, createdThoughRefused: 0 };
  const counts = await Promise.all(
    Array.from({ length: LANES }, async () => {
      await using inspector = new Inspector(workplace);
      for (let fault = rest.pop(); fault !== undefined; fault = rest.pop()) {
        storages.push(await liveWithFault(workplace, inspector, fault, tally));
      }
      return inspector.counts;
    }),
  );
  const violations = storages.flatMap((one) => one.violations);
  if (tally.missed > 0.2 * count) violations.push(`${tally.missed} of ${count} faults were not met`);
  const values = {
    "faults possible": faults.length,
    "faults injected": tally.injected,
    "calls refused": storages.reduce((sum, { refusals }) => sum + refusals, 0),
    "creation refused, file complete": tally.createdThoughRefused,
    ...crashFigures(storages, ...counts),
  };
  return { scenario: "each call fails", seed, values, violations };
}

/** A life with one fault, and what it left. */
async function liveWithFault(
  workplace: Workplace,
  inspector: Inspector,
  { start, site, lifeSeed, error, times }: Fault,
  tally: Tally,
): Promise<Expected> {
  const { path, expected } = prepare(workplace, start);
  const folder = dirname(path);
  const logPath = `${folder}.log`;
  const trace = { calls: CALLS, inject: injectionOf({ site, error, times }), logPath };
  const { code, signal } = await liveTraced(workplace, orders(path, start, lifeSeed, expected), expected, trace);
  expected.ended("kill");
  if (code !== 0) expected.violations.push(`ended with ${signal ?? code}`);
  if (wasInjected(logPath)) tally.injected++;
  else tally.missed++;
  expected.violations.push(...claimsAfterFailure(logPath).map((line) => `claimed after a failed sync: ${line}`));
  if (existsSync(path) && !expected.exists) tally.createdThoughRefused++;
  const others = readdirSync(folder).filter((name) => name !== basename(path));
  // A file that cannot be removed stays.
  if (others.length > 0 && site.call !== "unlink") expected.violations.push(`left behind: ${others.join()}`);
  await inspector.write(path, expected, lifeSeed);
  await inspector.again(path, expected);
  expected.annotate(`${start.name}: ${error} ${times} at ${site.line}`);
  rmSync(folder, { recursive: true });
  rmSync(logPath);
  return expected;
}

async function faultsOf(workplace: Workplace, random: Random): Promise<readonly Fault[]> {
  const faults: Fault[] = [];
  for (const start of await startsOf(workplace, random.seed())) {
    const lifeSeed = random.seed();
    const sites = await sitesOf(workplace, start, lifeSeed);
    for (const site of sites.filter(({ call }) => !NOT_HERE.includes(call))) {
      for (const error of ERRORS) {
        for (const times of ["once", "from then on"] as const) faults.push({ start, lifeSeed, site, error, times });
      }
    }
  }
  return faults;
}

function injectionOf({ site, error, times }: Pick<Fault, "site" | "error" | "times">): string {
  const { call, nth } = site;
  const last = error === "EINTR" ? `..${nth + INTERRUPTIONS}` : "+";
  return `${call}:error=${error}:when=${nth}${times === "once" ? "" : last}`;
}
