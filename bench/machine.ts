/** What the numbers were measured on. */

import { readFileSync, statfsSync } from "node:fs";
import { arch, availableParallelism, cpus, release, loadavg, totalmem, type } from "node:os";
import manifest from "../package.json" with { type: "json" };

export interface Machine {
  readonly cellar: string;
  readonly bun: string;
  readonly system: string;
  readonly processor: string;
  readonly memoryGiB: number;
  readonly fileSystem: string;
  /** How busy it was before: above 0 others have taken part of the time. */
  readonly loadBefore: number;
}

export function machine(directory: string): Machine {
  return {
    cellar: manifest.version,
    bun: Bun.version,
    system: `${type()} ${release().split(".", 2).join(".")} ${arch()}`,
    processor: `${cpus()[0]?.model ?? "unknown"}, ${availableParallelism()} cores`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    fileSystem: fileSystemOf(directory),
    loadBefore: loadavg()[0] ?? 0,
  };
}

/** The kind of the mount that the directory is on: the innermost one around it. */
function fileSystemOf(directory: string): string {
  if (process.platform !== "linux") return `type ${statfsSync(directory).type}`;
  const mounts = readFileSync("/proc/self/mounts", "utf8").trim().split("\n");
  const inside = mounts
    .map((line) => line.split(" "))
    .filter(([, place = ""]) => place === "/" || directory === place || directory.startsWith(`${place}/`))
    .toSorted(([, a = ""], [, b = ""]) => a.length - b.length);
  return inside.at(-1)?.[2] ?? "unknown";
}
