/** Replication to a folder and back, beside `cp`: the first upload of a whole file, and a restore. */

import { closeSync, fdatasyncSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { replicate, restore } from "../../src/replicate/index.ts";
import { blobs } from "../lib/data.ts";
import { cellar, peer, type Row, row, type Slice, type Start, type Task } from "../lib/row.ts";
import { LoopProbe, timeMs } from "../lib/time.ts";
import { MIB } from "./blobs.ts";

interface Sizes {
  readonly fileMiB: number;
}

const full: Sizes = { fileMiB: 1024 };
const quick: Sizes = { fileMiB: 20 };
/** Every byte is hashed, at about 1 GiB a second. */
const CP_PART = 0.3;
const DURABLE_CP_PART = 0.5;
const LOOP_MS = 5;
const MEMORY_MIB = 160;
const UPLOAD_MISSED = "Every object is synced before it has its name; cp leaves the write-back to the kernel.";
const RESTORE_MISSED = "A restore resolves when the file is on the disk; cp returns before its bytes are.";
const cpContestants = {
  cp: peer("it hashes nothing, and leaves the write-back to the kernel.", copyingByCp(false)),
  "cp, fdatasync": peer("it hashes nothing, and syncs once.", copyingByCp(true)),
};

export const replicateFirst: Row = row<Sizes>({
  name: "replicate",
  unit: "ms",
  needs: "durable",
  rounds: 4,
  full,
  quick,
  title: ({ fileMiB }) => `replicate ${fileMiB} MiB to a folder for the first time`,
  contestants: { "cellar replicate": cellar(replicating), ...cpContestants },
  targets: targetsOf("cellar replicate", UPLOAD_MISSED),
});

export const restoreNewest: Row = row<Sizes>({
  name: "restore-replica",
  unit: "ms",
  needs: "durable",
  rounds: 4,
  full,
  quick,
  title: ({ fileMiB }) => `restore ${fileMiB} MiB from a folder`,
  contestants: { "cellar restore": cellar(restoring), ...cpContestants },
  targets: targetsOf("cellar restore", RESTORE_MISSED),
});

function targetsOf(name: string, missed: string): Parameters<typeof row<Sizes>>[0]["targets"] {
  return [
    { says: `cp ÷ ${name}`, of: ({ ratio }) => ratio("cp", name), unit: "×", atLeast: CP_PART, missed },
    {
      says: `cp and fdatasync ÷ ${name}, as durable`,
      of: ({ ratio }) => ratio("cp, fdatasync", name),
      unit: "×",
      atLeast: DURABLE_CP_PART,
      missed,
    },
    {
      says: `${name}: longest gap of the event loop`,
      of: ({ median }) => median(name, "longest gap ms"),
      unit: "ms",
      atMost: LOOP_MS,
      missed: "Hashing yields every 0.3 ms; with two processors the loop's thread waits for one beside the pool's two.",
      isTail: true,
    },
    {
      says: `${name}: memory above the start`,
      of: ({ median }) => median(name, "memory MiB"),
      unit: "MiB",
      atMost: MEMORY_MIB,
      missed: "Four blocks of 16 MiB are under way; the allocator keeps some of those that were given back.",
    },
  ];
}

function makeFile(folder: string, mib: number): string {
  const path = join(folder, "data.cellar");
  using writer = StorageWriter.create(path);
  const blobAt = blobs(MIB);
  for (let i = 0; i < mib; i++) writer.root = writer.write(blobAt(i));
  return path;
}

/** How long it takes, and what the rest of the process notices. */
async function watched(work: () => Promise<unknown>): Promise<Slice> {
  Bun.gc(true);
  const atFirst = process.memoryUsage.rss();
  let peak = atFirst;
  const probe = new LoopProbe();
  const timer = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 10);
  const tookMs = await timeMs(async () => void (await work()));
  clearInterval(timer);
  return { value: tookMs, notes: { "longest gap ms": probe.stop(), "memory MiB": (peak - atFirst) / MIB } };
}

function replicating({ fileMiB }: Sizes, folder: string): Task {
  const path = makeFile(folder, fileMiB);
  const target = join(folder, "replica");
  return {
    async slice() {
      const slice = await watched(async () => {
        await using replicator = replicate(path, target);
        const { length } = await replicator.replicated();
        if (length * 32 < fileMiB * MIB) throw new Error(`replicated ${length} cells only`);
      });
      rmSync(target, { recursive: true });
      return slice;
    },
  };
}

async function restoring({ fileMiB }: Sizes, folder: string): Promise<Task> {
  const path = makeFile(folder, fileMiB);
  const target = join(folder, "replica");
  {
    await using replicator = replicate(path, target);
    await replicator.replicated();
  }
  const to = join(folder, "restored.cellar");
  return {
    async slice() {
      const slice = await watched(() => restore(target, to));
      rmSync(to);
      return slice;
    },
  };
}

function copyingByCp(isSynced: boolean): Start<Sizes> {
  return ({ fileMiB }, folder) => {
    const path = makeFile(folder, fileMiB);
    const to = join(folder, "copy");
    return {
      async slice() {
        const tookMs = await timeMs(() => {
          // A clone would read and write nothing.
          const { exitCode, stderr } = Bun.spawnSync(["cp", "--reflink=never", path, to]);
          if (exitCode !== 0) throw new Error(stderr.toString());
          if (isSynced) syncFile(to);
        });
        rmSync(to);
        return tookMs;
      },
    };
  };
}

function syncFile(path: string): void {
  const fd = openSync(path, "r+");
  fdatasyncSync(fd);
  closeSync(fd);
}
