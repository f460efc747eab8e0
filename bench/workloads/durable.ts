/** Making states durable: one small transaction after the other, and many flushes at once. */

import { join } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { timeEachNs, timeMs } from "../clock.ts";
import { cellarStore } from "../contestants/cellar.ts";
import { writeSyncStore } from "../contestants/files.ts";
import { lmdbStore } from "../contestants/lmdb.ts";
import { sqliteStore } from "../contestants/sqlite.ts";
import type { DurableStore } from "../contestants/store.ts";
import { blobs, Digest } from "../data.ts";
import { type Measured, told, type Workload, workload } from "../workload.ts";
import { type BlobSizes, type OpenStore, warmed } from "./common.ts";

export const durable: Workload = workload<BlobSizes>({
  name: "durable",
  unit: "µs",
  full: { count: 1_000, sizeBytes: 100 },
  quick: { count: 60, sizeBytes: 100 },
  title: ({ count, sizeBytes }) => `a durable transaction of ${sizeBytes} bytes, ${told(count)} times`,
  contestants: {
    "cellar flushSync": { run: (sizes, folder) => transact(cellarStore, sizes, folder) },
    "bun:sqlite, full": { run: (sizes, folder) => transact((purpose) => sqliteStore(purpose, "full"), sizes, folder) },
    "lmdb, sync": {
      peer: "lmdb",
      run: (sizes, folder) => transact((purpose) => lmdbStore(purpose, true), sizes, folder),
    },
    "write + fdatasync": { run: (sizes, folder) => transact(writeSyncStore, sizes, folder) },
  },
  targets: [
    {
      says: "cellar ÷ fastest database",
      of: (median) => median("cellar flushSync") / Math.min(median("bun:sqlite, full"), median("lmdb, sync")),
      unit: "×",
      atMost: 1,
    },
  ],
});

function transact(open: OpenStore<DurableStore>, sizes: BlobSizes, folder: string): Promise<Measured> {
  const blobAt = blobs(sizes.sizeBytes);
  return warmed(open, sizes, folder, async (store, count) => {
    const eachNs = await timeEachNs(count, () => {
      for (let i = 0; i < count; i++) store.writeDurably(i, blobAt(i));
    });
    const digest = new Digest();
    for (let i = 0; i < count; i++) digest.add(store.read(i));
    return { value: eachNs / 1e3, digest: digest.toString() };
  });
}

interface FlushSizes {
  readonly count: number;
}

export const flushes: Workload = workload<FlushSizes>({
  name: "flushes",
  unit: "ms",
  full: { count: 200 },
  quick: { count: 20 },
  title: ({ count }) => `flush() after a write of 100 bytes, ${told(count)} times`,
  contestants: {
    "1 flush": { run: ({ count }, folder) => flushTogether(1, count, folder) },
    "64 at once": { run: ({ count }, folder) => flushTogether(64, count, folder) },
  },
  targets: [{ says: "64 ÷ 1", of: (median) => median("64 at once") / median("1 flush"), unit: "×", atMost: 2.5 }],
});

async function flushTogether(together: number, count: number, folder: string): Promise<Measured> {
  using writer = StorageWriter.create(join(folder, "flushes.cellar"));
  const blob = new Uint8Array(100).fill(7);
  const repeat = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      writer.root = writer.write(blob);
      const states = await Promise.all(Array.from({ length: together }, () => writer.flush()));
      if (states.some(({ root }) => root !== writer.root)) throw new Error("a flush resolved too early");
    }
  };
  await repeat(Math.ceil(count / 10));
  return { value: (await timeMs(() => repeat(count))) / count };
}
