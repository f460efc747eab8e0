/**
 * (e) Power cuts of a real file system: a writer, an adversary that writes random pages back early, a shutdown of the
 * file system at a random moment, a new mount. Nothing acknowledged is lost, and every file opens.
 */

import { existsSync, rmSync } from "node:fs";
import { Disk, type FileSystem, SMALLEST_BYTES } from "./disk.ts";
import { Expected } from "./expected.ts";
import { crashFigures, type Figures } from "./figures.ts";
import { Inspector } from "./inspector.ts";
import { cutPower, syncFolder } from "./kernel.ts";
import { startVictim, type VictimProcess } from "./lives.ts";
import { Random } from "../../support/random.ts";
import { script, Spawned } from "./spawned.ts";
import { Workplace } from "./workplace.ts";

export interface PowerCutOptions {
  readonly runs: number;
  readonly seed: number;
  readonly fileSystem: FileSystem;
}

const MAX_COMMITS = 30;
const MAX_WAIT_MS = 10;
const MAX_START_MS = 120;
const cellSizes = [32, 32, 100, 4096];
const steps = [undefined, 4096, 65536] as const;

export async function powerCut({ runs, seed, fileSystem }: PowerCutOptions): Promise<Figures> {
  const random = new Random(seed);
  using workplace = new Workplace();
  await using inspector = new Inspector(workplace);
  const disk = new Disk(workplace, workplace.path("disk.img"), fileSystem, SMALLEST_BYTES[fileSystem]);
  const path = disk.mount.path("storage.cellar");
  const storages: Expected[] = [];
  const tally = { fresh: 0, neverThere: 0, refusals: 0 };
  let expected = new Expected();
  for (let cut = 0; cut < runs; cut++) {
    // Most cuts go on with the file that the last one left.
    if (cut === 0 || random.chance(0.25)) {
      rmSync(path, { force: true });
      syncFolder(disk.mount.folder);
      expected = new Expected();
      storages.push(expected);
      tally.fresh++;
    }
    await liveUntilCut(workplace, disk, path, expected, random);
    disk.remount();
    if (!existsSync(path)) {
      if (expected.exists) expected.violations.push("the file is gone");
      else tally.neverThere++;
      continue;
    }
    if (expected.exists) {
      await inspector.read(path, expected, "flushes");
      await inspector.read(path, expected, "commits");
    }
    await inspector.write(path, expected, random.seed());
    await inspector.again(path, expected);
    expected.annotate(`cut ${cut}`);
  }
  const values = {
    "power cuts": runs,
    "files made": tally.fresh,
    "cut before the file was there": tally.neverThere,
    ...crashFigures(storages, inspector.counts),
  };
  return { scenario: `power cut, ${fileSystem}`, seed, values, violations: storages.flatMap((one) => one.violations) };
}

async function liveUntilCut(
  workplace: Workplace,
  disk: Disk,
  path: string,
  expected: Expected,
  random: Random,
): Promise<void> {
  const resizeStepBytes = random.pick(steps);
  const orders = {
    path,
    bytesPerCell: random.pick(cellSizes),
    seed: random.seed(),
    firstNumber: expected.nextNumber,
    maxBlobBytes: 30_000,
    maxStorageBytes: 4 * 2 ** 20,
    ...(resizeStepBytes === undefined ? {} : { resizeStepBytes }),
  };
  const adversary = new Spawned(workplace, script("adversary.ts", { path, seed: random.seed() }), () => undefined);
  const victim = startVictim(workplace, orders, expected, true);
  await anyMoment(victim, random);
  expected.powerGoes();
  cutPower(disk.mount.folder);
  // A store may meet the shutdown as SIGBUS: the power is gone, so is the process.
  await Promise.all([victim.kill(), adversary.kill()]);
  expected.ended("powerCut");
}

/** While the victim starts, as soon as something is acknowledged, or any time after. */
async function anyMoment(victim: VictimProcess, random: Random): Promise<void> {
  const kind = random.next();
  if (kind < 0.2) await Bun.sleep(random.next() * MAX_START_MS);
  else if (kind < 0.35) await victim.until("opened");
  else if (kind < 0.65) await victim.until("flushed", random.between(1, 5));
  else {
    await victim.until("published", random.below(MAX_COMMITS));
    await Bun.sleep(random.next() * MAX_WAIT_MS);
  }
}
