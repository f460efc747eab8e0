/** A durable transaction on a file, by how the file came to be. */

import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { blobs } from "../lib/data.ts";
import { dropFromMemory } from "../lib/libc.ts";
import { bytesWrittenToDevice } from "../lib/proc.ts";
import { cellar, type Row, row, type Slice } from "../lib/row.ts";
import { eachUs } from "../lib/time.ts";
import { MIB } from "./blobs.ts";

interface RestoredSizes {
  readonly fileMiB: number;
  readonly count: number;
}

/** What is written for a transaction: 32 kB at most. */
const MAX_WRITTEN_KB = 32;
const histories = {
  "made by Cellar": make,
  "copied by cp": (folder: string, mib: number) => copied(make(folder, mib)),
  "copied by copyTo": async (folder: string, mib: number) => {
    const to = join(folder, "copy.cellar");
    using reader = StorageReader.open(make(folder, mib));
    await reader.copyTo(to);
    return to;
  },
  "read in order before": (folder: string, mib: number) => readThrough(copied(make(folder, mib))),
} as const;

export const restored: Row = row<RestoredSizes>({
  name: "restored",
  unit: "µs",
  needs: "cold",
  rounds: 10,
  full: { fileMiB: 60, count: 50 },
  quick: { fileMiB: 8, count: 5 },
  title: ({ fileMiB }) => `a durable transaction of 100 bytes on a file of ${fileMiB} MiB, by how the file came to be`,
  contestants: {
    ...Object.fromEntries(
      Object.entries(histories).map(([name, history]) => [
        name,
        cellar<RestoredSizes>(async ({ fileMiB, count }, folder) => onFile(await history(folder, fileMiB), count)),
      ]),
    ),
    "mapped by a reader": cellar<RestoredSizes>(async ({ fileMiB, count }, folder) => {
      const path = readThrough(copied(make(folder, fileMiB)));
      const reader = StorageReader.open(path);
      const task = onFile(path, count);
      return { ...task, close: () => (reader.close(), task.close()) };
    }),
  },
  targets: [...Object.keys(histories), "mapped by a reader"].map((name) => ({
    says: `${name}: written`,
    of: ({ median }) => median(name, "kB to the disk"),
    unit: "kB",
    atMost: MAX_WRITTEN_KB,
    missed:
      "A store through a mapping makes the whole folio dirty that the kernel caches, up to 2 MiB. Other programs that " +
      "wrote to the disk meanwhile count too.",
  })),
});

function make(folder: string, mib: number): string {
  const path = join(folder, "made.cellar");
  using writer = StorageWriter.create(path);
  const blobAt = blobs(MIB);
  for (let i = 0; i < mib; i++) writer.root = writer.write(blobAt(i));
  return path;
}

function copied(path: string): string {
  const to = `${path}.copy`;
  cpSync(path, to);
  return to;
}

/** Reading in order fills the page cache with large folios. */
function readThrough(path: string): string {
  dropFromMemory(path);
  readFileSync(path);
  return path;
}

function onFile(path: string, count: number): { slice(): Promise<Slice>; close(): void } {
  const writer = StorageWriter.open(path);
  const blob = new Uint8Array(100).fill(7);
  return {
    async slice() {
      const before = bytesWrittenToDevice(path);
      const value = await eachUs(count, () => {
        writer.root = writer.write(blob);
        writer.flushSync();
      });
      return { value, notes: { "kB to the disk": (bytesWrittenToDevice(path) - before) / 1000 / count } };
    },
    close: () => writer.close(),
  };
}
