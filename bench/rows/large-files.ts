/** What size costs: opening a large file, and writing and reading far out in one. The large ones are forged. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { lmdbStore } from "../compare/lmdb.ts";
import { sqliteStore } from "../compare/sqlite.ts";
import type { Store } from "../compare/store.ts";
import { blobs, randomNumbers } from "../lib/data.ts";
import { forge } from "../lib/forge.ts";
import { dropFromMemory } from "../lib/libc.ts";
import { residentPages } from "../lib/proc.ts";
import { atMostTimes, cellar, peer, type Row, row, type Slice, type Start } from "../lib/row.ts";
import { quantile, timeEachNs } from "../lib/time.ts";
import type { ReadSizes } from "./blobs.ts";

const MB = 1e6;
const GB = 1e9;
const GIB = 2 ** 30;

interface OpenSizes {
  /** Of a slice. */
  readonly count: number;
}

const TOUCHED =
  "The kernel maps pages beside the one that is touched, where it reads ahead or where the file system is in memory.";
const SAME = "Opening reads the header alone, whatever the size; the larger mapping costs the kernel more.";

export const opening: Row = row<OpenSizes>({
  name: "open",
  unit: "µs",
  rounds: 12,
  full: { count: 20 },
  quick: { count: 3 },
  title: () => "open a file",
  contestants: {
    "cellar reader, 1 MB": cellar(opens((path) => StorageReader.open(path), 1 * MB)),
    "cellar reader, 100 GB": cellar(opens((path) => StorageReader.open(path), 100 * GB)),
    "cellar writer, 1 MB": cellar(opens((path) => StorageWriter.open(path), 1 * MB)),
    "cellar writer, 100 GB": cellar(opens((path) => StorageWriter.open(path), 100 * GB)),
    "bun:sqlite, 1 MB": peer(
      "it reads nothing before the first query.",
      opensDatabase((folder) => sqliteStore({ folder })),
    ),
    "lmdb, 1 MB": peer(
      "it maps the file and reads two headers.",
      opensDatabase((folder) => lmdbStore({ folder, ...DATABASE })),
      "lmdb",
    ),
  },
  targets: [
    atMostTimes("cellar reader, 100 GB", "cellar reader, 1 MB", 1.5, SAME),
    atMostTimes("cellar writer, 100 GB", "cellar writer, 1 MB", 1.5, SAME),
    {
      says: "pages mapped after opening, 100 GB",
      of: ({ median }) =>
        Math.max(median("cellar reader, 100 GB", "pages mapped"), median("cellar writer, 100 GB", "pages mapped")),
      unit: "pages",
      // The kernel reads so many for the first look at a file.
      atMost: 4,
      missed: TOUCHED,
    },
  ],
});

function opens(open: (path: string) => Disposable, sizeBytes: number): Start<OpenSizes> {
  return ({ count }, folder) => {
    const path = join(folder, "forged.cellar");
    forge(path, sizeBytes);
    return {
      slice(): Slice {
        const pages = pagesMapped(path, open);
        const tookNs = Array.from({ length: count }, () => {
          const begin = Bun.nanoseconds();
          using _ = open(path);
          return Bun.nanoseconds() - begin;
        });
        return { value: quantile(tookNs, 0.5) / 1e3, notes: { "pages mapped": pages } };
      },
    };
  };
}

/** Pages that are mapped after opening a file that was not in memory: the first, and what the kernel reads with it. */
function pagesMapped(path: string, open: (path: string) => Disposable): number {
  dropFromMemory(path);
  using _ = open(path);
  return Math.max(...residentPages(path));
}

/** 1 MB of blobs. */
const DATABASE = { count: 10_000, sizeBytes: 100 };

function opensDatabase(open: (folder: string) => Store | Promise<Store>): Start<OpenSizes> {
  return async ({ count }, folder) => {
    mkdirSync(join(folder, "database"));
    const store = await open(join(folder, "database"));
    await store.writeAll(DATABASE.count, blobs(DATABASE.sizeBytes));
    await store.close();
    return {
      async slice() {
        const tookNs: number[] = [];
        for (let i = 0; i < count; i++) {
          const begin = Bun.nanoseconds();
          const store = await open(join(folder, "database"));
          tookNs.push(Bun.nanoseconds() - begin);
          await store.close();
        }
        return quantile(tookNs, 0.5) / 1e3;
      },
    };
  };
}

const places = [
  ["1 MB", 1 * MB],
  ["4 GiB", 4 * GIB],
  ["64 GiB", 64 * GIB],
] as const;

const farContestants = places.flatMap(([name, beforeBytes]) => [
  [`cellar write past ${name}`, cellar(farWrites(beforeBytes))] as const,
  [`cellar read past ${name}`, cellar(farReads(beforeBytes))] as const,
]);

export const farOut: Row = row<ReadSizes>({
  name: "far-out",
  unit: "ns",
  rounds: 15,
  full: { count: 200_000, sizeBytes: 100, reads: 50_000 },
  quick: { count: 2_000, sizeBytes: 100, reads: 500 },
  title: ({ sizeBytes }) => `a write and a random read of ${sizeBytes} bytes behind so many others`,
  contestants: Object.fromEntries(farContestants),
  targets: ["write", "read"].flatMap((what) =>
    ["4 GiB", "64 GiB"].map((place) =>
      atMostTimes(
        `cellar ${what} past ${place}`,
        `cellar ${what} past 1 MB`,
        1.3,
        "Indices above 2^30 are no small integers to the engine.",
      ),
    ),
  ),
});

function openFar(folder: string, beforeBytes: number): StorageWriter {
  const path = join(folder, "forged.cellar");
  forge(path, beforeBytes);
  return StorageWriter.open(path);
}

function farWrites(beforeBytes: number): Start<ReadSizes> {
  return ({ sizeBytes, reads }, folder) => {
    const writer = openFar(folder, beforeBytes);
    const blobAt = blobs(sizeBytes);
    return {
      slice: () =>
        timeEachNs(reads, () => {
          for (let i = 0; i < reads; i++) writer.write(blobAt(i));
        }),
    };
  };
}

function farReads(beforeBytes: number): Start<ReadSizes> {
  return ({ count, sizeBytes, reads }, folder) => {
    const writer = openFar(folder, beforeBytes);
    const blobAt = blobs(sizeBytes);
    const indices = Array.from({ length: count }, (_, i) => writer.write(blobAt(i)));
    writer.commit();
    const random = randomNumbers();
    return {
      slice: () =>
        timeEachNs(reads, () => {
          for (let k = 0; k < reads; k++) writer.read(indices[random() % count] ?? 0);
        }),
    };
  };
}
