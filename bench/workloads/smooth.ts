/** What a server feels: the event loop while much is flushed, and the one write that takes longest. */

import { join } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { LoopProbe, quantile } from "../clock.ts";
import { blobs } from "../data.ts";
import { type Measured, told, type Workload, workload } from "../workload.ts";

const MIB = 1024 * 1024;

interface FlushSizes {
  readonly flushMiB: number;
  readonly idleMs: number;
}

export const eventLoop: Workload = workload<FlushSizes>({
  name: "event-loop",
  unit: "ms",
  full: { flushMiB: 256, idleMs: 500 },
  quick: { flushMiB: 64, idleMs: 200 },
  title: ({ flushMiB }) => `the event loop's longest gap while ${flushMiB} MiB are flushed by flush()`,
  contestants: { flushing: { run: gapWhileFlushing }, idle: { run: gapWhileIdle } },
  targets: [{ says: "flushing - idle", of: (median) => median("flushing") - median("idle"), unit: "ms", atMost: 5 }],
});

async function gapWhileFlushing({ flushMiB }: FlushSizes, folder: string): Promise<Measured> {
  using writer = StorageWriter.create(join(folder, "flush.cellar"));
  await writer.flush();
  const blobAt = blobs(MIB);
  for (let i = 0; i < flushMiB; i++) writer.root = writer.write(blobAt(i));
  Bun.gc(true);
  const probe = new LoopProbe();
  const begin = performance.now();
  const flushed = writer.flush();
  const callMs = performance.now() - begin;
  await flushed;
  const flushMs = performance.now() - begin;
  return { value: probe.stop(), notes: { "flush ms": flushMs, "its call ms": callMs } };
}

async function gapWhileIdle({ idleMs }: FlushSizes): Promise<Measured> {
  Bun.gc(true);
  const probe = new LoopProbe();
  await Bun.sleep(idleMs);
  return { value: probe.stop() };
}

interface WriteSizes {
  readonly writeMiB: number;
  readonly sizeBytes: number;
}

export const longestWrite: Workload = workload<WriteSizes>({
  name: "longest-write",
  unit: "ms",
  full: { writeMiB: 1024, sizeBytes: 100 },
  quick: { writeMiB: 64, sizeBytes: 100 },
  title: ({ writeMiB, sizeBytes }) =>
    `the longest single write of ${told(writeMiB)} MiB in blobs of ${sizeBytes} bytes`,
  contestants: { cellar: { run: longestOfAll } },
  targets: [{ says: "the longest", of: (median) => median("cellar"), unit: "ms", atMost: 20 }],
});

/** The histogram's bounds in microseconds. */
const BOUNDS = [1, 10, 100, 1_000, 5_000, 20_000];

async function longestOfAll({ writeMiB, sizeBytes }: WriteSizes, folder: string): Promise<Measured> {
  using writer = StorageWriter.create(join(folder, "writes.cellar"));
  const blobAt = blobs(sizeBytes);
  const count = Math.floor((writeMiB * MIB) / sizeBytes);
  const tookNs = new Float64Array(count);
  Bun.gc(true);
  for (let i = 0; i < count; i++) {
    const blob = blobAt(i);
    const begin = Bun.nanoseconds();
    writer.write(blob);
    tookNs[i] = Bun.nanoseconds() - begin;
  }
  const median = quantile(tookNs, 0.5);
  return { value: (tookNs.at(-1) ?? 0) / 1e6, notes: { "median ns": median, ...histogram(tookNs) } };
}

function histogram(sortedNs: Float64Array): Record<string, number> {
  const counts: Record<string, number> = {};
  let from = 0;
  let lower = 0;
  for (const bound of [...BOUNDS, Number.POSITIVE_INFINITY]) {
    const label =
      bound < Number.POSITIVE_INFINITY ? `${told(lower)} to ${told(bound)} µs` : `longer than ${told(lower)} µs`;
    const end = sortedNs.findIndex((ns) => ns >= bound * 1e3);
    const to = end === -1 ? sortedNs.length : end;
    counts[label] = to - from;
    from = to;
    lower = bound;
  }
  return counts;
}
