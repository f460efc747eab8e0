/** Blobs of 1 MiB read back: copied, and summed where they lie. The sum is a CRC-32, which is as fast as the memory. */

import { crc32 } from "node:zlib";
import { StorageReader } from "../../src/index.ts";
import { timeMs } from "../clock.ts";
import { cellarStore } from "../contestants/cellar.ts";
import { heapStore } from "../contestants/heap.ts";
import type { Purpose, ViewStore } from "../contestants/store.ts";
import { type Measured, told, type Workload, workload } from "../workload.ts";
import { type BlobSizes, type Looped, measureRead, type OpenStore } from "./common.ts";

const MIB = 1024 * 1024;

/** A blob's bytes without a copy, in as many pieces as the store has them. */
interface PieceStore extends ViewStore {
  pieces(i: number): Uint8Array[];
}

const full: BlobSizes = { count: 1024, sizeBytes: MIB };
const quick: BlobSizes = { count: 96, sizeBytes: MIB };

export const readLarge: Workload = workload<BlobSizes>({
  name: "read-large",
  unit: "ms",
  full,
  quick,
  title: ({ count, sizeBytes }) => `read ${told(count)} blobs of ${sizeBytes / MIB} MiB, copied`,
  contestants: {
    "cellar read": { run: (sizes, folder) => copied(cellarPieces, sizes, folder) },
    "cellar read, new reader": { run: (sizes, folder) => copied(readerPieces, sizes, folder) },
    "heap slice": { run: (sizes, folder) => copied(heapPieces, sizes, folder) },
  },
  targets: [
    {
      says: "heap slice ÷ cellar read",
      of: (median) => median("heap slice") / median("cellar read"),
      unit: "×",
      atLeast: 0.9,
    },
  ],
});

export const sumLarge: Workload = workload<BlobSizes>({
  name: "sum-large",
  unit: "ms",
  full,
  quick,
  title: ({ count, sizeBytes }) => `sum ${told(count)} blobs of ${sizeBytes / MIB} MiB where they lie`,
  contestants: {
    "cellar chunks": { run: (sizes, folder) => summed(cellarPieces, sizes, folder) },
    "cellar chunks, new reader": { run: (sizes, folder) => summed(readerPieces, sizes, folder) },
    heap: { run: (sizes, folder) => summed(heapPieces, sizes, folder) },
  },
  targets: [
    { says: "heap ÷ cellar chunks", of: (median) => median("heap") / median("cellar chunks"), unit: "×", atLeast: 0.9 },
  ],
});

function copied(open: OpenStore<PieceStore>, sizes: BlobSizes, folder: string): Promise<Measured> {
  return measureRead(open, sizes, folder, (store, count) => {
    return looped(count, (i) => {
      const bytes = store.read(i);
      return (bytes[4] ?? 0) + (bytes[bytes.length - 1] ?? 0);
    });
  });
}

function summed(open: OpenStore<PieceStore>, sizes: BlobSizes, folder: string): Promise<Measured> {
  return measureRead(open, sizes, folder, (store, count) => {
    return looped(count, (i) => store.pieces(i).reduce((crc, piece) => crc32(piece, crc), 0));
  });
}

async function looped(count: number, sumOf: (i: number) => number): Promise<Looped> {
  let sum = 0;
  const value = await timeMs(() => {
    for (let i = 0; i < count; i++) sum += sumOf(i);
  });
  return { value, sum };
}

/** The writer reads what it has just written. Its pages are in memory, and mapped at their first touch, as a reader's. */
function cellarPieces(purpose: Purpose): PieceStore {
  const store = cellarStore(purpose);
  return { ...store, pieces: (i) => store.writer.chunks(store.indices[i] ?? 0) };
}

/** A reader that has just been opened. */
function readerPieces(purpose: Purpose): PieceStore {
  const store = cellarStore(purpose);
  let reader: StorageReader | undefined;
  const opened = (): StorageReader => (reader ??= StorageReader.open(store.path, { follow: "commits" }));
  return {
    ...store,
    read: (i) => opened().read(store.indices[i] ?? 0),
    pieces: (i) => opened().chunks(store.indices[i] ?? 0),
    close() {
      reader?.close();
      store.close();
    },
  };
}

function heapPieces(purpose: Purpose): PieceStore {
  const store = heapStore(purpose);
  return { ...store, pieces: (i) => [store.view(i)] };
}
