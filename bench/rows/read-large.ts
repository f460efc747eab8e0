/** Blobs of 1 MiB that are in memory: copied, and summed in place. */

import { StorageReader } from "../../src/index.ts";
import { cellarStore, firstCellOf, readIntoStore } from "../compare/cellar.ts";
import { appendStore, mmapStore, reusedBufferStore } from "../compare/files.ts";
import { heapStore } from "../compare/heap.ts";
import { lmdbStore } from "../compare/lmdb.ts";
import { sqliteStore } from "../compare/sqlite.ts";
import type { Purpose, Store } from "../compare/store.ts";
import { blobs } from "../lib/data.ts";
import { atMostTimes, cellar, grouped, limit, peer, type Row, row, type Start } from "../lib/row.ts";
import { timeMs } from "../lib/time.ts";
import { type BlobSizes, MIB, type ReadSizes, reading } from "./blobs.ts";

const copied = { unit: "µs", read: (store: Store, i: number) => store.read(i) } as const;
const READ_CALL = "it is one system call for each blob, and Cellar one memcpy for each chunk of 65535 bytes.";

export const readLarge: Row = row<ReadSizes>({
  name: "read-large",
  unit: "µs",
  rounds: 12,
  full: { count: 128, sizeBytes: MIB, reads: 128 },
  quick: { count: 8, sizeBytes: MIB, reads: 8 },
  title: ({ count, sizeBytes }) => `read a blob of ${sizeBytes / MIB} MiB of ${grouped(count)}, copied`,
  contestants: {
    "cellar read": cellar(reading(cellarStore, copied)),
    "cellar readInto": cellar(reading(readIntoStore, copied)),
    "heap slice": limit(reading(heapStore, copied)),
    "fs.readSync, new array": peer(READ_CALL, reading(appendStore, copied)),
    "fs.readSync, used buffer": peer(
      "it makes no new array; readInto of Cellar does the same.",
      reading(reusedBufferStore, copied),
    ),
    "Bun.mmap, offset table": peer("it copies each blob in one piece.", reading(mmapStore, copied)),
    "bun:sqlite": peer("its pages are in its cache.", reading(sqliteStore, copied)),
    "lmdb getBinary": peer(
      "its values are consecutive in the file, and copied in one piece.",
      reading((purpose) => lmdbStore(purpose), copied),
      "lmdb",
    ),
  },
  targets: [
    atMostTimes("cellar read", "heap slice", 1.3, "The blob is copied in pieces of 65535 bytes, from mapped memory."),
    atMostTimes(
      "cellar readInto",
      "fs.readSync, used buffer",
      1.2,
      "readInto copies in pieces of 65535 bytes, at addresses that are no multiples of a page.",
    ),
  ],
});

export const sumLarge: Row = row<BlobSizes>({
  name: "sum-large",
  unit: "ms",
  rounds: 12,
  full: { count: 128, sizeBytes: MIB },
  quick: { count: 8, sizeBytes: MIB },
  title: ({ count, sizeBytes }) =>
    `sum ${grouped(count)} blobs of ${sizeBytes / MIB} MiB in place, by a process that has not touched them yet`,
  contestants: {
    "cellar chunks": cellar(summing(cellarPieces)),
    "a bare mapping of the same file": limit(summing(mappedPieces)),
    "fs.readSync, used buffer": peer(
      "it takes no page faults: it copies into a buffer whose pages are mapped.",
      summing(copiedPieces),
    ),
  },
  targets: [
    atMostTimes(
      "cellar chunks",
      "a bare mapping of the same file",
      1.2,
      "A reader reads footers through a second mapping, which views cannot change, so the kernel maps each page twice.",
    ),
  ],
});

/** The bytes of a blob in pieces. */
type Pieces = (i: number) => readonly Uint8Array[];

interface Summed {
  /** Maps the file anew, so that every page is touched for the first time. */
  fresh(): { readonly pieces: Pieces; close(): void };
  close(): void | Promise<void>;
}

function summing(open: (purpose: Purpose) => Promise<Summed>): Start<BlobSizes> {
  return async ({ count, sizeBytes }, folder) => {
    const store = await open({ folder, count, sizeBytes });
    let crc = 0;
    return {
      async slice() {
        const { pieces, close } = store.fresh();
        crc = 0;
        const tookMs = await timeMs(() => {
          for (let i = 0; i < count; i++) for (const piece of pieces(i)) crc = Bun.hash.crc32(piece, crc);
        });
        close();
        return tookMs;
      },
      finish: () => ({ digest: `CRC-32 ${crc.toString(16)}` }),
      close: () => store.close(),
    };
  };
}

async function cellarPieces(purpose: Purpose): Promise<Summed> {
  const store = cellarStore(purpose);
  await store.writeAll(purpose.count, blobs(purpose.sizeBytes));
  return {
    fresh() {
      const reader = StorageReader.open(store.path, { follow: "commits" });
      return { pieces: (i) => reader.chunks(store.indices[i] ?? 0), close: () => reader.close() };
    },
    close: () => store.close(),
  };
}

/** The pieces of a bare mapping lie where the chunks of Cellar do: docs/format.md. */
const CHUNK_BYTES = 65535;

async function mappedPieces(purpose: Purpose): Promise<Summed> {
  const { count, sizeBytes } = purpose;
  const store = cellarStore(purpose);
  await store.writeAll(count, blobs(sizeBytes));
  const { bytesPerCell } = store.writer.config;
  const lastSizeBytes = sizeBytes % CHUNK_BYTES || CHUNK_BYTES;
  /** Where the chunks of each blob begin. A blob's chunks are consecutive here, for nothing was written between them. */
  const offsets = Array.from(store.indices, (last) => {
    const chunks = Math.ceil(sizeBytes / CHUNK_BYTES);
    const end = firstCellOf(last, lastSizeBytes, bytesPerCell);
    const chunkCells = 1 - firstCellOf(0, CHUNK_BYTES, bytesPerCell);
    return Array.from({ length: chunks }, (_, k) => (end - (chunks - 1 - k) * chunkCells) * bytesPerCell);
  });
  return {
    fresh() {
      let mapped: Uint8Array | null = Bun.mmap(store.path, { shared: true });
      return {
        pieces: (i) =>
          (offsets[i] ?? []).map((offset, k, all) => {
            const lengthBytes = k + 1 === all.length ? lastSizeBytes : CHUNK_BYTES;
            return mapped?.subarray(offset, offset + lengthBytes) ?? new Uint8Array();
          }),
        close() {
          mapped = null;
          Bun.gc(true);
        },
      };
    },
    close: () => store.close(),
  };
}

async function copiedPieces(purpose: Purpose): Promise<Summed> {
  const store = reusedBufferStore(purpose);
  await store.writeAll(purpose.count, blobs(purpose.sizeBytes));
  return { fresh: () => ({ pieces: (i) => [store.read(i)], close: () => undefined }), close: () => store.close() };
}
