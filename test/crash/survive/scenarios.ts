/** Every scenario with what it needs, in its short form (for `bun test`) and in its long one (for run.ts). */

import { emulated } from "../../support/emulated.ts";
import { deviceError } from "./device-error.ts";
import type { Figures } from "./figures.ts";
import { fullBtrfs } from "./full-btrfs.ts";
import { fileSizeLimit, fullExt4, fullMemory } from "./full-disk.ts";
import { memoryError } from "./memory-error.ts";
import { powerCut } from "./power-cut.ts";
import { replicationKills } from "../../replicate/kills.ts";
import { randomKill } from "./random-kill.ts";
import { readersBeside } from "./readers-beside.ts";
import type { Need } from "./requires.ts";
import { syscallError } from "./syscall-error.ts";
import { syscallKill } from "./syscall-kill.ts";
import { writerRace } from "./writer-race.ts";

export type Length = "short" | "long";

export interface Scenario {
  readonly name: string;
  readonly needs: readonly Need[];
  readonly run: (length: Length, seed: number) => Promise<Figures>;
}

/** Pages of the tmpfs: every size, or every sixteenth. */
const pages: Readonly<Record<Length, readonly number[]>> = {
  short: Array.from({ length: 16 }, (_, i) => 1 + 16 * i),
  long: Array.from({ length: 256 }, (_, i) => i + 1),
};

const DISK: readonly Need[] = ["linux", "root", "mount", "loop", "ext4"];

export const scenarios: readonly Scenario[] = [
  {
    name: "kill at random",
    needs: ["linux"],
    // Under QEMU each of them takes 5 seconds.
    run: (length, seed) => randomKill({ runs: of(length, emulated ? 6 : 20, 500), seed }),
  },
  {
    name: "kill at each call",
    needs: ["linux", "strace"],
    run: (length, seed) => syscallKill({ runs: of(length, 12, Infinity), seed }),
  },
  {
    name: "error at each call",
    needs: ["linux", "strace"],
    run: (length, seed) => syscallError({ runs: of(length, 12, Infinity), seed }),
  },
  {
    name: "error at each memory call",
    needs: ["linux"],
    run: (length, seed) => memoryError({ runs: of(length, 24, Infinity), seed }),
  },
  {
    name: "full disk: tmpfs",
    needs: ["linux", "root", "mount"],
    run: (length, seed) => fullMemory({ pages: pages[length], seed }),
  },
  {
    name: "full disk: ext4",
    needs: DISK,
    run: (length, seed) => fullExt4({ runs: of(length, 3, 30), seed }),
  },
  {
    name: "full disk: btrfs",
    needs: ["linux", "root", "mount", "loop", "btrfs"],
    run: (length, seed) => fullBtrfs({ runs: of(length, 1, 10), seed }),
  },
  {
    name: "full disk: file size limit",
    needs: ["linux", "prlimit"],
    run: (length, seed) => fileSizeLimit({ runs: of(length, 4, 100), seed }),
  },
  {
    name: "power cut: ext4",
    needs: [...DISK, "shutdown"],
    run: (length, seed) => powerCut({ fileSystem: "ext4", runs: of(length, 4, 100), seed }),
  },
  {
    name: "power cut: xfs",
    needs: [...DISK, "xfs", "shutdown"],
    run: (length, seed) => powerCut({ fileSystem: "xfs", runs: of(length, 4, 100), seed }),
  },
  {
    name: "device error",
    needs: DISK,
    run: (length, seed) => deviceError({ runs: of(length, 1, 20), seed }),
  },
  {
    name: "race of writers",
    needs: ["linux"],
    run: (length, seed) => writerRace({ runs: of(length, 10, 200), contenders: of(length, 4, 8), seed }),
  },
  {
    name: "readers beside a writer",
    needs: ["linux"],
    run: (length, seed) => readersBeside({ seconds: of(length, 4, 30), readers: 8, seed }),
  },
  {
    name: "replication killed",
    needs: ["linux"],
    run: (length, seed) => replicationKills({ kills: of(length, 12, 300), outages: of(length, 1, 5), seed }),
  },
];

function of(length: Length, short: number, long: number): number {
  return length === "short" ? short : long;
}
