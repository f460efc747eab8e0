/**
 * What following costs, and how soon it sees: `bun bench/watch.ts [--quick] [--dir DIR]`. Not a row of the benchmark,
 * for it takes two minutes, most of them silent.
 *
 * A writer in a process of its own commits the time; readers here watch, and subtract. The processor time is that of
 * another process, which does nothing but watch a file that nobody writes.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { StorageReader, StorageWriter } from "../src/index.ts";
import { quantile } from "./clock.ts";
import { monotonicClock } from "./monotonic.ts";

/** A silence after which the interval is at its longest, and some more. */
const LONG_SILENCE_MS = 11_000;
/** Commits before the first that counts: the first hash takes milliseconds, until it is compiled. */
const WARM_UP_COMMITS = 50;
const WARM_UP_PAUSE_MS = 10;
/** How long the writer lives after its last commit: longer than any delay. */
const LINGER_MS = 500;

interface Phase {
  readonly name: string;
  readonly commits: number;
  /** Where each commit takes long, many readers see it. */
  readonly readers: number;
  /** The pause before each commit: at least, and at most. */
  readonly pausesMs: readonly [number, number];
  readonly p99AtMostMs: number;
}

function phases(quick: boolean): Phase[] {
  return [
    { name: "a commit every 0 to 200 ms", commits: quick ? 50 : 400, readers: 1, pausesMs: [0, 200], p99AtMostMs: 5 },
    { name: "a commit every 1 to 3 s", commits: quick ? 2 : 10, readers: 4, pausesMs: [1000, 3000], p99AtMostMs: 5 },
    {
      name: `after ${LONG_SILENCE_MS / 1000} s of silence`,
      commits: quick ? 1 : 5,
      readers: 10,
      pausesMs: [LONG_SILENCE_MS, LONG_SILENCE_MS + 50],
      p99AtMostMs: 60,
    },
  ];
}

/** The writer's process: commits the time of the commit. */
async function write(path: string, { commits, pausesMs }: Phase): Promise<void> {
  using writer = StorageWriter.open(path);
  const now = monotonicClock();
  const commit = (time: number): void => {
    writer.root = writer.write(Float64Array.of(time));
    writer.commit();
  };
  for (let i = 0; i < WARM_UP_COMMITS; i++) {
    await Bun.sleep(WARM_UP_PAUSE_MS);
    commit(0);
  }
  for (let i = 0; i < commits; i++) {
    await Bun.sleep(pausesMs[0] + Math.random() * (pausesMs[1] - pausesMs[0]));
    commit(now());
  }
  await Bun.sleep(LINGER_MS);
}

/** The delays that one reader sees, in milliseconds. Commits at the same moment may be seen as one. */
async function delays(path: string, signal: AbortSignal): Promise<number[]> {
  using reader = StorageReader.open(path, { follow: "commits" });
  const now = monotonicClock();
  const seen: number[] = [];
  for await (const { root } of reader.watch({ signal, keepAlive: true })) {
    const seenAt = now();
    if (root === null) continue;
    const [committed = 0] = new Float64Array(reader.read(root).buffer);
    if (committed > 0) seen.push((seenAt - committed) / 1000);
  }
  return seen;
}

/** Runs a phase over a new file. */
async function latencies(path: string, number: number, quick: boolean): Promise<void> {
  const phase = phases(quick)[number];
  if (phase === undefined) throw new RangeError(`no phase ${number}`);
  StorageWriter.create(path).close();
  const stop = new AbortController();
  const watching = Array.from({ length: phase.readers }, () => delays(path, stop.signal));
  const flags = quick ? ["--quick"] : [];
  const child = Bun.spawn([process.execPath, import.meta.path, "--write", path, "--phase", String(number), ...flags]);
  await child.exited;
  stop.abort();
  const ms = (await Promise.all(watching)).flat();
  const [p50, p99, most] = [0.5, 0.99, 1].map((part) => quantile(ms, part).toFixed(2));
  const target = `target p99 ≤ ${phase.p99AtMostMs} ms`;
  console.log(`${phase.name}: p50 ${p50} ms, p99 ${p99} ms, most ${most} ms of ${ms.length}  ${target}`);
}

/** The follower's process: prints its share of a processor, once the silence is long. */
async function idle(path: string, forMs: number): Promise<void> {
  using reader = StorageReader.open(path, { follow: "commits" });
  const stop = new AbortController();
  const watching = Array.fromAsync(reader.watch({ signal: stop.signal }));
  await Bun.sleep(LONG_SILENCE_MS);
  const before = process.cpuUsage();
  const begin = performance.now();
  await Bun.sleep(forMs);
  const { user, system } = process.cpuUsage(before);
  console.log(((user + system) / 10 / (performance.now() - begin)).toFixed(3));
  stop.abort();
  await watching;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      dir: { type: "string", default: tmpdir() },
      write: { type: "string" },
      phase: { type: "string", default: "0" },
      idle: { type: "string" },
    },
  });
  const forMs = values.quick ? 3000 : 20_000;
  const phase = phases(values.quick)[Number(values.phase)];
  if (values.write !== undefined && phase !== undefined) return write(values.write, phase);
  if (values.idle !== undefined) return idle(values.idle, forMs);
  const folder = mkdtempSync(join(values.dir, "cellar-watch-"));
  try {
    const path = join(folder, "watched.cellar");
    StorageWriter.create(path).close();
    const flags = values.quick ? ["--quick"] : [];
    // First, alone: nothing else is to disturb it.
    const child = Bun.spawn([process.execPath, import.meta.path, "--idle", path, ...flags], { stdout: "pipe" });
    console.log(`idle: ${(await child.stdout.text()).trim()} % of a processor  target < 0.5 %`);
    for (const number of phases(values.quick).keys())
      await latencies(join(folder, `${number}.cellar`), number, values.quick);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) await main();
