/**
 * Reads of files that are not in memory. Before each slice the file is closed, synced, and dropped from the page cache
 * by `posix_fadvise`, which needs no rights. What the slice then read from the disk is counted, so that no slice is
 * measured by mistake that found its pages in memory.
 */

import { closeSync, openSync, readSync } from "node:fs";
import { type Storage, StorageReader } from "../../src/index.ts";
import { cellarStore, readIntoOf } from "../compare/cellar.ts";
import { appendStore } from "../compare/files.ts";
import { levelStore } from "../compare/level.ts";
import { lmdbStore } from "../compare/lmdb.ts";
import { sqliteStore } from "../compare/sqlite.ts";
import type { Open, Purpose, Store } from "../compare/store.ts";
import { blobs, shuffled } from "../lib/data.ts";
import { dropFromMemory } from "../lib/libc.ts";
import { bytesReadFromDisk, filesIn } from "../lib/proc.ts";
import { atMostTimes, cellar, grouped, peer, type Row, row, type Slice, type Start } from "../lib/row.ts";
import { median, quantile } from "../lib/time.ts";
import type { ReadSizes } from "./blobs.ts";

const PAGE_BYTES = 4096;
/** A blob of less than a page may lie on two. */
const TWO_PAGES_KB = (2 * PAGE_BYTES) / 1000;
const NO_FOOTER = "it reads no footer; Cellar's may lie on a page of its own.";
const IN_ORDER = "it asks the kernel for the whole range in one call.";

export const coldSmall: Row = row<ReadSizes>({
  name: "cold-small",
  unit: "µs",
  needs: "cold",
  rounds: 16,
  full: { count: 400_000, sizeBytes: 100, reads: 200 },
  quick: { count: 5_000, sizeBytes: 100, reads: 10 },
  title: ({ count, sizeBytes }) => `a random read of ${sizeBytes} bytes of ${grouped(count)} that are not in memory`,
  contestants: {
    "cellar read": cellar(coldReading(cellarCold((storage) => (index) => storage.read(index)))),
    "fs.readSync, new array": peer(NO_FOOTER, coldReading(appendCold)),
    "bun:sqlite": peer(
      "its page has the length and the bytes.",
      coldReading(storeCold((purpose) => sqliteStore(purpose, "normal", { large: false }))),
    ),
    lmdb: peer(
      "its page has the length and the bytes.",
      coldReading(storeCold((purpose) => lmdbStore(purpose))),
      "lmdb",
    ),
    "classic-level": peer(
      "its blocks of 4 KiB have the length and the bytes.",
      coldReading(storeCold((purpose) => levelStore(purpose))),
      "classic-level",
    ),
  },
  targets: [
    atMostTimes(
      "cellar read",
      "fs.readSync, new array",
      1.5,
      "A blob that lies on two pages takes two reads, one after the other.",
    ),
    {
      says: "p99 ÷ that of fs.readSync",
      of: ({ median }) => median("cellar read", "p99 µs") / median("fs.readSync, new array", "p99 µs"),
      unit: "×",
      isTail: true,
      atMost: 1.5,
      missed: "A blob that lies on two pages takes two reads, one after the other.",
    },
    {
      says: "cellar read: read from the disk",
      of: ({ median }) => median("cellar read", "kB from the disk"),
      unit: "kB",
      atMost: TWO_PAGES_KB,
      missed: "The kernel reads ahead around the page that is touched.",
    },
  ],
});

export const cold4k: Row = coldBlobs("4k", "4 kB", { count: 16_000, sizeBytes: 4_000, reads: 200 }, 16);
export const cold100k: Row = coldBlobs("100k", "100 kB", { count: 640, sizeBytes: 100_000, reads: 64 }, 12);
export const cold1m: Row = coldBlobs("1m", "1 MB", { count: 96, sizeBytes: 1_000_000, reads: 24 }, 12);

function coldBlobs(name: string, size: string, full: ReadSizes, rounds: number): Row {
  const missed = "The pages of a blob are read from the disk as they are touched, in more and smaller pieces.";
  return row<ReadSizes>({
    name: `cold-${name}`,
    unit: "µs",
    needs: "cold",
    rounds,
    full,
    quick: { ...full, count: Math.max(8, Math.round(full.count / 50)), reads: 4 },
    title: () => `a random read of a blob of ${size} that is not in memory, summed`,
    contestants: {
      "cellar read": cellar(coldReading(cellarCold((storage) => (index) => storage.read(index)))),
      "cellar readInto": cellar(coldReading(cellarCold(readingInto(full.sizeBytes)))),
      "cellar chunks": cellar(coldReading(cellarCold((storage) => (index) => storage.chunks(index)))),
      "cellar stream": cellar(coldReading(cellarCold((storage) => (index) => storage.stream(index)))),
      "fs.readSync, new array": peer(IN_ORDER, coldReading(appendCold)),
      "bun:sqlite": peer(
        "it reads its pages in order.",
        coldReading(storeCold((purpose) => sqliteStore(purpose, "normal", { large: false }))),
      ),
      lmdb: peer(
        "the kernel reads ahead in its mapping.",
        coldReading(storeCold((purpose) => lmdbStore(purpose))),
        "lmdb",
      ),
    },
    targets: ["read", "chunks", "stream"].map((what) =>
      atMostTimes(`cellar ${what}`, "fs.readSync, new array", 1.3, missed),
    ),
  });
}

/** A blob, whole, in pieces, or in pieces that come later. */
type Content = Uint8Array | readonly Uint8Array[] | ReadableStream<Uint8Array>;

interface ColdReader {
  read(i: number): Content;
  close(): void | Promise<void>;
}

/** Stores the blobs, and closes the file; returns how to open it for a slice. */
type MakeCold = (purpose: Purpose) => Promise<() => ColdReader | Promise<ColdReader>>;

function coldReading(make: MakeCold): Start<ReadSizes> {
  return async ({ count, sizeBytes, reads }, folder) => {
    const open = await make({ folder, count, sizeBytes });
    const order = shuffled(count);
    const all: number[] = [];
    let crc = 0;
    let next = 0;
    const timeReads = async (reader: ColdReader): Promise<number[]> => {
      const tookUs: number[] = [];
      for (let k = 0; k < reads; k++) {
        const i = order[next++ % count] ?? 0;
        const begin = Bun.nanoseconds();
        const content = reader.read(i);
        crc = content instanceof ReadableStream ? await sumLater(content, crc) : sum(content, crc);
        tookUs.push((Bun.nanoseconds() - begin) / 1e3);
      }
      return tookUs;
    };
    return {
      async slice(): Promise<Slice> {
        for (const path of filesIn(folder)) dropFromMemory(path);
        const reader = await open();
        const before = bytesReadFromDisk();
        const tookUs = await timeReads(reader);
        const readBytes = bytesReadFromDisk() - before;
        await reader.close();
        // All pages of the blobs must have come from the disk.
        if (readBytes < Math.min(count, reads) * sizeBytes * 0.9)
          throw new Error(`only ${readBytes} bytes were not in memory`);
        all.push(...tookUs);
        const meanUs = tookUs.reduce((sum, us) => sum + us, 0) / reads;
        return { value: meanUs, notes: { "kB from the disk": readBytes / 1000 / reads } };
      },
      finish: () => ({
        digest: `CRC-32 ${crc.toString(16)}`,
        notes: { "p50 µs": median(all), "p99 µs": quantile(all, 0.99) },
      }),
    };
  };
}

function sum(content: Uint8Array | readonly Uint8Array[], crc: number): number {
  if (content instanceof Uint8Array) return Bun.hash.crc32(content, crc);
  return content.reduce((crc, piece) => Bun.hash.crc32(piece, crc), crc);
}

async function sumLater(stream: ReadableStream<Uint8Array>, crc: number): Promise<number> {
  for await (const piece of stream) crc = Bun.hash.crc32(piece, crc);
  return crc;
}

/** A reader that was opened for the slice. */
function cellarCold(readBy: (storage: Storage) => (index: number) => Content): MakeCold {
  return async (purpose) => {
    const store = cellarStore(purpose);
    const { path, indices } = store;
    await store.writeAll(purpose.count, blobs(purpose.sizeBytes));
    // Fails now if this version has no such read.
    readBy(store.writer);
    await store.close();
    return () => {
      const reader = StorageReader.open(path);
      const read = readBy(reader);
      return { read: (i) => read(indices[i] ?? 0), close: () => reader.close() };
    };
  };
}

function readingInto(sizeBytes: number): (storage: Storage) => (index: number) => Content {
  const buffer = new Uint8Array(sizeBytes);
  return (storage) => {
    const readInto = readIntoOf(storage);
    return (index) => {
      readInto(index, buffer);
      return buffer;
    };
  };
}

async function appendCold(purpose: Purpose): ReturnType<MakeCold> {
  const { sizeBytes } = purpose;
  const store = appendStore(purpose);
  await store.writeAll(purpose.count, blobs(sizeBytes));
  await store.close();
  return () => {
    const fd = openSync(store.path, "r");
    return {
      read(i) {
        const bytes = new Uint8Array(sizeBytes);
        readSync(fd, bytes, 0, sizeBytes, i * sizeBytes);
        return bytes;
      },
      close: () => closeSync(fd),
    };
  };
}

/** A database, opened again for each slice. */
function storeCold(open: Open<Store>): MakeCold {
  return async (purpose) => {
    const store = await open(purpose);
    await store.writeAll(purpose.count, blobs(purpose.sizeBytes));
    await store.settle?.();
    await store.close();
    return () => open(purpose);
  };
}
