/** A writer that commits, and readers in other processes that look for it. LevelDB has no readers in other processes. */

import { type LatestKind, latestWriter } from "../compare/latest.ts";
import { besideBusyProcess, Helper } from "../lib/helper.ts";
import { sharedClock } from "../lib/libc.ts";
import { atMostTimes, cellar, grouped, limit, peer, type Row, row, type Slice, type Start } from "../lib/row.ts";
import { END, type Lags, LOOKING } from "./lag-reader.ts";

interface LagSizes {
  readonly forMs: number;
  readonly everyMs: number;
}

export const lag: Row = row<LagSizes>({
  name: "lag",
  unit: "µs",
  rounds: 8,
  full: { forMs: 300, everyMs: 1 },
  quick: { forMs: 40, everyMs: 1 },
  title: ({ everyMs }) =>
    `until a reader in another process that does nothing but look sees a commit, one every ${everyMs} ms`,
  contestants: {
    cellar: cellar(lagging("cellar")),
    "bun:sqlite": peer("a look reads a counter and then one row.", lagging("sqlite")),
    lmdb: peer("a look reads the header that is mapped, and checks no hash.", lagging("lmdb"), "lmdb"),
  },
  targets: [],
});

interface ReadersSizes {
  readonly forMs: number;
  readonly readers: number;
}

export const readers: Row = row<ReadersSizes>({
  name: "readers",
  unit: "µs",
  rounds: 6,
  full: { forMs: 200, readers: 8 },
  quick: { forMs: 30, readers: 2 },
  title: ({ readers }) =>
    `a commit of a writer that commits as fast as it can, with ${grouped(readers)} readers that look every ms`,
  contestants: {
    "cellar, no readers": cellar(followed("cellar", "none")),
    "cellar, readers": cellar(followed("cellar", "readers")),
    "cellar, 1 reader that only looks": cellar(followed("cellar", "busy reader")),
    "cellar, a process that only counts": limit(followed("cellar", "busy process")),
    "bun:sqlite, no readers": peer("its commit is one append to its log.", followed("sqlite", "none")),
    "bun:sqlite, readers": peer("its commit is one append to its log.", followed("sqlite", "readers")),
    "lmdb, no readers": peer("it takes no hash.", followed("lmdb", "none"), "lmdb"),
    "lmdb, readers": peer("it takes no hash.", followed("lmdb", "readers"), "lmdb"),
  },
  targets: [
    atMostTimes(
      "cellar, 1 reader that only looks",
      "cellar, a process that only counts",
      1.2,
      "A reader and the writer share the header's lines of memory, which pass from one processor to the other.",
    ),
  ],
});

function lagging(kind: LatestKind): Start<LagSizes> {
  return async ({ forMs, everyMs }, folder) => {
    const writer = await latestWriter(kind, folder);
    const now = sharedClock();
    writer.put(now());
    const reader = new Helper("lag-reader.ts", kind, folder);
    await reader.answer();
    return {
      async slice(): Promise<Slice> {
        await startLooking(reader, 0);
        const end = now() + forMs * 1e3;
        for (let next = now(); next < end; next += everyMs * 1e3) {
          while (now() < next);
          writer.put(now());
        }
        writer.put(END);
        const { p50, p99 } = JSON.parse(await reader.answer()) as Lags;
        return { value: p50, notes: { "p99 µs": p99 } };
      },
      async close() {
        await reader.close();
        await writer.close();
      },
    };
  };
}

async function startLooking(reader: Helper, sleepMs: number): Promise<void> {
  const answer = await reader.ask(`go ${sleepMs}`);
  if (answer !== LOOKING) throw new Error(`a reader answered ${answer}`);
}

function followed(kind: LatestKind, by: "none" | "readers" | "busy reader" | "busy process"): Start<ReadersSizes> {
  return async ({ forMs, readers }, folder) => {
    const writer = await latestWriter(kind, folder);
    const now = sharedClock();
    writer.put(now());
    const count = by === "readers" ? readers : by === "busy reader" ? 1 : 0;
    const sleepMs = by === "readers" ? 1 : 0;
    const helpers = Array.from({ length: count }, () => new Helper("lag-reader.ts", kind, folder));
    for (const helper of helpers) await helper.answer();
    const commitFor = (ms: number): number => {
      const begin = now();
      let commits = 0;
      for (let time = begin; time < begin + ms * 1e3; time = now(), commits++) writer.put(time);
      return (now() - begin) / commits;
    };
    return {
      async slice(): Promise<Slice> {
        for (const helper of helpers) await startLooking(helper, sleepMs);
        const commit = async (): Promise<number> => {
          // Time for the busy process, where there is one, to start.
          await Bun.sleep(20);
          return commitFor(forMs);
        };
        const value = by === "busy process" ? await besideBusyProcess(commit) : await commit();
        writer.put(END);
        const answers = await Promise.all(helpers.map((helper) => helper.answer()));
        const lags = answers.map((answer) => JSON.parse(answer) as Lags);
        if (lags.length === 0) return { value };
        return { value, notes: { "lag p99 µs": Math.max(...lags.map(({ p99 }) => p99)) } };
      },
      async close() {
        for (const helper of helpers) await helper.close();
        await writer.close();
      },
    };
  };
}
