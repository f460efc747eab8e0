/** The packages that Cellar is measured against: installed in this folder, never in the library's. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Peer } from "./workload.ts";

export function isInstalled(peer: Peer): boolean {
  return existsSync(join(import.meta.dir, "node_modules", peer, "package.json"));
}

/** Installs the peers as the lock file has them, unless they are there. Without the registry their turns are left out. */
export function install(peers: readonly Peer[]): void {
  if (peers.every(isInstalled)) return;
  Bun.spawnSync([process.execPath, "install", "--frozen-lockfile"], {
    cwd: import.meta.dir,
    stdout: Bun.file("/dev/null"),
    stderr: "inherit",
  });
}
