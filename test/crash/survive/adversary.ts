/**
 * Writes random pages of a file back, page 0 more often than others, until it is ended: `bun adversary.ts ORDERS`.
 * The kernel may do the same at any time; this makes it likely between any two stores.
 */

import { fstatSync, openSync } from "node:fs";
import { writeBack } from "./kernel.ts";
import { Random } from "../../support/random.ts";

const PAGE_BYTES = 4096;

const { path, seed } = JSON.parse(process.argv[2] ?? "{}") as { path: string; seed: number };
const random = new Random(seed);
const fd = await openWhenThere();
while (writeAnyPageBack()) {
  if (random.chance(0.25)) await Bun.sleep(random.next() * 0.3);
}

/** False once the file system is gone. */
function writeAnyPageBack(): boolean {
  try {
    const pages = Math.max(1, Math.floor(fstatSync(fd).size / PAGE_BYTES));
    const page = random.chance(2 / 3) ? 0 : random.below(pages);
    writeBack(fd, page * PAGE_BYTES, PAGE_BYTES);
    return true;
  } catch (error) {
    if ((error as { code?: string }).code !== "EIO") throw error;
    return false;
  }
}

async function openWhenThere(): Promise<number> {
  for (;;) {
    try {
      return openSync(path, "r+");
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "EIO") process.exit();
      if (code !== "ENOENT") throw error;
    }
    await Bun.sleep(0.2);
  }
}
