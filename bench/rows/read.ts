/** Small blobs that are in memory, read in a random order: copied, and as views. */

import { cellarStore, firstCellOf, readIntoStore } from "../compare/cellar.ts";
import { appendStore, mmapStore, reusedBufferStore } from "../compare/files.ts";
import { heapStore } from "../compare/heap.ts";
import { levelStore } from "../compare/level.ts";
import { lmdbStore } from "../compare/lmdb.ts";
import { sqliteStore } from "../compare/sqlite.ts";
import type { Purpose, Store, ViewStore } from "../compare/store.ts";
import { atMostTimes, cellar, grouped, limit, peer, type Row, row } from "../lib/row.ts";
import { type ReadSizes, reading } from "./blobs.ts";

const full: ReadSizes = { count: 1_000_000, sizeBytes: 100, reads: 50_000 };
const quick: ReadSizes = { count: 5_000, sizeBytes: 100, reads: 2_000 };

const NO_CHECKS =
  "it takes an offset from a table on the heap, and neither reads nor checks a footer beside the bytes.";
const copied = { read: (store: Store, i: number) => store.read(i) };
const viewed = { read: (store: ViewStore, i: number) => store.view(i) };

export const readCopies: Row = row<ReadSizes>({
  name: "read-copies",
  unit: "ns",
  rounds: 20,
  full,
  quick,
  title: ({ count, sizeBytes }) => `a random read of ${sizeBytes} bytes of ${grouped(count)}, copied`,
  contestants: {
    "cellar read": cellar(reading(cellarStore, copied)),
    "cellar readInto": cellar(reading(readIntoStore, copied)),
    "heap slice": limit(reading(heapStore, copied)),
    "Bun.mmap, offset table": peer(NO_CHECKS, reading(mmapStore, copied)),
    "fs.readSync, new array": peer(NO_CHECKS, reading(appendStore, copied)),
    "fs.readSync, used buffer": peer(NO_CHECKS, reading(reusedBufferStore, copied)),
    "bun:sqlite, one transaction": peer(
      "its cache is warm.",
      reading(sqliteStore, { ...copied, around: (store, work) => store.inTransaction(work) }),
    ),
    "lmdb getBinary": peer(
      "its pages are mapped.",
      reading((purpose) => lmdbStore(purpose), copied),
      "lmdb",
    ),
    "classic-level getSync": peer(
      "its blocks are mapped.",
      reading((purpose) => levelStore(purpose), copied),
      "classic-level",
    ),
  },
  targets: [
    atMostTimes(
      "cellar read",
      "heap slice",
      1.3,
      "A read checks the blob's footer, in a line of memory of its own, and calls memcpy by FFI.",
    ),
  ],
});

export const readViews: Row = row<ReadSizes>({
  name: "read-views",
  unit: "ns",
  rounds: 20,
  full,
  quick,
  title: ({ count, sizeBytes }) => `a random read of ${sizeBytes} bytes of ${grouped(count)}, without a copy`,
  contestants: {
    "cellar chunks": cellar(reading(cellarStore, viewed)),
    "cellar bytes": cellar(reading(bytesStore, viewed)),
    "heap subarray": limit(reading(heapStore, viewed)),
    "Bun.mmap, offset table": peer(NO_CHECKS, reading(mmapStore, viewed)),
    "lmdb getBinaryFast": peer(
      "it uses the same buffer for every read.",
      reading((purpose) => lmdbStore(purpose), viewed),
      "lmdb",
    ),
  },
  targets: [
    atMostTimes(
      "cellar bytes",
      "heap subarray",
      1.5,
      "A view of Cellar is cut from one of a few buffers over the mapping, which has to be found and checked first.",
    ),
    atMostTimes(
      "cellar chunks",
      "cellar bytes",
      1.5,
      "chunks reads the blob's footer, which bytes does not, and returns the view in an array.",
    ),
  ],
});

/** Views by `bytes`: the application keeps where each blob begins, and how long it is. */
function bytesStore(purpose: Purpose): ViewStore {
  const store = cellarStore(purpose);
  const { writer, indices } = store;
  const { sizeBytes } = purpose;
  const { bytesPerCell } = writer.config;
  return { ...store, view: (i) => writer.bytes(firstCellOf(indices[i] ?? 0, sizeBytes, bytesPerCell), sizeBytes) };
}
