/** The packages that Cellar is measured against: installed in bench/, never in the library's folder. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Package } from "./row.ts";

const folder = join(import.meta.dir, "..");

export function isInstalled(name: Package): boolean {
  return existsSync(join(folder, "node_modules", name, "package.json"));
}

/** Installs the packages as the lock file has them, unless they are there. Without a network their lines are left out. */
export function install(names: readonly Package[]): void {
  if (names.every(isInstalled)) return;
  Bun.spawnSync([process.execPath, "install", "--frozen-lockfile"], {
    cwd: folder,
    stdout: Bun.file("/dev/null"),
    stderr: "inherit",
  });
}
