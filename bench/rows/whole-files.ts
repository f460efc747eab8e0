/** Work that goes through a whole file which is not in memory: opening after a kill, and a backup. */

import { copyFileSync, fdatasyncSync, openSync, closeSync, rmSync } from "node:fs";
import { join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { blobs } from "../lib/data.ts";
import { dropFromMemory } from "../lib/libc.ts";
import { cellar, peer, type Row, row, type Start, type Task } from "../lib/row.ts";
import { timeMs } from "../lib/time.ts";
import { MIB } from "./blobs.ts";

interface Sizes {
  readonly fileMiB: number;
}

const full: Sizes = { fileMiB: 128 };
const quick: Sizes = { fileMiB: 4 };
/** Cellar must do the same work in at most 1 / 0.7 times the time of `cp`. */
const CP_PART = 0.7;
const NO_SYNC = "it reads and writes the bytes once, and leaves the write-back to the kernel.";

export const openKilled: Row = row<Sizes>({
  name: "open-killed",
  unit: "ms",
  needs: "cold",
  rounds: 6,
  full,
  quick,
  title: ({ fileMiB }) => `open a file whose writer was killed, ${fileMiB} MiB after its last flush, not in memory`,
  contestants: {
    "cellar open": cellar(openingKilled),
    cp: peer(NO_SYNC, copyingByCp("killed", "no sync")),
    "cp, fdatasync": peer("it reads and writes the bytes once, without a CRC.", copyingByCp("killed", "sync")),
  },
  targets: [
    {
      says: "cp ÷ cellar open",
      of: ({ ratio }) => ratio("cp", "cellar open"),
      unit: "×",
      atLeast: CP_PART,
      missed:
        "Opening takes a CRC of what no flush covers and writes it again past the page cache, to the disk, where cp does not sync.",
    },
  ],
});

export const copyCold: Row = row<Sizes>({
  name: "copy-cold",
  unit: "ms",
  needs: "cold",
  rounds: 6,
  full,
  quick,
  title: ({ fileMiB }) => `copy a storage of ${fileMiB} MiB that is not in memory`,
  contestants: {
    "cellar copyTo": cellar(copyingByCellar),
    cp: peer(NO_SYNC, copyingByCp("closed", "no sync")),
    "cp, fdatasync": peer(
      "it leaves the event loop no turn, and its copy may be seen half done.",
      copyingByCp("closed", "sync"),
    ),
  },
  targets: [
    {
      says: "cp ÷ cellar copyTo",
      of: ({ ratio }) => ratio("cp", "cellar copyTo"),
      unit: "×",
      atLeast: CP_PART,
      missed: "copyTo resolves when the copy is on the disk; cp returns before its bytes are.",
    },
  ],
});

async function makeKilled(folder: string, mib: number): Promise<string> {
  const path = join(folder, "killed.cellar");
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "killed-writer.ts"), path, String(mib)]);
  await child.exited;
  if (child.signalCode !== "SIGKILL") throw new Error(`the writer ended with exit code ${child.exitCode}`);
  return path;
}

function makeClosed(folder: string, mib: number): string {
  const path = join(folder, "closed.cellar");
  using writer = StorageWriter.create(path);
  const blobAt = blobs(MIB);
  for (let i = 0; i < mib; i++) writer.root = writer.write(blobAt(i));
  return path;
}

/** Each slice opens a copy of the killed file, for opening it makes it a sound one. */
async function openingKilled({ fileMiB }: Sizes, folder: string): Promise<Task> {
  const killed = await makeKilled(folder, fileMiB);
  const path = join(folder, "opened.cellar");
  return {
    async slice() {
      copyFileSync(killed, path);
      dropFromMemory(path);
      let writer: StorageWriter | undefined;
      const tookMs = await timeMs(() => void (writer = StorageWriter.open(path)));
      if (writer === undefined || writer.recovery.state !== "resumedAtCommit" || writer.byteLength < fileMiB * MIB) {
        throw new Error(`opening found another state: ${JSON.stringify(writer?.recovery)}`);
      }
      writer.close();
      rmSync(path);
      return tookMs;
    },
  };
}

function copyingByCellar({ fileMiB }: Sizes, folder: string): Task {
  const path = makeClosed(folder, fileMiB);
  const to = join(folder, "copy.cellar");
  return {
    async slice() {
      dropFromMemory(path);
      using reader = StorageReader.open(path);
      const tookMs = await timeMs(async () => void (await reader.copyTo(to)));
      rmSync(to);
      return tookMs;
    },
  };
}

function copyingByCp(state: "killed" | "closed", sync: "sync" | "no sync"): Start<Sizes> {
  return async ({ fileMiB }, folder) => {
    const path = state === "killed" ? await makeKilled(folder, fileMiB) : makeClosed(folder, fileMiB);
    const to = join(folder, "copy");
    return {
      async slice() {
        dropFromMemory(path);
        const tookMs = await timeMs(() => {
          // A clone would read and write nothing.
          const { exitCode, stderr } = Bun.spawnSync(["cp", "--reflink=never", path, to]);
          if (exitCode !== 0) throw new Error(stderr.toString());
          if (sync === "sync") syncFile(to);
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
