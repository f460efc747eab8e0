/** One writer that commits as fast as it can, and readers in other processes that follow it. */

import { join } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { END, type Lags, ROOT_BYTES } from "../lag-reader.ts";
import { monotonicClock } from "../monotonic.ts";
import { type Contestant, type Measured, type Medians, told, type Workload, workload } from "../workload.ts";

interface Sizes {
  readonly forMs: number;
}

const slowdown = (median: Medians, readers: string): number => median(readers) / median("alone") - 1;

export const lag: Workload = workload<Sizes>({
  name: "lag",
  unit: "µs",
  full: { forMs: 2_000 },
  quick: { forMs: 200 },
  title: ({ forMs }) => `a commit of a writer that makes them as fast as it can, for ${told(forMs)} ms`,
  contestants: {
    alone: committing(0, 0),
    // What any second process costs on a machine with two processors that may be two threads of one.
    "beside a process that only counts": besideBusyProcess(),
    "1 reader, as fast as it can": committing(1, 0),
    "4 readers at 1 kHz": committing(4, 1),
  },
  targets: [
    {
      says: "1 reader: slowed by",
      of: (median) => 100 * slowdown(median, "1 reader, as fast as it can"),
      unit: "%",
      atMost: 10,
    },
    {
      says: "4 readers: slowed by",
      of: (median) => 100 * slowdown(median, "4 readers at 1 kHz"),
      unit: "%",
      atMost: 10,
    },
  ],
});

function besideBusyProcess(): Contestant<Sizes> {
  const alone = committing(0, 0);
  return {
    async run(sizes, folder) {
      const busy = Bun.spawn([process.execPath, "-e", "while (true) {}"]);
      try {
        return await alone.run(sizes, folder);
      } finally {
        busy.kill();
        await busy.exited;
      }
    },
  };
}

function committing(readers: number, sleepMs: number): Contestant<Sizes> {
  return {
    async run({ forMs }, folder) {
      using writer = StorageWriter.create(join(folder, "lag.cellar"));
      const now = monotonicClock();
      const payload = new Float64Array(ROOT_BYTES / Float64Array.BYTES_PER_ELEMENT);
      const commit = (time: number): void => {
        payload[0] = time;
        writer.root = writer.write(payload);
        writer.commit();
      };
      commit(now());
      const followers = Array.from({ length: readers }, () => startReader(writer.path, sleepMs));
      await Promise.all(followers.map(({ ready }) => ready));
      const begin = now();
      let commits = 0;
      for (let time = begin; time < begin + forMs * 1e3; time = now(), commits++) commit(time);
      const tookUs = now() - begin;
      commit(END);
      const lags = await Promise.all(followers.map(({ lags }) => lags));
      return measured(tookUs / commits, lags);
    },
  };
}

function measured(value: number, lags: readonly Lags[]): Measured {
  const notes: Record<string, number> = { "commits/s": 1e6 / value };
  if (lags.length > 0) {
    notes["lag p50 µs"] = Math.max(...lags.map(({ p50 }) => p50));
    notes["lag p99 µs"] = Math.max(...lags.map(({ p99 }) => p99));
    notes["refreshes"] = Math.min(...lags.map(({ refreshes }) => refreshes));
  }
  return { value, notes };
}

function startReader(path: string, sleepMs: number): { readonly ready: Promise<void>; readonly lags: Promise<Lags> } {
  const script = join(import.meta.dir, "..", "lag-reader.ts");
  const child = Bun.spawn([process.execPath, script, path, String(sleepMs)], { stdout: "pipe", stderr: "inherit" });
  const lines = linesOf(child.stdout);
  const ready = next(lines).then((line) => {
    if (line !== "ready") throw new Error(`a reader said ${line}`);
  });
  return { ready, lags: ready.then(async () => JSON.parse(await next(lines)) as Lags) };
}

async function next(lines: AsyncIterator<string>): Promise<string> {
  const { done, value } = await lines.next();
  if (done) throw new Error("a reader has ended without a word");
  return value;
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of stream) {
    const lines = (rest + new TextDecoder().decode(piece)).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
