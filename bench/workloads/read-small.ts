/** A million small blobs, read in a random order: as views, and copied. */

import { timeEachNs } from "../clock.ts";
import { type CellarStore, cellarStore } from "../contestants/cellar.ts";
import { writeSyncStore } from "../contestants/files.ts";
import { lmdbStore } from "../contestants/lmdb.ts";
import { sqliteStore } from "../contestants/sqlite.ts";
import type { DirectStore, ViewStore } from "../contestants/store.ts";
import { shuffled } from "../data.ts";
import { type Measured, told, type Workload, workload } from "../workload.ts";
import { type BlobSizes, type Looped, measureRead, type OpenStore } from "./common.ts";

const full: BlobSizes = { count: 1_000_000, sizeBytes: 100 };
const quick: BlobSizes = { count: 100_000, sizeBytes: 100 };

export const readViews: Workload = workload<BlobSizes>({
  name: "read-views",
  unit: "ns",
  full,
  quick,
  title: ({ count, sizeBytes }) => `a random read of ${sizeBytes} bytes without a copy, ${told(count)} times`,
  contestants: {
    "cellar bytes": { run: (sizes, folder) => viewed(cellarStore, sizes, folder) },
    "cellar chunks": { run: (sizes, folder) => viewed(cellarChunks, sizes, folder) },
    "lmdb getBinaryFast": {
      peer: "lmdb",
      run: (sizes, folder) => viewed((purpose) => lmdbStore(purpose), sizes, folder),
    },
  },
  targets: [
    {
      says: "lmdb ÷ cellar",
      of: (median) => median("lmdb getBinaryFast") / median("cellar bytes"),
      unit: "×",
      atLeast: 12,
    },
  ],
});

export const readCopies: Workload = workload<BlobSizes>({
  name: "read-copies",
  unit: "ns",
  full,
  quick,
  title: ({ count, sizeBytes }) => `a random read of ${sizeBytes} bytes, copied, ${told(count)} times`,
  contestants: {
    "cellar read": { run: (sizes, folder) => copied(cellarStore, sizes, folder) },
    "lmdb getBinary": { peer: "lmdb", run: (sizes, folder) => copied((purpose) => lmdbStore(purpose), sizes, folder) },
    "bun:sqlite": { run: (sizes, folder) => copied((purpose) => sqliteStore(purpose, "off"), sizes, folder) },
    "fs.readSync": { run: (sizes, folder) => copied(writeSyncStore, sizes, folder) },
  },
  targets: [
    {
      says: "fastest peer ÷ cellar",
      of: (median) =>
        Math.min(median("lmdb getBinary"), median("bun:sqlite"), median("fs.readSync")) / median("cellar read"),
      unit: "×",
      atLeast: 6,
    },
  ],
});

type Get<S> = (store: S, i: number) => Uint8Array;

function viewed(open: OpenStore<ViewStore>, sizes: BlobSizes, folder: string): Promise<Measured> {
  return measureRead(open, sizes, folder, (store, count) => readAll(store, count, (from, i) => from.view(i)));
}

function copied(open: OpenStore<DirectStore>, sizes: BlobSizes, folder: string): Promise<Measured> {
  return measureRead(open, sizes, folder, (store, count) => readAll(store, count, (from, i) => from.read(i)));
}

/** The chunks of a blob by its index: for whoever does not know how long it is. */
function cellarChunks(purpose: Parameters<typeof cellarStore>[0]): CellarStore {
  const store = cellarStore(purpose);
  return { ...store, view: (i) => store.writer.chunks(store.indices[i] ?? 0)[0] ?? new Uint8Array() };
}

async function readAll<S>(store: S, count: number, get: Get<S>): Promise<Looped> {
  const order = shuffled(count);
  let sum = 0;
  const value = await timeEachNs(count, () => {
    for (let k = 0; k < count; k++) {
      const bytes = get(store, order[k] ?? 0);
      sum += (bytes[4] ?? 0) + (bytes[bytes.length - 1] ?? 0);
    }
  });
  return { value, sum };
}
