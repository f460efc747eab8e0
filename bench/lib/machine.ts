/** What the numbers were measured on. */

import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync, writeSync } from "node:fs";
import { arch, availableParallelism, cpus, loadavg, release, totalmem, type } from "node:os";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { dropFromMemory } from "./libc.ts";
import { bytesReadFromDisk } from "./proc.ts";
import { median } from "./time.ts";

export interface Machine {
  readonly cellar: string;
  /** Of the repository: a short hash, with a plus if files differ from it. */
  readonly commit: string;
  /** When the run began, ISO 8601, UTC. */
  readonly date: string;
  readonly bun: string;
  readonly system: string;
  readonly processor: string;
  readonly memoryGiB: number;
  readonly fileSystem: string;
  /** A write of a block into space that holds written zeros, and `fdatasync`: the median. */
  readonly flushUs: number;
  /** How busy the machine was before: above 0, others have taken part of the time. */
  readonly loadBefore: number;
}

export function machine(directory: string): Machine {
  return {
    cellar: manifest.version,
    commit: commitOf(join(import.meta.dir, "..", "..")),
    date: new Date().toISOString().slice(0, 16).replace("T", " "),
    bun: Bun.version,
    system: `${type()} ${release().split(".", 2).join(".")} ${arch()}`,
    processor: `${cpus()[0]?.model ?? "unknown"}, ${availableParallelism()} cores`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    fileSystem: fileSystemOf(directory),
    flushUs: flushUs(directory),
    loadBefore: loadavg()[0] ?? 0,
  };
}

function commitOf(folder: string): string {
  const git = (...args: string[]): string | null => {
    try {
      const { exitCode, stdout } = Bun.spawnSync(["git", "-C", folder, ...args], { stderr: "ignore" });
      return exitCode === 0 ? stdout.toString().trim() : null;
    } catch {
      // No git, or no repository: a release that was unpacked.
      return null;
    }
  };
  const hash = git("rev-parse", "--short", "HEAD");
  if (hash === null) return "unknown";
  return git("status", "--porcelain", "--untracked-files=no") === "" ? hash : `${hash}+`;
}

/** The kind of the mount that the directory is on: the innermost one around it. */
export function fileSystemOf(directory: string): string {
  if (process.platform !== "linux") return `type ${statfsSync(directory).type}`;
  const mounts = readFileSync("/proc/self/mounts", "utf8").trim().split("\n");
  const around = mounts
    .map((line) => line.split(" "))
    .filter(([, place = ""]) => place === "/" || directory === place || directory.startsWith(`${place}/`))
    .toSorted(([, a = ""], [, b = ""]) => a.length - b.length);
  return around.at(-1)?.[2] ?? "unknown";
}

export function isInMemory(directory: string): boolean {
  return ["tmpfs", "ramfs", "devtmpfs"].includes(fileSystemOf(directory));
}

/** Calls `use` with the path of a new file, which is removed afterwards. */
function withFile<T>(directory: string, use: (path: string) => T): T {
  const folder = mkdtempSync(join(directory, "cellar-bench-"));
  try {
    return use(join(folder, "probe"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const BLOCK_BYTES = 4096;

function flushUs(directory: string): number {
  const count = 100;
  return withFile(directory, (path) => {
    const fd = openSync(path, "w+");
    try {
      writeSync(fd, new Uint8Array(count * BLOCK_BYTES));
      fdatasyncSync(fd);
      const block = new Uint8Array(BLOCK_BYTES).fill(1);
      const tookUs = Array.from({ length: count }, (_, i) => {
        const begin = Bun.nanoseconds();
        writeSync(fd, block, 0, block.length, i * BLOCK_BYTES);
        fdatasyncSync(fd);
        return (Bun.nanoseconds() - begin) / 1e3;
      });
      return median(tookUs);
    } finally {
      closeSync(fd);
    }
  });
}

/** Whether the pages of files in the directory can be dropped from memory, so that reads come from the disk. */
export function canDropFromMemory(directory: string): boolean {
  const bytes = new Uint8Array(4 * 2 ** 20).fill(1);
  return withFile(directory, (path) => {
    const fd = openSync(path, "w+");
    try {
      writeSync(fd, bytes);
      dropFromMemory(path);
      const before = bytesReadFromDisk();
      readFileSync(path);
      return bytesReadFromDisk() - before >= bytes.length / 2;
    } finally {
      closeSync(fd);
    }
  });
}
