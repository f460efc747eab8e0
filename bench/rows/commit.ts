/** Showing a state to other processes, safe against a kill; and looking for one. */

import { join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { cellarStore } from "../compare/cellar.ts";
import { levelStore } from "../compare/level.ts";
import { lmdbStore } from "../compare/lmdb.ts";
import { sqliteStore } from "../compare/sqlite.ts";
import type { Open, TransactionStore } from "../compare/store.ts";
import { blobs, Digest } from "../lib/data.ts";
import { atMostTimes, cellar, peer, type Row, row, type Start } from "../lib/row.ts";
import { timeEachNs } from "../lib/time.ts";

interface Sizes {
  /** Of a slice. */
  readonly count: number;
  readonly sizeBytes: number;
}

/** Blobs that are read back. */
const CHECKED = 5;
/** Room for all blobs of a run. */
const MAX_COMMITS = 400_000;

const APPENDS =
  "it appends a record to its log by one write; Cellar stores a record and two header copies, each with a hash.";

export const commit: Row = row<Sizes>({
  name: "commit",
  unit: "ns",
  rounds: 30,
  full: { count: 2_000, sizeBytes: 100 },
  quick: { count: 100, sizeBytes: 100 },
  title: ({ sizeBytes }) => `a transaction of ${sizeBytes} bytes that other processes see and a kill cannot take`,
  contestants: {
    "cellar commit": cellar(committing(cellarStore)),
    "bun:sqlite, WAL, NORMAL": peer(
      APPENDS,
      committing((purpose) => sqliteStore(purpose, "normal", { large: false })),
    ),
    "lmdb, noSync": peer(
      "it writes its pages and a header without a hash: after a power cut, nothing tells a whole file from a torn one.",
      committing((purpose) => lmdbStore(purpose, "none")),
      "lmdb",
    ),
    "lmdb, overlappingSync": peer(
      "it writes its pages and a header without a hash, and syncs in the background.",
      fewerCommits(async (purpose) => {
        const store = await lmdbStore(purpose, "overlapping");
        return {
          ...store,
          transact: async (i: number, blob: Uint8Array) => void (await store.transactLater(i, blob)),
          // The syncs in the background must not reach into the slices of others.
          between: () => store.synced(),
        };
      }),
      "lmdb",
    ),
    "classic-level": peer(
      APPENDS,
      committing((purpose) => levelStore(purpose)),
      "classic-level",
    ),
  },
  targets: [
    atMostTimes(
      "cellar commit",
      "bun:sqlite, WAL, NORMAL",
      0.8,
      "A commit is two BLAKE2b hashes in JavaScript, a lock and an unlock, a look at the file and three writes.",
    ),
    atMostTimes(
      "cellar commit",
      "lmdb, noSync",
      1.2,
      "A commit is two BLAKE2b hashes in JavaScript, a lock and an unlock, a look at the file and three writes; lmdb takes no hash.",
    ),
  ],
});

export const refresh: Row = row<Sizes>({
  name: "refresh",
  unit: "ns",
  rounds: 20,
  full: { count: 5_000, sizeBytes: 100 },
  quick: { count: 200, sizeBytes: 100 },
  title: () => "a look of a reader for a newer state",
  contestants: {
    "cellar, nothing new": cellar(lookingInVain),
    "cellar, with news": cellar(lookingAtNews),
    "cellar, the commit of the news": cellar(committing(cellarStore)),
    "bun:sqlite, nothing new": peer("it looks at a counter in memory that is shared.", async (sizes, folder) => {
      const store = sqliteStore({ folder });
      const reader = sqliteStore({ folder });
      store.transact(0, new Uint8Array(sizes.sizeBytes));
      return { slice: () => timeEachNs(sizes.count, () => repeat(sizes.count, () => reader.version())) };
    }),
  },
  targets: [
    {
      says: "cellar, nothing new",
      of: ({ median }) => median("cellar, nothing new"),
      unit: "ns",
      atMost: 100,
      missed: "A look compares 40 bytes of the mapped header with those of the last one, two of them after a fence.",
    },
    atMostTimes(
      "cellar, with news",
      "cellar, the commit of the news",
      1,
      "A look at news checks a hash, as a commit makes one.",
    ),
  ],
});

interface CommitStore extends TransactionStore {
  /** After each slice, not timed. */
  between?(): Promise<unknown>;
}

/** Each takes so long that a slice has a part of them. */
const FEWER = 20;

function fewerCommits(open: Open<CommitStore>): Start<Sizes> {
  return (sizes, folder) => committing(open)({ ...sizes, count: sizes.count / FEWER }, folder);
}

function committing(open: Open<CommitStore>): Start<Sizes> {
  return async ({ count, sizeBytes }, folder) => {
    const store = await open({ folder, count: MAX_COMMITS, sizeBytes });
    const blobAt = blobs(sizeBytes);
    let done = 0;
    const some = (): void | Promise<void> => {
      const end = done + count;
      const pending = store.transact(done, blobAt(done++));
      if (pending !== undefined) return rest(pending, end);
      while (done < end) void store.transact(done, blobAt(done++));
    };
    const rest = async (pending: Promise<void>, end: number): Promise<void> => {
      await pending;
      while (done < end) await store.transact(done, blobAt(done++));
    };
    return {
      async slice() {
        const tookNs = await timeEachNs(count, some);
        await store.between?.();
        return tookNs;
      },
      finish() {
        const digest = new Digest();
        // As many as every contestant has stored.
        for (let i = 0; i < CHECKED; i++) digest.add(store.read(i));
        return { digest: digest.toString() };
      },
      close: () => store.close(),
    };
  };
}

function repeat(count: number, work: () => unknown): void {
  for (let i = 0; i < count; i++) work();
}

function followed(folder: string): { readonly writer: StorageWriter; readonly reader: StorageReader } {
  const writer = StorageWriter.create(join(folder, "followed.cellar"));
  writer.root = writer.allocate(2);
  writer.commit();
  return { writer, reader: StorageReader.open(writer.path, { follow: "commits" }) };
}

function lookingInVain({ count }: Sizes, folder: string): ReturnType<Start<Sizes>> {
  const { reader } = followed(folder);
  let news = 0;
  const many = count * 10;
  return {
    slice: () => timeEachNs(many, () => repeat(many, () => void (reader.refresh() && news++))),
    finish() {
      if (news > 0) throw new Error(`${news} looks saw news where there were none`);
      return {};
    },
  };
}

/** Only the looks are timed. Reading the clock twice costs some 50 ns, which are counted as theirs. */
function lookingAtNews({ count }: Sizes, folder: string): ReturnType<Start<Sizes>> {
  const { writer, reader } = followed(folder);
  const first = writer.root ?? 0;
  return {
    slice() {
      let sumNs = 0;
      for (let i = 0; i < count; i++) {
        writer.root = first + ((i + 1) & 1);
        writer.commit();
        const begin = Bun.nanoseconds();
        const isNew = reader.refresh();
        sumNs += Bun.nanoseconds() - begin;
        if (!isNew) throw new Error("a look missed a commit");
      }
      return sumNs / count;
    },
  };
}
