/** What a server notices: gaps of the event loop while much is flushed, and the one write that takes longest. */

import { closeSync, fdatasync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { StorageWriter } from "../../src/index.ts";
import { blobs } from "../lib/data.ts";
import { cellar, grouped, limit, peer, type Row, row, type Slice } from "../lib/row.ts";
import { LoopProbe, quantile } from "../lib/time.ts";
import { MIB } from "./blobs.ts";

interface FlushSizes {
  readonly flushMiB: number;
}

export const eventLoop: Row = row<FlushSizes>({
  name: "event-loop",
  unit: "ms",
  needs: "durable",
  rounds: 8,
  full: { flushMiB: 128 },
  quick: { flushMiB: 8 },
  title: ({ flushMiB }) => `the longest gap of the event loop while ${flushMiB} MiB are made durable`,
  contestants: {
    "cellar flush": cellar(({ flushMiB }, folder) => {
      const path = join(folder, "flush.cellar");
      const blobAt = blobs(MIB);
      return {
        async slice(): Promise<Slice> {
          const writer = StorageWriter.create(path);
          for (let i = 0; i < flushMiB; i++) writer.root = writer.write(blobAt(i));
          let callMs = 0;
          const gap = await gapWhile(() => {
            const begin = performance.now();
            const flushed = writer.flush();
            callMs = performance.now() - begin;
            return flushed;
          });
          writer.close();
          rmSync(path);
          return { ...gap, notes: { ...gap.notes, "its call ms": callMs } };
        },
      };
    }),
    nothing: limit(({ flushMiB }) => ({ slice: () => gapWhile(() => Bun.sleep(flushMiB)) })),
    "fs.fdatasync, as much": peer("it hands one sync to the thread pool.", ({ flushMiB }, folder) => {
      const path = join(folder, "flush.file");
      const blobAt = blobs(MIB);
      return {
        async slice(): Promise<Slice> {
          const fd = openSync(path, "w");
          for (let i = 0; i < flushMiB; i++) writeSync(fd, blobAt(i));
          const gap = await gapWhile(() => promisify(fdatasync)(fd));
          closeSync(fd);
          rmSync(path);
          return gap;
        },
      };
    }),
  },
  targets: [
    {
      says: "cellar flush - nothing",
      of: ({ median }) => median("cellar flush") - median("nothing"),
      unit: "ms",
      atMost: 5,
      missed: "The syncs run in a thread of Bun's pool; on a busy machine the loop's own thread waits for a processor.",
    },
  ],
});

async function gapWhile(work: () => Promise<unknown>): Promise<Slice> {
  Bun.gc(true);
  const probe = new LoopProbe();
  const begin = performance.now();
  await work();
  const tookMs = performance.now() - begin;
  return { value: probe.stop(), notes: { "took ms": tookMs } };
}

interface WriteSizes {
  readonly writeMiB: number;
  readonly sizeBytes: number;
}

export const longestWrite: Row = row<WriteSizes>({
  name: "longest-write",
  unit: "ms",
  rounds: 4,
  full: { writeMiB: 256, sizeBytes: 100 },
  quick: { writeMiB: 4, sizeBytes: 100 },
  title: ({ writeMiB, sizeBytes }) =>
    `the longest single write of ${grouped(writeMiB)} MiB in blobs of ${sizeBytes} bytes`,
  contestants: {
    "cellar write": cellar(({ writeMiB, sizeBytes }, folder) => {
      const path = join(folder, "writes.cellar");
      const blobAt = blobs(sizeBytes);
      const tookNs = new Float64Array(Math.floor((writeMiB * MIB) / sizeBytes));
      return {
        slice(): Slice {
          const writer = StorageWriter.create(path);
          Bun.gc(true);
          for (let i = 0; i < tookNs.length; i++) {
            const blob = blobAt(i);
            const begin = Bun.nanoseconds();
            writer.write(blob);
            tookNs[i] = Bun.nanoseconds() - begin;
          }
          writer.close();
          rmSync(path);
          const notes = { "median ns": quantile(tookNs, 0.5), "p99.99 µs": quantile(tookNs, 0.9999) / 1e3 };
          return { value: quantile(tookNs, 1) / 1e6, notes };
        },
      };
    }),
  },
  targets: [
    {
      says: "the longest",
      of: ({ median }) => median("cellar write"),
      unit: "ms",
      atMost: 20,
      missed: "A write that grows the file waits for the file system to allocate blocks.",
    },
  ],
});
