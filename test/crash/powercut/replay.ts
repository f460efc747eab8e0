/**
 * The power-cut replay: every workload is lived through once, recorded, and then crashed at every event.
 * `bun test/crash/powercut/replay.ts [long [WORKLOAD]]` prints what was done; SEED repeats a run.
 */

import { checkConfig } from "../../../src/format/config.ts";
import { ArrayRegion } from "./array-region.ts";
import { Disk } from "./disk.ts";
import { explore } from "./explore.ts";
import { History } from "./history.ts";
import { Life } from "./life.ts";
import { Random } from "./random.ts";
import { applyToMemory, RecordingRegion } from "./recording-region.ts";
import type { Count, Effort, Recorded, Run, Violation } from "./run.ts";
import { type Workload, workloads } from "./workloads.ts";

/** More than any workload's file grows to. */
export const REGION_BYTES: number = 2 * 1024 * 1024;
const FILE_BYTES = 64 * 1024;

export interface Form {
  readonly effort: Effort;
  readonly cellSizes: readonly number[];
  /** The name of the only workload. */
  readonly workload?: string | undefined;
}

/** With every `bun test`. */
export const shortForm: Form = {
  cellSizes: [32],
  effort: {
    imagesPerPoint: [40, 6],
    killWordOneIn: [1, 6],
    recoverOneIn: { newKind: 15, any: 5000 },
    stepsAgain: 2,
    maxViolations: 5,
  },
};

/** Minutes: before a release. Cells that divide a page, that do not, that are one, that are longer. */
export const longForm: Form = {
  cellSizes: [32, 36, 4096, 5000],
  effort: {
    imagesPerPoint: [300, 8],
    killWordOneIn: [1, 4],
    recoverOneIn: { newKind: 2, any: 2000 },
    stepsAgain: 3,
    maxViolations: 20,
  },
};

/** To the first violation: whether a fault is found at all. */
export const mutantForm: Form = {
  cellSizes: [32],
  effort: {
    imagesPerPoint: [60, 8],
    killWordOneIn: [1, 1],
    recoverOneIn: { newKind: 1, any: 200 },
    stepsAgain: 2,
    maxViolations: 1,
  },
};

export interface Report {
  readonly seed: number;
  readonly milliseconds: number;
  /** At the first crash, and at the second, in recovery. */
  readonly counts: readonly [Count, Count];
  readonly violations: readonly Violation[];
}

/** Crashes every workload. `region` may be one with a fault, to see whether it is found. */
export async function replay(
  { effort, cellSizes, workload: only }: Form,
  seed: number,
  region: RecordingRegion = newRegion(),
): Promise<Report> {
  const begin = performance.now();
  const run: Run = {
    effort,
    random: new Random(seed),
    bench: new ArrayRegion(REGION_BYTES),
    recorder: region,
    scratch: new Uint8Array(REGION_BYTES),
    counts: [newCount(), newCount()],
    violations: [],
  };
  const chosen = workloads.filter(({ name }) => only === undefined || name === only);
  if (chosen.length === 0) throw new Error(`no workload is called ${only}`);
  for (const bytesPerCell of cellSizes) {
    for (const workload of chosen) {
      if (run.violations.length >= effort.maxViolations) break;
      const recorded = await record(workload, bytesPerCell, run);
      if (recorded !== null) await explore(recorded, run);
    }
  }
  return { seed, milliseconds: performance.now() - begin, counts: run.counts, violations: run.violations };
}

/** A region for all the workloads. */
export function newRegion(): RecordingRegion {
  return new RecordingRegion(REGION_BYTES);
}

/** SEED of the environment, or a new one. */
export function seedOfRun(): number {
  return Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
}

export function imagesOf({ counts }: Report): number {
  return counts.reduce((all, { enumerated, sampled, kills }) => all + enumerated + sampled + kills, 0);
}

/** The report in words. */
export function reportText(report: Report): string {
  const { seed, milliseconds, counts, violations } = report;
  const names = ["first crash", "crash in recovery"];
  const lines = counts.map(({ crashPoints, kills, enumerated, sampled, opened }, i) => {
    const images = `${enumerated} images enumerated, ${sampled} sampled, ${kills} of kills; ${opened} different ones opened`;
    return `${names[i]}: ${crashPoints} crash points, ${images}`;
  });
  const seconds = milliseconds / 1000;
  const images = imagesOf(report);
  lines.push(`${images} images in ${seconds.toFixed(1)} s, ${Math.round(images / seconds)} a second, seed ${seed}`);
  lines.push(`${violations.length} violations`);
  return [...lines, ...violations.map(({ check, detail, where }) => `  ${check}: ${detail} [${where}]`)].join("\n");
}

/** Lives through the workload. Null, and a violation, if that fails already. */
async function record(workload: Workload, bytesPerCell: number, run: Run): Promise<Recorded | null> {
  const { steps, stepBytes = null, canDeallocate = true, recoverOneIn } = workload;
  const name = `${workload.name}, cells of ${bytesPerCell}`;
  const config = checkConfig({ headString: "powercut", version: 1, bytesPerCell, maxIndex: 2 ** 32 - 1 });
  const history = new History(bytesPerCell);
  const image = new Uint8Array(Math.ceil((stepBytes ?? FILE_BYTES) / bytesPerCell) * bytesPerCell);
  const region = run.recorder;
  region.load(image);
  region.canDeallocate = canDeallocate;
  try {
    await Life.create({ region, history, stepBytes, salt: 0 }, config).run(steps);
  } catch (error) {
    run.violations.push({ check: "life", detail: String(error), where: name });
    return null;
  }
  const { log } = region;
  if (!makes(log, image, region))
    run.violations.push({ check: "log", detail: "it does not make the file", where: name });
  const disk = Disk.created(image.length);
  return { name, image, disk, log, history, steps, stepBytes, canDeallocate, recoverOneIn, bounds: null };
}

/** Whether the log, from the image on, makes the region as it is: then nothing has bypassed it. */
function makes(log: Recorded["log"], image: Uint8Array, region: RecordingRegion): boolean {
  const memory = new Uint8Array(REGION_BYTES);
  memory.set(image);
  let sizeBytes = image.length;
  for (const entry of log) sizeBytes = applyToMemory(memory, sizeBytes, entry);
  return sizeBytes === region.sizeBytes && Buffer.compare(memory, region.memory) === 0;
}

function newCount(): Count {
  return { crashPoints: 0, kills: 0, enumerated: 0, sampled: 0, opened: 0 };
}

if (import.meta.main) {
  const forms: Record<string, Form> = { short: shortForm, long: longForm, mutant: mutantForm };
  const [, , form = "short", workload] = process.argv;
  const report = await replay({ ...(forms[form] ?? shortForm), workload }, seedOfRun());
  process.stdout.write(`${reportText(report)}\n`);
  process.exitCode = report.violations.length === 0 ? 0 : 1;
}
