/** (a) A writer is killed at random moments, also while it opens what the last one left; readers stay alive throughout. */

import { Expected } from "./expected.ts";
import { crashFigures, type Figures } from "./figures.ts";
import { Inspector } from "./inspector.ts";
import { Readers, startVictim } from "./lives.ts";
import { Random } from "../../support/random.ts";
import { Workplace } from "./workplace.ts";

export interface RandomKillOptions {
  readonly runs: number;
  readonly seed: number;
}

const LEAST_LIVES = 10;
const MAX_COMMITS = 25;
const MAX_WAIT_MS = 10;
const MAX_START_MS = 80;
const cellSizes = [32, 32, 7, 100, 4096];
const steps = [undefined, 4096, 65536, 100_000];

export async function randomKill({ runs, seed }: RandomKillOptions): Promise<Figures> {
  const random = new Random(seed);
  using workplace = new Workplace();
  await using inspector = new Inspector(workplace);
  const readers = new Readers(workplace);
  const storages: Expected[] = [];
  let killedEarly = 0;
  // A storage of its own for each cell size; every one goes through many lives.
  const sizes = random.sample(cellSizes, Math.ceil(runs / LEAST_LIVES));
  for (const [i, bytesPerCell] of sizes.entries()) {
    const expected = new Expected();
    storages.push(expected);
    const path = workplace.path();
    const lives = Math.ceil((runs - i) / sizes.length);
    for (let life = 0; life < lives; life++) {
      const resizeStepBytes = random.pick(steps);
      const victim = startVictim(
        workplace,
        {
          path,
          bytesPerCell,
          seed: random.seed(),
          firstNumber: expected.nextNumber,
          maxBlobBytes: 200_000,
          maxStorageBytes: 4 * 1024 * 1024,
          ...(resizeStepBytes === undefined ? {} : { resizeStepBytes }),
        },
        expected,
      );
      // One in five is killed while it starts, the others a moment after so many commits.
      const isEarly = random.chance(0.2);
      if (!isEarly) await victim.until("published", random.below(MAX_COMMITS));
      if (expected.exists && readers.running.length === 0) {
        await Promise.all((["flushes", "commits"] as const).map((follow) => readers.start({ path, follow })));
      }
      await Bun.sleep(random.next() * (isEarly ? MAX_START_MS : MAX_WAIT_MS));
      if (!(await wasKilled(victim.kill(), expected))) continue;
      expected.ended("kill");
      if (!expected.exists) killedEarly++;
      else if (random.chance(0.5)) await inspector.read(path, expected, random.pick(["flushes", "commits"]));
      else await inspector.write(path, expected, random.seed());
    }
    if (expected.exists) await inspector.write(path, expected, random.seed());
    await readers.finish(expected);
  }
  const violations = [...storages.flatMap((one) => one.violations), ...readers.violations];
  const { refreshes, blobs, stale, states } = readers.totals;
  const values = {
    kills: runs,
    "of them before the file was there": killedEarly,
    ...crashFigures(storages, inspector.counts),
    "refreshes of readers": refreshes,
    "states that readers saw": states,
    "blobs that readers verified": blobs,
    "reads that a truncation made stale": stale,
  };
  return { scenario: "writer killed at random", seed, values, violations };
}

/** A victim that ends before it is killed has failed. */
async function wasKilled(
  end: Promise<{ readonly code: number | null; readonly signal: string | null }>,
  expected: Expected,
): Promise<boolean> {
  const { code, signal } = await end;
  if (signal === "SIGKILL") return true;
  expected.violations.push(`the writer ended by itself: ${signal ?? code}`);
  return false;
}
