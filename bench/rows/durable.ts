/** Transactions that survive a power cut: one at a time, and 64 under way at once. */

import { cellarStore, durableCellarStore } from "../compare/cellar.ts";
import { writeSyncStore } from "../compare/files.ts";
import { levelStore } from "../compare/level.ts";
import { twoSyncs } from "../compare/limits.ts";
import { lmdbStore } from "../compare/lmdb.ts";
import { sqliteStore } from "../compare/sqlite.ts";
import type { Open, TransactionStore } from "../compare/store.ts";
import { blobs, Digest } from "../lib/data.ts";
import { atMostTimes, cellar, limit, peer, type Row, row, type Start, type Task } from "../lib/row.ts";
import { eachUs, timeMs } from "../lib/time.ts";

interface Sizes {
  /** Before the first slice: SQLite's log is as long as it gets then, and written over. */
  readonly warmUps: number;
  /** Of a slice. */
  readonly count: number;
  readonly sizeBytes: number;
}

const full: Sizes = { warmUps: 1_000, count: 100, sizeBytes: 100 };
const quick: Sizes = { warmUps: 20, count: 64, sizeBytes: 100 };
/** Room for all blobs of a run. */
const MAX_TRANSACTIONS = 20_000;

const ONE_SYNC =
  "it appends to a log and syncs once, where Cellar syncs the cells before the header that refers to them.";
const NOTHING_REFERS = "it syncs once, and nothing says after a power cut which of its bytes are complete.";

export const durable: Row = row<Sizes>({
  name: "durable",
  unit: "µs",
  needs: "durable",
  rounds: 50,
  full,
  quick,
  title: ({ sizeBytes }) => `a durable transaction of ${sizeBytes} bytes, one at a time`,
  contestants: {
    "cellar flushSync": cellar(oneByOne(durableCellarStore)),
    "two fdatasync": limit(syncingTwice),
    "write, fdatasync": peer(NOTHING_REFERS, oneByOne(writeSyncStore)),
    "bun:sqlite, WAL, FULL": peer(
      ONE_SYNC,
      oneByOne((purpose) => sqliteStore(purpose, "full", { large: false })),
    ),
    "lmdb, sync": peer(
      "it syncs twice too, but its header by a write that syncs at once (O_DSYNC), and takes no hash.",
      oneByOne((purpose) => lmdbStore(purpose, "each")),
      "lmdb",
    ),
    "classic-level, sync: true": peer(
      ONE_SYNC,
      oneByOne((purpose) => levelStore(purpose, { sync: true })),
      "classic-level",
    ),
  },
  targets: [
    atMostTimes(
      "cellar flushSync",
      "two fdatasync",
      1.15,
      "Besides the two syncs, a flush hashes a header and stores a commit record; and where cells come into blocks " +
        "that were never written, the file system has a change of its own to commit.",
    ),
  ],
});

export const durable64: Row = row<Sizes>({
  name: "durable-64",
  unit: "µs",
  needs: "durable",
  rounds: 30,
  full: { ...full, count: 256 },
  quick,
  title: ({ sizeBytes }) => `a durable transaction of ${sizeBytes} bytes, 64 under way at once`,
  contestants: {
    "cellar flush": cellar(together(flushing)),
    "bun:sqlite, 64 in a transaction": peer(
      "it is one transaction of 64 records: none of them can be awaited or fail by itself.",
      together(grouping),
    ),
    "lmdb put": peer("it gathers the writes of a turn into one transaction.", together(puttingLmdb), "lmdb"),
    "classic-level put, sync: true": peer(
      "its writer thread joins the records that wait, and syncs once for them.",
      together(puttingLevel),
      "classic-level",
    ),
  },
  targets: [],
});

function oneByOne(open: Open<TransactionStore>): Start<Sizes> {
  return async ({ warmUps, count, sizeBytes }, folder) => {
    const store = await open({ folder, count: MAX_TRANSACTIONS, sizeBytes });
    const blobAt = blobs(sizeBytes);
    let done = 0;
    const some = async (count: number): Promise<void> => {
      for (const end = done + count; done < end; done++) {
        const pending = store.transact(done, blobAt(done));
        if (pending !== undefined) await pending;
      }
    };
    await some(warmUps);
    return {
      slice: async () => ((await timeMs(() => some(count))) * 1e3) / count,
      finish() {
        const digest = new Digest();
        for (let i = 0; i < done; i++) digest.add(store.read(i));
        return { digest: digest.toString() };
      },
      close: () => store.close(),
    };
  };
}

function syncingTwice({ count, sizeBytes }: Sizes, folder: string): Task {
  const syncs = twoSyncs(folder, MAX_TRANSACTIONS * sizeBytes);
  const blobAt = blobs(sizeBytes);
  return { slice: () => eachUs(count, (i) => syncs.transactSync(blobAt(i))), close: () => syncs.close() };
}

const TOGETHER = 64;

interface Batch {
  /** Stores the blobs with these numbers; resolves when all are durable. */
  store(from: number, to: number, blobAt: (i: number) => Uint8Array): void | Promise<unknown>;
  close(): void | Promise<void>;
}

function together(open: (sizes: Sizes, folder: string) => Batch | Promise<Batch>): Start<Sizes> {
  return async (sizes, folder) => {
    const batch = await open(sizes, folder);
    const blobAt = blobs(sizes.sizeBytes);
    let done = 0;
    return {
      async slice() {
        const tookMs = await timeMs(async () => {
          for (const end = done + sizes.count; done < end; done += TOGETHER) {
            await batch.store(done, done + TOGETHER, blobAt);
          }
        });
        return (tookMs * 1e3) / sizes.count;
      },
      close: () => batch.close(),
    };
  };
}

function eachOf(from: number, to: number, work: (i: number) => Promise<unknown>): Promise<unknown> {
  return Promise.all(Array.from({ length: to - from }, (_, k) => work(from + k)));
}

function flushing({ sizeBytes }: Sizes, folder: string): Batch {
  const { writer } = cellarStore({ folder, count: 0, sizeBytes });
  return {
    store: (from, to, blobAt) =>
      eachOf(from, to, (i) => {
        writer.root = writer.write(blobAt(i));
        return writer.flush();
      }),
    close: () => writer.close(),
  };
}

function grouping(_: Sizes, folder: string): Batch {
  const store = sqliteStore({ folder }, "full", { large: false });
  return {
    store: (from, to, blobAt) =>
      store.inTransaction(() => {
        for (let i = from; i < to; i++) store.transact(i, blobAt(i));
      }),
    close: () => store.close(),
  };
}

async function puttingLmdb({ sizeBytes }: Sizes, folder: string): Promise<Batch> {
  const store = await lmdbStore({ folder, count: MAX_TRANSACTIONS, sizeBytes }, "each");
  return {
    store: (from, to, blobAt) => eachOf(from, to, (i) => store.transactLater(i, blobAt(i))),
    close: () => store.close(),
  };
}

async function puttingLevel(_: Sizes, folder: string): Promise<Batch> {
  const store = await levelStore({ folder }, { sync: true });
  return {
    store: (from, to, blobAt) => eachOf(from, to, (i) => store.transact(i, blobAt(i))),
    close: () => store.close(),
  };
}
