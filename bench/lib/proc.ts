/** What Linux reports of a process and of a disk, in /proc and /sys. */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const MIB = 2 ** 20;

export interface ResidentMiB {
  /** Memory of the process alone. */
  readonly anonymous: number;
  /** That, and the pages of files that it has mapped and touched. */
  readonly all: number;
}

export function residentMiB(): ResidentMiB {
  const status = readFileSync("/proc/self/status", "utf8");
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]);
  return { anonymous: kib("RssAnon") / 1024, all: (kib("RssAnon") + kib("RssFile") + kib("RssShmem")) / 1024 };
}

/** The pages of each mapping of a file that this process has touched. */
export function residentPages(path: string): number[] {
  const pages: number[] = [];
  let ours = false;
  for (const line of readFileSync("/proc/self/smaps", "utf8").split("\n")) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) ours = line.endsWith(path);
    else if (ours && line.startsWith("Rss:")) pages.push(Number.parseInt(line.slice("Rss:".length), 10) / 4);
  }
  return pages;
}

/** Bytes that this process has made the disk read, page faults included. */
export function bytesReadFromDisk(): number {
  return Number(/^read_bytes: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1]);
}

/** Bytes that have been written to the device of a file, by everything on the machine; NaN if it is no block device. */
export function bytesWrittenToDevice(path: string): number {
  const { dev } = statSync(path);
  const major = ((dev >> 8) & 0xfff) | (Math.floor(dev / 2 ** 32) & ~0xfff);
  const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
  try {
    const sectors = readFileSync(`/sys/dev/block/${major}:${minor}/stat`, "utf8").trim().split(/\s+/)[6];
    return Number(sectors) * 512;
  } catch {
    return Number.NaN;
  }
}

/** How often the main thread has slept. */
export function sleeps(): number {
  const status = readFileSync(`/proc/self/task/${process.pid}/status`, "utf8");
  return Number(/^voluntary_ctxt_switches:\s+(\d+)$/m.exec(status)?.[1]);
}

/** The MiB that a file's blocks take. */
export function allocatedMiB(path: string): number {
  return (statSync(path).blocks * 512) / MIB;
}

/** The paths of all files in a folder and in those below. */
export function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}
