/** Showing a state to other processes, and looking for one. */

import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { hash96, keyedHash96 } from "../../src/format/hash.ts";
import { HEADER, HEADER_AREA_BYTES, HEADER_BYTES } from "../../src/format/layout.ts";
import { makeWriterKey, StorageReader, StorageWriter } from "../../src/index.ts";
import { F_TLOCK, F_ULOCK } from "../../src/os/constants.ts";
import { libc } from "../../src/os/libc.ts";
import { timeEachNs } from "../clock.ts";
import { type Measured, told, type Workload, workload } from "../workload.ts";

interface Sizes {
  readonly count: number;
}

export const commit: Workload = workload<Sizes>({
  name: "commit",
  unit: "ns",
  full: { count: 200_000 },
  quick: { count: 1_000 },
  title: ({ count }) => `a commit of a new root, ${told(count)} times`,
  contestants: {
    cellar: { run: commitRoots },
    "cellar, 100 new bytes each": { run: commitBlobs },
    "its parts alone": { run: runParts },
  },
  targets: [
    {
      says: "cellar ÷ two hashes and two lockf",
      of: (median) => median("cellar") / median("its parts alone"),
      unit: "×",
      atMost: 1.5,
    },
  ],
});

export const refresh: Workload = workload<Sizes>({
  name: "refresh",
  unit: "ns",
  full: { count: 200_000 },
  quick: { count: 1_000 },
  title: ({ count }) => `a refresh of a reader, ${told(count)} times`,
  contestants: {
    "nothing new": { run: refreshIdle },
    "with news": { run: refreshNews },
    "the commit of the news": { run: commitRoots },
  },
  targets: [
    { says: "nothing new", of: (median) => median("nothing new"), unit: "ns", atMost: 100 },
    {
      says: "with news ÷ a commit",
      of: (median) => median("with news") / median("the commit of the news"),
      unit: "×",
      atMost: 1,
    },
  ],
});

/** A storage of two cells, so that the root can move between them. */
function twoCells(folder: string): { readonly writer: StorageWriter; readonly first: number } {
  const writer = StorageWriter.create(join(folder, "commits.cellar"));
  return { writer, first: writer.allocate(2) };
}

async function commitRoots({ count }: Sizes, folder: string): Promise<Measured> {
  const { writer, first } = twoCells(folder);
  using _ = writer;
  return timedTwice(count, (count) => {
    for (let i = 0; i < count; i++) {
      writer.root = first + (i & 1);
      writer.commit();
    }
  });
}

async function commitBlobs({ count }: Sizes, folder: string): Promise<Measured> {
  const { writer } = twoCells(folder);
  using _ = writer;
  const blob = new Uint8Array(100).fill(7);
  return timedTwice(count, (count) => {
    for (let i = 0; i < count; i++) {
      writer.root = writer.write(blob);
      writer.commit();
    }
  });
}

/** What every commit cannot do without: the header's two hashes, and the original's lock taken and given back. */
async function runParts({ count }: Sizes, folder: string): Promise<Measured> {
  const fd = openSync(join(folder, "lock"), "w+");
  const { lockf } = libc();
  const key = makeWriterKey();
  const words = new Uint32Array((HEADER_BYTES - HEADER.root.offset) / Uint32Array.BYTES_PER_ELEMENT);
  const header = new Uint8Array(words.buffer);
  let sum = 0;
  const measured = await timedTwice(count, (count) => {
    for (let i = 0; i < count; i++) {
      words[0] = i;
      sum += (hash96(header)[0] ?? 0) + (keyedHash96(key, header)[0] ?? 0);
      sum += lockf(fd, F_TLOCK, HEADER_AREA_BYTES) + lockf(fd, F_ULOCK, HEADER_AREA_BYTES);
    }
  });
  closeSync(fd);
  if (sum === 0) throw new Error("no hash was taken");
  return measured;
}

async function refreshIdle({ count }: Sizes, folder: string): Promise<Measured> {
  const { writer } = twoCells(folder);
  using _ = writer;
  writer.commit();
  using reader = StorageReader.open(writer.path, { follow: "commits" });
  let news = 0;
  const measured = await timedTwice(count * 10, (count) => {
    for (let i = 0; i < count; i++) if (reader.refresh()) news++;
  });
  if (news > 0) throw new Error(`${news} refreshes saw news where there were none`);
  return measured;
}

/** Only the refreshes are timed; reading the clock twice costs some 50 ns and is taken for theirs. */
async function refreshNews({ count }: Sizes, folder: string): Promise<Measured> {
  const { writer, first } = twoCells(folder);
  using _ = writer;
  writer.commit();
  using reader = StorageReader.open(writer.path, { follow: "commits" });
  const sumOf = (count: number): number => {
    let sumNs = 0;
    for (let i = 0; i < count; i++) {
      writer.root = first + (i & 1);
      writer.commit();
      const begin = Bun.nanoseconds();
      const news = reader.refresh();
      sumNs += Bun.nanoseconds() - begin;
      if (!news) throw new Error("a refresh missed a commit");
    }
    return sumNs;
  };
  sumOf(count);
  return { value: sumOf(count) / count };
}

/** The first time compiles the code. */
async function timedTwice(count: number, loop: (count: number) => void): Promise<Measured> {
  loop(count);
  return { value: await timeEachNs(count, loop) };
}
