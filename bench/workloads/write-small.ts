/** A million small blobs, and one commit at the end. */

import { cellarStore } from "../contestants/cellar.ts";
import { fileSinkStore } from "../contestants/files.ts";
import { heapStore } from "../contestants/heap.ts";
import { levelStore } from "../contestants/level.ts";
import { lmdbStore } from "../contestants/lmdb.ts";
import { sqliteStore } from "../contestants/sqlite.ts";
import { told, type Workload, workload } from "../workload.ts";
import { type BlobSizes, measureWrite } from "./common.ts";

const databases = ["lmdb", "bun:sqlite", "classic-level"] as const;

export const writeSmall: Workload = workload<BlobSizes>({
  name: "write-small",
  unit: "ms",
  full: { count: 1_000_000, sizeBytes: 100 },
  quick: { count: 100_000, sizeBytes: 100 },
  title: ({ count, sizeBytes }) => `write ${told(count)} blobs of ${sizeBytes} bytes, one commit at the end`,
  contestants: {
    cellar: { run: (sizes, folder) => measureWrite(cellarStore, sizes, folder) },
    lmdb: { peer: "lmdb", run: (sizes, folder) => measureWrite((purpose) => lmdbStore(purpose), sizes, folder) },
    "bun:sqlite": {
      run: (sizes, folder) => measureWrite((purpose) => sqliteStore(purpose, "off"), sizes, folder),
    },
    "classic-level": { peer: "classic-level", run: (sizes, folder) => measureWrite(levelStore, sizes, folder) },
    FileSink: { run: (sizes, folder) => measureWrite(fileSinkStore, sizes, folder) },
    "Uint8Array.set": { run: (sizes, folder) => measureWrite(heapStore, sizes, folder) },
  },
  targets: [
    {
      says: "fastest database ÷ cellar",
      of: (median) => Math.min(...databases.map((name) => median(name))) / median("cellar"),
      unit: "×",
      atLeast: 15,
    },
    { says: "FileSink ÷ cellar", of: (median) => median("FileSink") / median("cellar"), unit: "×", atLeast: 5 },
    {
      says: "cellar ÷ Uint8Array.set",
      of: (median) => median("cellar") / median("Uint8Array.set"),
      unit: "×",
      atMost: 2.5,
    },
  ],
});
