/** Blobs into a fresh file, visible at the end, not durable. */

import { cellarStore } from "../compare/cellar.ts";
import { appendStore, fileSinkStore, writeSyncStore } from "../compare/files.ts";
import { heapStore } from "../compare/heap.ts";
import { levelStore } from "../compare/level.ts";
import { stagedStore } from "../compare/limits.ts";
import { lmdbStore } from "../compare/lmdb.ts";
import { sqliteStore } from "../compare/sqlite.ts";
import type { Purpose } from "../compare/store.ts";
import { atMostTimes, cellar, grouped, limit, peer, type Row, row } from "../lib/row.ts";
import { type BlobSizes, MIB, writing } from "./blobs.ts";

const NO_PROMISES =
  "it only copies bytes to the kernel. It has no checksums and no index that survives the process, reserves no space, " +
  "and another process cannot tell how far the file is valid.";

export const writeSmall: Row = row<BlobSizes>({
  name: "write-small",
  unit: "ms",
  rounds: 5,
  full: { count: 1_000_000, sizeBytes: 100 },
  quick: { count: 5_000, sizeBytes: 100 },
  title: ({ count, sizeBytes }) => `write ${grouped(count)} blobs of ${sizeBytes} bytes, one commit at the end`,
  contestants: {
    cellar: cellar(writing(cellarStore)),
    "Uint8Array.set, touched memory": limit(writing(heapStore)),
    "Uint8Array.set, new memory": limit(writing((purpose) => heapStore(purpose, { touched: false }))),
    "append by a buffer, offset table": peer(NO_PROMISES, writing(appendStore)),
    FileSink: peer(NO_PROMISES, writing(fileSinkStore)),
    "bun:sqlite": peer("its transaction is one append to its log.", writing(sqliteStore)),
    lmdb: peer(
      "its transaction writes pages once.",
      writing((purpose) => lmdbStore(purpose)),
      "lmdb",
    ),
    "classic-level": peer(
      "its batch is one append to its log.",
      writing((purpose) => levelStore(purpose)),
      "classic-level",
    ),
  },
  targets: [
    atMostTimes(
      "cellar",
      "Uint8Array.set, touched memory",
      1.5,
      "Cellar copies each byte twice, to its buffer and to the kernel, which makes new pages for the file; the limit " +
        "copies it once, to pages that are there.",
    ),
  ],
});

export const writeLarge: Row = row<BlobSizes>({
  name: "write-large",
  unit: "ms",
  rounds: 8,
  full: { count: 96, sizeBytes: MIB },
  quick: { count: 8, sizeBytes: MIB },
  title: ({ count, sizeBytes }) => `write ${grouped(count)} blobs of ${sizeBytes / MIB} MiB, one commit at the end`,
  contestants: {
    cellar: cellar(writing(cellarStore)),
    "cellar, space reserved": cellar(writing(reservedStore)),
    "stage, CRC and pwrite, aligned": limit(writing(stagedStore)),
    "fs.writeSync": peer(NO_PROMISES, writing(writeSyncStore)),
    "bun:sqlite": peer("its log is an append without a reservation of space.", writing(sqliteStore)),
    lmdb: peer(
      "its transaction writes pages once.",
      writing((purpose) => lmdbStore(purpose)),
      "lmdb",
    ),
  },
  targets: [
    {
      says: "fs.writeSync ÷ cellar",
      of: ({ ratio }) => ratio("fs.writeSync", "cellar"),
      unit: "×",
      atLeast: 0.72,
      missed:
        "Cellar copies each byte twice, takes a CRC of it, and allocates blocks before it uses them, so that a full " +
        "disk is an error and no signal.",
    },
    atMostTimes(
      "cellar",
      "stage, CRC and pwrite, aligned",
      1.15,
      "Cellar also writes footers, and allocates blocks before it uses them.",
    ),
  ],
});

/** Created with room for everything: growth is paid at creation, which is not timed. */
function reservedStore(purpose: Purpose): ReturnType<typeof cellarStore> {
  const bytesPerCell = 32;
  const capacityCells = Math.ceil((purpose.count * (purpose.sizeBytes + MIB / 16)) / bytesPerCell);
  return cellarStore(purpose, { bytesPerCell, capacityCells });
}
