/** How a life of a Cellar writer may end: by close, by a kill at any store, or by a power cut; and the file it leaves. */

import { checkConfig } from "../../../src/format/config.ts";
import { Disk } from "../powercut/disk.ts";
import { History } from "../powercut/history.ts";
import { compose, Images } from "../powercut/images.ts";
import { type BoundsOfCrash, boundsAfter } from "../powercut/judge.ts";
import { Life, type Step } from "../powercut/life.ts";
import type { Random } from "../powercut/random.ts";
import { applyToMemory, RecordingRegion } from "../powercut/recording-region.ts";

export const BYTES_PER_CELL = 32;
const FILE_BYTES = 16 * 1024;

export interface Ending {
  readonly how: "close" | "kill" | "power cut";
  /** The file; of each ending another one. */
  readonly image: Uint8Array;
  /** The states that had been begun by then. */
  readonly history: History;
  /** The order of the last flush that had returned. */
  readonly flushed: number;
}

const write =
  (sizeBytes: number): Step =>
  (life) =>
    life.write(sizeBytes);
const root =
  (blob: number | null): Step =>
  (life) =>
    life.root(blob);
const commit: Step = (life) => life.commit();
const flush: Step = (life) => life.flush();
const close: Step = (life) => life.close();
const reopen: Step = (life) => life.reopen();
const truncate: Step = (life) => life.truncate();

/** Few cells, so that what follows can come to the same lengths and roots. */
const lives: Readonly<Record<string, readonly Step[]>> = {
  "two commits": [write(40), flush, write(60), commit, write(90), commit],
  "roots alone": [write(40), write(60), flush, root(0), commit, root(null), commit, write(9), commit],
  "a flush between": [write(40), flush, write(60), commit, write(90), flush, write(9), commit],
  "closed and opened again": [write(40), close, reopen, write(60), commit, write(90), commit],
  truncated: [write(40), flush, write(60), commit, truncate, write(60), commit, write(90), commit],
};

/** Every ending of every life, those by a power cut up to a number for each moment. */
export async function* endings(cutsPerMoment: number, random: Random): AsyncGenerator<Ending> {
  for (const steps of Object.values(lives)) yield* endingsOf(steps, cutsPerMoment, random);
}

async function* endingsOf(steps: readonly Step[], cutsPerMoment: number, random: Random): AsyncGenerator<Ending> {
  const region = new RecordingRegion(2 * FILE_BYTES);
  region.load(new Uint8Array(FILE_BYTES));
  const history = new History(BYTES_PER_CELL);
  const config = checkConfig({ headString: "mixes", version: 1, bytesPerCell: BYTES_PER_CELL, maxIndex: 2 ** 32 - 1 });
  await Life.create({ region, history, stepBytes: null, salt: 0 }, config).run([...steps, close]);

  const seen = new Set<number | bigint>();
  const memory = new Uint8Array(2 * FILE_BYTES);
  const scratch = new Uint8Array(2 * FILE_BYTES);
  const disk = Disk.created(FILE_BYTES);
  let sizeBytes = FILE_BYTES;
  let bounds: BoundsOfCrash | null = null;
  for (const [at, entry] of region.log.entries()) {
    const before = disk.instant;
    sizeBytes = applyToMemory(memory, sizeBytes, entry);
    disk.apply(entry);
    bounds = boundsAfter(bounds, entry, history);
    if (bounds === null || entry.kind === "begins" || entry.kind === "syncStarts") continue;
    const { begun, flushed } = bounds.kill;
    const ending = (how: Ending["how"], image: Uint8Array): Ending[] => {
      const hash = Bun.hash(image);
      if (seen.has(hash)) return [];
      seen.add(hash);
      return [{ how, image: image.slice(), history: history.after(begun), flushed }];
    };
    const isLast = at === region.log.length - 1;
    yield* ending(isLast ? "close" : "kill", memory.subarray(0, sizeBytes));
    if (entry.kind === "returns") continue;
    const since = entry.kind === "store" ? before : undefined;
    for (const image of new Images(disk, since).within(cutsPerMoment, random)) {
      yield* ending("power cut", compose(disk, image, scratch));
    }
  }
}
