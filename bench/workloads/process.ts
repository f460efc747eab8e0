/** What Cellar costs its process: anonymous memory, and the time to start. */

import { join } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { anonymousMiB, quantile } from "../clock.ts";
import { blobs, Digest } from "../data.ts";
import { type Contestant, type Measured, told, type Workload, workload } from "../workload.ts";

const MIB = 1024 * 1024;

interface MemorySizes {
  readonly count: number;
}

export const memory: Workload = workload<MemorySizes>({
  name: "memory",
  unit: "MiB",
  full: { count: 4096 },
  quick: { count: 128 },
  title: ({ count }) => `anonymous memory at its highest while ${told(count)} MiB are written and read back by read`,
  contestants: { cellar: { run: anonymousPeak } },
  targets: [{ says: "growth of RssAnon", of: (median) => median("cellar"), unit: "MiB", atMost: 64 }],
});

function anonymousPeak({ count }: MemorySizes, folder: string): Measured {
  using writer = StorageWriter.create(join(folder, "memory.cellar"));
  const blobAt = blobs(MIB);
  const [wrote, read] = [new Digest(), new Digest()];
  const indices = new Uint32Array(count);
  wrote.add(blobAt(0));
  const beforeMiB = anonymousMiB();
  let peakMiB = beforeMiB;
  for (let i = 0; i < count; i++) {
    const blob = blobAt(i);
    if (i > 0) wrote.add(blob);
    indices[i] = writer.write(blob);
    peakMiB = Math.max(peakMiB, anonymousMiB());
  }
  const writtenMiB = peakMiB;
  writer.commit();
  for (const index of indices) {
    read.add(writer.read(index));
    peakMiB = Math.max(peakMiB, anonymousMiB());
  }
  if (read.toString() !== wrote.toString()) throw new Error("other bytes came back");
  return { value: peakMiB - beforeMiB, digest: read.toString(), notes: { "while writing": writtenMiB - beforeMiB } };
}

interface StartSizes {
  readonly count: number;
}

export const startup: Workload = workload<StartSizes>({
  name: "startup",
  unit: "ms",
  full: { count: 20 },
  quick: { count: 5 },
  title: ({ count }) => `a whole process, the median of ${told(count)} times`,
  contestants: {
    "bun -e 0": starts("0"),
    "import and first open": starts(
      `import { StorageReader } from "cellar"; StorageReader.open("start.cellar").close();`,
    ),
  },
  targets: [
    {
      says: "import and first open - bun -e 0",
      of: (median) => median("import and first open") - median("bun -e 0"),
      unit: "ms",
      atMost: 15,
    },
  ],
});

/** Runs the program by `bun -e`, the first two times for the caches of files. */
function starts(program: string): Contestant<StartSizes> {
  return {
    run({ count }, folder) {
      StorageWriter.create(join(folder, "start.cellar")).close();
      const library = JSON.stringify(join(import.meta.dir, "..", "..", "src", "index.ts"));
      const script = program.replace('"cellar"', library);
      const tookNs: number[] = [];
      for (let i = 0; i < count + 2; i++) {
        const begin = Bun.nanoseconds();
        const { exitCode, stderr } = Bun.spawnSync([process.execPath, "-e", script], { cwd: folder });
        tookNs.push(Bun.nanoseconds() - begin);
        if (exitCode !== 0) throw new Error(stderr.toString());
      }
      return { value: quantile(tookNs.slice(2), 0.5) / 1e6 };
    },
  };
}
