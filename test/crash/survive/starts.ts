/** Lives in steps, for faults that are placed call by call: where they start from, and which calls they make. */

import { copyFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Step, VictimEvent, VictimOrders } from "./events.ts";
import { Expected } from "./expected.ts";
import { liveTraced } from "./lives.ts";
import { script, Spawned } from "./spawned.ts";
import { type Site, sitesIn } from "./strace.ts";
import type { Workplace } from "./workplace.ts";

export interface SyscallOptions {
  /** At most so many runs, chosen by the seed. */
  readonly runs: number;
  readonly seed: number;
}

/** Every kind of call that a writer makes on its storage. */
export const CALLS: readonly string[] = [
  ...["openat", "statx", "fstat", "lseek", "pread64", "fallocate", "ftruncate", "mmap", "madvise", "munmap", "msync"],
  ...["fsync", "fdatasync", "fcntl", "renameat2", "link", "linkat", "unlink", "pwrite64", "close", "prlimit64"],
];

/** A life that makes every kind of call. */
export const tour: readonly Step[] = [
  ...(["writeSmall", "setRoot", "commit", "flushSync", "writeLarge", "setRoot", "flush", "settle"] as const),
  ...(["writeSmall", "setRoot", "flush", "writeSmall", "commit", "settle", "reader", "flush", "flushSync"] as const),
  ...([
    "settle",
    "writeSmall",
    "setRoot",
    "commit",
    "truncate",
    "allocate",
    "writeSmall",
    "setRoot",
    "commit",
    "close",
  ] as const),
  ...(["open", "writeLarge", "setRoot", "flush", "settle", "readBack"] as const),
];

/** A life that leaves commits behind that no flush covers. */
const unfinished: readonly Step[] = [
  ...([
    "writeSmall",
    "setRoot",
    "flushSync",
    "writeLarge",
    "setRoot",
    "commit",
    "writeSmall",
    "setRoot",
    "commit",
  ] as const),
  "writeLarge",
];

/** A place to start from: a file that is not there yet, or one that a killed writer left. */
export interface Start {
  readonly name: string;
  readonly template: string | null;
  readonly history: readonly VictimEvent[];
  readonly steps: readonly Step[];
}

/** The two places to start from. */
export async function startsOf(workplace: Workplace, seed: number): Promise<readonly Start[]> {
  const path = workplace.path("template.cellar");
  const history: VictimEvent[] = [];
  const steps: readonly Step[] = [...unfinished, "hang"];
  const told = { path, seed, firstNumber: 1, bytesPerCell: 32, maxBlobBytes: 60_000, maxStorageBytes: 2 ** 30, steps };
  const victim = new Spawned(workplace, script("victim.ts", told), (event: VictimEvent) => history.push(event));
  if (!(await victim.until("hanging"))) throw new Error("the victim did not come to its last step");
  await victim.kill();
  return [
    { name: "create", template: null, history: [], steps: tour },
    {
      name: "recover",
      template: path,
      history,
      steps: ["writeSmall", "setRoot", "commit", "writeLarge", "flush", "settle"],
    },
  ];
}

/** A file to start with, and the books that go with it. */
export function prepare(workplace: Workplace, start: Start): { readonly path: string; readonly expected: Expected } {
  const path = `${workplace.makeFolder()}/victim.cellar`;
  const expected = new Expected();
  if (start.template !== null) copyFileSync(start.template, path);
  for (const event of start.history) expected.take(event);
  expected.ended("kill");
  return { path, expected };
}

export function orders(path: string, { steps }: Start, seed: number, expected: Expected): VictimOrders {
  const limits = { bytesPerCell: 32, maxBlobBytes: 60_000, maxStorageBytes: 2 ** 30 };
  return { path, seed, firstNumber: expected.nextNumber, steps, ...limits };
}

/** The calls of a life that nobody disturbs. */
export async function sitesOf(workplace: Workplace, start: Start, seed: number): Promise<Site[]> {
  const { path, expected } = prepare(workplace, start);
  const logPath = workplace.path("sites.log");
  const { code } = await liveTraced(workplace, orders(path, start, seed, expected), expected, {
    calls: CALLS,
    logPath,
  });
  if (code !== 0 || expected.violations.length > 0)
    throw new Error(`a life under strace failed: ${expected.violations.join()}`);
  return sitesIn(logPath, dirname(path));
}
