/** What a store costs its process and its disk: memory, blocks, and the time to start. */

import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { StorageWriter } from "../../src/index.ts";
import { cellarStore } from "../compare/cellar.ts";
import { appendStore, writeSyncStore } from "../compare/files.ts";
import { levelStore } from "../compare/level.ts";
import { lmdbStore } from "../compare/lmdb.ts";
import { sqliteStore } from "../compare/sqlite.ts";
import type { Open, TransactionStore } from "../compare/store.ts";
import { blobs, Digest } from "../lib/data.ts";
import { allocatedMiB, filesIn, residentMiB } from "../lib/proc.ts";
import { atMostTimes, cellar, grouped, limit, peer, type Row, row, type Slice, type Start } from "../lib/row.ts";
import { timeMs } from "../lib/time.ts";
import { type BlobSizes, MIB } from "./blobs.ts";

const ROUNDED_UP =
  "Cellar rounds each blob up to whole cells, and keeps the space that it reserved for growth: at most as much as was " +
  "used before, and at most 64 MiB.";

const COLLECTED = "its garbage, the arrays that were returned, was collected sooner.";

export const memory: Row = row<BlobSizes>({
  name: "memory",
  unit: "MiB",
  rounds: 1,
  full: { count: 512, sizeBytes: MIB },
  quick: { count: 16, sizeBytes: MIB },
  title: ({ count }) =>
    `by how much the process grows at most while ${grouped(count)} blobs of 1 MiB are written and read back`,
  contestants: {
    "cellar read": cellar(growing(cellarStore)),
    "fs.writeSync, fs.readSync": peer(
      COLLECTED,
      growing((purpose) => writeSyncStore(purpose, { durable: false })),
    ),
    "bun:sqlite": peer(
      COLLECTED,
      growing((purpose) => sqliteStore(purpose, "normal", { large: false })),
    ),
    lmdb: peer(
      COLLECTED,
      growing((purpose) => lmdbStore(purpose)),
      "lmdb",
    ),
    "classic-level": peer(
      COLLECTED,
      growing((purpose) => levelStore(purpose)),
      "classic-level",
    ),
  },
  targets: [
    atMostTimes(
      "cellar read",
      "fs.writeSync, fs.readSync",
      1.5,
      "What grows is garbage: arrays that were returned and that the collector has not freed yet. It counts buffers over " +
        "mapped memory as its own.",
    ),
  ],
});

export const diskSize: Row = row<BlobSizes>({
  name: "disk-size",
  unit: "MiB",
  rounds: 1,
  full: { count: 200_000, sizeBytes: 100 },
  quick: { count: 5_000, sizeBytes: 100 },
  title: ({ count, sizeBytes }) => `on the disk, for ${grouped(count)} blobs of ${sizeBytes} bytes, closed`,
  contestants: {
    "cellar, cells of 32 bytes": cellar(sized(cellarStore)),
    "the bytes alone": limit(sized(appendStore)),
    "bun:sqlite": peer(
      ROUNDED_UP,
      sized((purpose) => sqliteStore(purpose)),
    ),
    lmdb: peer(
      ROUNDED_UP,
      sized((purpose) => lmdbStore(purpose)),
      "lmdb",
    ),
    "classic-level": peer(
      ROUNDED_UP,
      sized((purpose) => levelStore(purpose)),
      "classic-level",
    ),
  },
  targets: [],
});

/** Anonymous memory; with the pages of mapped files that were touched as a note. */
function growing(open: Open<TransactionStore>): Start<BlobSizes> {
  return ({ count, sizeBytes }, folder) => {
    const blobAt = blobs(sizeBytes);
    blobAt(0);
    const digest = new Digest();
    return {
      async slice(): Promise<Slice> {
        Bun.gc(true);
        const before = residentMiB();
        let [anonymous, all] = [0, 0];
        const look = (): void => {
          const now = residentMiB();
          anonymous = Math.max(anonymous, now.anonymous - before.anonymous);
          all = Math.max(all, now.all - before.all);
        };
        const store = await open({ folder, count, sizeBytes });
        for (let i = 0; i < count; i++) {
          const pending = store.transact(i, blobAt(i));
          if (pending !== undefined) await pending;
          look();
        }
        const writing = anonymous;
        for (let i = 0; i < count; i++) {
          digest.add(store.read(i));
          look();
        }
        await store.close();
        return { value: anonymous, notes: { "while writing": writing, "with mapped files": all } };
      },
      finish: () => ({ digest: digest.toString() }),
    };
  };
}

function sized(open: Open): Start<BlobSizes> {
  return ({ count, sizeBytes }, folder) => ({
    async slice() {
      const store = await open({ folder, count, sizeBytes });
      await store.writeAll(count, blobs(sizeBytes));
      await store.settle?.();
      await store.close();
      return filesIn(folder).reduce((sum, path) => sum + allocatedMiB(path), 0);
    },
  });
}

interface StartSizes {
  /** Of a slice. */
  readonly count: number;
}

const OPEN_CELLAR = `StorageReader.open("start.cellar").close();`;

export const startUp: Row = row<StartSizes>({
  name: "start",
  unit: "ms",
  rounds: 12,
  full: { count: 4 },
  quick: { count: 1 },
  title: () => "a whole process that opens a file that is there",
  contestants: {
    "cellar, as shipped": cellar(starting(buildPackage, `import { StorageReader } from "cellar"; ${OPEN_CELLAR}`)),
    "cellar, bundled": cellar(starting(prepareBundled, `import { StorageReader } from "./bundle.js"; ${OPEN_CELLAR}`)),
    "bun -e 0": limit(starting(() => undefined, "0")),
    "bun:sqlite": peer(
      "it is a part of Bun: there is nothing to load.",
      starting(
        (folder) => sqliteStore({ folder }).close(),
        `import { Database } from "bun:sqlite"; new Database("blobs.sqlite").query("SELECT count(*) FROM blobs").get();`,
      ),
    ),
    lmdb: peer(
      "it loads a native library.",
      starting(
        async (folder) => (await lmdbStore({ folder, count: 1, sizeBytes: 1 })).close(),
        `import { open } from "lmdb"; open({ path: "lmdb" }).close();`,
      ),
      "lmdb",
    ),
    "classic-level": peer(
      "it loads a native library.",
      starting(
        async (folder) => (await levelStore({ folder })).close(),
        `import { ClassicLevel } from "classic-level"; const db = new ClassicLevel("level"); await db.open(); await db.close();`,
      ),
      "classic-level",
    ),
  },
  targets: [
    {
      says: "over bun -e 0: shipped ÷ bundled",
      of: ({ median }) =>
        (median("cellar, as shipped") - median("bun -e 0")) / (median("cellar, bundled") - median("bun -e 0")),
      unit: "×",
      atMost: 1.1,
      missed: "The package ships its modules one by one, and each takes its time to find, read and compile.",
    },
  ],
});

const root = join(import.meta.dir, "..", "..");

/** Builds what the package ships, if it is not among the sources. */
function buildPackage(): void {
  if (existsSync(join(root, manifest.exports["."].bun))) return;
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, "run", "prepack"], { cwd: root });
  if (exitCode !== 0) throw new Error(`bun run prepack: ${stderr.toString()}`);
}

async function prepareBundled(folder: string): Promise<void> {
  const { success, logs } = await Bun.build({
    entrypoints: [join(root, "src", "index.ts")],
    outdir: folder,
    naming: "bundle.js",
    target: "bun",
    minify: true,
  });
  if (!success) throw new AggregateError(logs, "the bundle was not made");
}

function starting(prepare: (folder: string) => void | Promise<void>, program: string): Start<StartSizes> {
  return async ({ count }, folder) => {
    // Bun finds packages in folders called node_modules, from the program's own upwards.
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules", "cellar"));
    for (const name of ["lmdb", "classic-level"]) {
      symlinkSync(join(root, "bench", "node_modules", name), join(folder, "node_modules", name));
    }
    StorageWriter.create(join(folder, "start.cellar")).close();
    await prepare(folder);
    const script = join(folder, "start.ts");
    await Bun.write(script, program);
    return {
      async slice() {
        const tookMs = await timeMs(() => {
          for (let i = 0; i < count; i++) {
            const { exitCode, stderr } = Bun.spawnSync([process.execPath, script], { cwd: folder });
            if (exitCode !== 0) throw new Error(stderr.toString());
          }
        });
        return tookMs / count;
      },
    };
  };
}
