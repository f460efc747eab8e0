/** Following the commits of another process from an event loop: how soon they are seen, and what waiting costs. */

import { closeSync, openSync, readSync, watch as watchFile } from "node:fs";
import { join } from "node:path";
import { StorageReader } from "../../src/index.ts";
import { latestReader } from "../compare/latest.ts";
import { besideBusyProcess, Helper } from "../lib/helper.ts";
import { sharedClock } from "../lib/libc.ts";
import { sleeps } from "../lib/proc.ts";
import { cellar, grouped, limit, peer, type Row, row, type Slice, type Start } from "../lib/row.ts";
import { quantile } from "../lib/time.ts";
import { FILE_NAME } from "./watch-writer.ts";

interface WatchSizes {
  /** Commits of a slice, and the pause before each, at least and at most. */
  readonly commits: number;
  readonly pauseMs: readonly [number, number];
}

export const watch: Row = row<WatchSizes>({
  name: "watch",
  unit: "ms",
  rounds: 5,
  full: { commits: 60, pauseMs: [1, 20] },
  quick: { commits: 8, pauseMs: [1, 5] },
  title: ({ pauseMs: [least, most] }) =>
    `until an event loop sees a commit of another process, one every ${least} to ${most} ms`,
  contestants: {
    "cellar watch": cellar(watching("cellar", "idle", byCellar)),
    "cellar watch, busy machine": cellar(watching("cellar", "busy", byCellar)),
    "fs.watch of a plain file": peer(
      "the kernel's event is passed on without a check of a header; a lost one is found by a timer of 100 ms.",
      watching("file", "idle", byFsWatch),
    ),
    "bun:sqlite, a look every ms": peer("it wakes up every millisecond.", watching("sqlite", "idle", byPolling)),
  },
  targets: [
    {
      says: "cellar watch",
      of: ({ median }) => median("cellar watch"),
      unit: "ms",
      atMost: 0.6,
      missed: "Without events of the kernel, a watch looks every millisecond and later more seldom.",
    },
    {
      says: "cellar watch, busy machine: p99",
      of: ({ median }) => median("cellar watch, busy machine", "p99 ms"),
      unit: "ms",
      atMost: 5,
      missed: "The kernel may leave a process waiting for a few milliseconds where another one keeps a processor busy.",
    },
  ],
});

interface CostSizes {
  readonly forMs: number;
  /** A silence after which polling is as slow as it gets. */
  readonly silenceMs: number;
  readonly watches: number;
}

const COMMITS_PER_SECOND = 5;
/** A watch never misses the latest state: one that does not see it by then is broken. */
const SEEN_TIMEOUT_MS = 10_000;

export const watchCost: Row = row<CostSizes>({
  name: "watch-cost",
  unit: "%",
  rounds: 2,
  full: { forMs: 1_500, silenceMs: 11_000, watches: 1_000 },
  quick: { forMs: 600, silenceMs: 0, watches: 20 },
  title: ({ watches }) =>
    `of a processor, for a process that watches one file: 1 and ${grouped(watches)} watches, nothing and ${COMMITS_PER_SECOND} commits a second`,
  contestants: {
    "1 watch, 5 commits a second": cellar(costing(1, "commits")),
    "many watches, 5 commits a second": cellar(costing("many", "commits")),
    "1 watch, nothing happens": cellar(costing(1, "silence")),
    "no watch": limit(costing(0, "silence")),
  },
  targets: [
    {
      says: "1 watch, nothing happens",
      of: ({ median }) => median("1 watch, nothing happens") - median("no watch"),
      unit: "%",
      atMost: 0.5,
      missed: "A timer costs some 80 µs of processor time whatever is done in it.",
    },
    {
      says: "1 watch, nothing happens: wake-ups",
      of: ({ median }) => median("1 watch, nothing happens", "wake-ups/s") - median("no watch", "wake-ups/s"),
      unit: "a second",
      atMost: 2,
      missed:
        "Writers of the original store through a mapping, which causes no event: for them a watch looks by a timer too.",
    },
    {
      says: "many watches, 5 commits a second",
      of: ({ median }) => median("many watches, 5 commits a second"),
      unit: "%",
      atMost: 10,
      missed: "Each commit resolves a promise of each watch.",
    },
  ],
});

async function waitUntil(isSeen: () => boolean): Promise<void> {
  for (const deadline = performance.now() + SEEN_TIMEOUT_MS; !isSeen(); await Bun.sleep(1)) {
    if (performance.now() > deadline) throw new Error(`the last commit was not seen within ${SEEN_TIMEOUT_MS} ms`);
  }
}

/** Calls back with each value that comes; returns how to end that. */
type Follow = (folder: string, seen: (value: number) => void) => Promise<() => void>;

function watching(kind: string, machine: "idle" | "busy", follow: Follow): Start<WatchSizes> {
  return async ({ commits, pauseMs }, folder) => {
    const writer = new Helper("watch-writer.ts", kind, folder);
    await writer.answer();
    const now = sharedClock();
    const all: number[] = [];
    let slice: number[] = [];
    let last = 0;
    const end = await follow(folder, (value) => {
      // A file may have several events for a change.
      if (value !== last) slice.push((now() - value) / 1e3);
      last = value;
    });
    return {
      async slice(): Promise<number> {
        slice = [];
        const commit = (): Promise<string> => writer.ask(`${commits} ${pauseMs.join(" ")}`);
        const committed = Number(await (machine === "busy" ? besideBusyProcess(commit) : commit()));
        await waitUntil(() => last === committed);
        all.push(...slice);
        return quantile(slice, 0.5);
      },
      finish: () => ({ notes: { "p99 ms": quantile(all, 0.99) } }),
      async close() {
        end();
        await writer.close();
      },
    };
  };
}

async function byCellar(folder: string, seen: (value: number) => void): Promise<() => void> {
  const reader = StorageReader.open(join(folder, "latest.cellar"), { follow: "commits" });
  const stop = new AbortController();
  void (async () => {
    for await (const { root } of reader.watch({ signal: stop.signal, keepAlive: true })) {
      if (root !== null) seen(new Float64Array(reader.read(root).buffer)[0] ?? 0);
    }
  })();
  return () => stop.abort();
}

/** How often a follower by `fs.watch` looks without an event. */
const LOST_EVENT_MS = 100;

async function byFsWatch(folder: string, seen: (value: number) => void): Promise<() => void> {
  const path = join(folder, FILE_NAME);
  const fd = openSync(path, "r");
  const bytes = Float64Array.of(0);
  const look = (): void => {
    readSync(fd, bytes, 0, bytes.byteLength, 0);
    seen(bytes[0] ?? 0);
  };
  const watcher = watchFile(path, look);
  // Events that come close together are told as one, at times before the last of them: a program needs a timer too.
  const timer = setInterval(look, LOST_EVENT_MS);
  return () => {
    clearInterval(timer);
    watcher.close();
    closeSync(fd);
  };
}

async function byPolling(folder: string, seen: (value: number) => void): Promise<() => void> {
  const reader = await latestReader("sqlite", folder);
  let last = reader.look();
  const timer = setInterval(() => {
    const value = reader.look();
    if (value === last) return;
    last = value;
    seen(value);
  }, 1);
  return () => clearInterval(timer);
}

function costing(watches: number | "many", when: "commits" | "silence"): Start<CostSizes> {
  return async (sizes, folder) => {
    const writer = new Helper("watch-writer.ts", "cellar", folder);
    await writer.answer();
    const reader = StorageReader.open(join(folder, "latest.cellar"), { follow: "commits" });
    const stop = new AbortController();
    let seen = 0;
    for (let i = watches === "many" ? sizes.watches : watches; i > 0; i--) {
      void (async () => {
        for await (const _ of reader.watch({ signal: stop.signal, keepAlive: true })) seen++;
      })();
    }
    if (when === "silence" && watches !== 0) await Bun.sleep(sizes.silenceMs);
    return {
      async slice(): Promise<Slice> {
        const pauseMs = 1000 / COMMITS_PER_SECOND;
        const commits = when === "commits" ? Math.ceil(sizes.forMs / pauseMs) : 0;
        seen = 0;
        const before = { cpu: process.cpuUsage(), sleeps: sleeps(), ms: performance.now() };
        const done = writer.ask(`${commits} ${pauseMs} ${pauseMs}`);
        await (commits > 0 ? done : Bun.sleep(sizes.forMs));
        await waitUntil(() => commits === 0 || seen > 0);
        const tookMs = performance.now() - before.ms;
        const { user, system } = process.cpuUsage(before.cpu);
        await done;
        const wakeUps = ((sleeps() - before.sleeps) * 1000) / tookMs;
        return { value: (user + system) / 10 / tookMs, notes: { "wake-ups/s": wakeUps } };
      },
      async close() {
        stop.abort();
        await writer.close();
      },
    };
  };
}
