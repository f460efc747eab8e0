/** What size costs: opening a large file, and writing and reading far out in one. The large ones are forged. */

import { join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { quantile, residentPages, timeEachNs } from "../clock.ts";
import { blobs, Digest, shuffled } from "../data.ts";
import { forge } from "../forge.ts";
import { type Contestant, type Measured, type Medians, told, type Workload, workload } from "../workload.ts";
import type { BlobSizes } from "./common.ts";

const MB = 1e6;
const GB = 1e9;
const GIB = 2 ** 30;

interface OpenSizes {
  readonly count: number;
}

type Open = (path: string) => Disposable;

const openReader: Open = (path) => StorageReader.open(path);
const openWriter: Open = (path) => StorageWriter.open(path);
const ratio = (median: Medians, what: string): number => median(`${what}, 100 GB`) / median(`${what}, 1 MB`);

export const opening: Workload = workload<OpenSizes>({
  name: "open",
  unit: "µs",
  full: { count: 100 },
  quick: { count: 20 },
  title: ({ count }) => `opening a file, the median of ${told(count)} times`,
  contestants: {
    "reader, 1 MB": opens(openReader, 1 * MB),
    "reader, 100 GB": opens(openReader, 100 * GB),
    "writer, 1 MB": opens(openWriter, 1 * MB),
    "writer, 100 GB": opens(openWriter, 100 * GB),
  },
  targets: [
    { says: "reader, 100 GB ÷ 1 MB", of: (median) => ratio(median, "reader"), unit: "×", atMost: 1.5 },
    { says: "writer, 100 GB ÷ 1 MB", of: (median) => ratio(median, "writer"), unit: "×", atMost: 1.5 },
    {
      says: "pages touched beyond the first",
      of: (median) => Math.max(median("reader, 100 GB", "pages of data"), median("writer, 100 GB", "pages of data")),
      unit: "pages",
      atMost: 0,
    },
  ],
});

function opens(open: Open, sizeBytes: number): Contestant<OpenSizes> {
  return {
    run({ count }, folder) {
      const path = join(folder, "forged.cellar");
      forge(path, sizeBytes);
      const tookNs: number[] = [];
      let pages = 0;
      for (let i = 0; i < count + 2; i++) {
        const begin = Bun.nanoseconds();
        using _ = open(path);
        tookNs.push(Bun.nanoseconds() - begin);
        // Every mapping has its first page, with the headers, and should have no other.
        pages = Math.max(pages, ...residentPages(path).map((resident) => resident - 1));
      }
      return { value: quantile(tookNs.slice(2), 0.5) / 1e3, notes: { "pages of data": pages } };
    },
  };
}

const places = [
  ["1 MB", 1 * MB],
  ["4 GiB", 4 * GIB],
  ["64 GiB", 64 * GIB],
] as const;

export const farOut: Workload = workload<BlobSizes>({
  name: "far-out",
  unit: "ns",
  full: { count: 1_000_000, sizeBytes: 100 },
  quick: { count: 100_000, sizeBytes: 100 },
  title: ({ count, sizeBytes }) =>
    `a write and a random read of ${sizeBytes} bytes behind so many others, ${told(count)} times`,
  contestants: Object.fromEntries(
    places.flatMap(([name, beforeBytes]) => [
      [`write past ${name}`, { run: (sizes: BlobSizes, folder: string) => far("write", beforeBytes, sizes, folder) }],
      [`read past ${name}`, { run: (sizes: BlobSizes, folder: string) => far("read", beforeBytes, sizes, folder) }],
    ]),
  ),
  targets: ["write", "read"].flatMap((what) =>
    ["4 GiB", "64 GiB"].map((place) => ({
      says: `${what} past ${place} ÷ at 1 MB`,
      of: (median: Medians) => median(`${what} past ${place}`) / median(`${what} past 1 MB`),
      unit: "×" as const,
      atMost: 1.3,
    })),
  ),
});

async function far(timed: "write" | "read", beforeBytes: number, sizes: BlobSizes, folder: string): Promise<Measured> {
  const { count, sizeBytes } = sizes;
  const path = join(folder, "forged.cellar");
  forge(path, beforeBytes);
  using writer = StorageWriter.open(path);
  const blobAt = blobs(sizeBytes);
  // Numbers of any size: they pass 2^31, from where on they are no small integers to the engine.
  const indices: number[] = [];
  const writeAll = (count: number): void => {
    for (let i = 0; i < count; i++) indices.push(writer.write(blobAt(i)));
  };
  writeAll(count / 20);
  indices.length = 0;
  const writeNs = await timeEachNs(count, writeAll);
  const order = shuffled(count);
  const readAll = (): void => {
    for (let k = 0; k < count; k++) writer.read(indices[order[k] ?? 0] ?? 0);
  };
  const readNs = timed === "read" ? await timeEachNs(count, readAll) : 0;
  const digest = new Digest();
  for (const index of indices) digest.add(writer.read(index));
  return { value: timed === "write" ? writeNs : readNs, digest: digest.toString() };
}
