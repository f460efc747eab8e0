/** Runs the contestants of a row, each in a process of its own, in turns, and sums up what they measured. */

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isInstalled } from "./peers.ts";
import type { ContestantReport, RowReport, TargetReport } from "./report.ts";
import type { Measured, Medians, Target, Workload } from "./workload.ts";

export interface Plan {
  readonly quick: boolean;
  readonly repeats: number;
  /** Where the contestants' files go, in folders of their own. */
  readonly directory: string;
  /** Ends the run that is under way, and all. */
  readonly signal: AbortSignal;
  /** Told before each run. */
  readonly progress: (what: string) => void;
}

interface Runs {
  readonly name: string;
  readonly done: Measured[];
  failure: string | undefined;
}

const RUN_TIMEOUT_MS = 10 * 60 * 1000;

export async function measureRow(row: Workload, plan: Plan): Promise<RowReport> {
  const all: Runs[] = row.contestants.map(({ name, peer }) => ({
    name,
    done: [],
    failure: peer === undefined || isInstalled(peer) ? undefined : `${peer} is not installed`,
  }));
  for (let repeat = 0; repeat < plan.repeats; repeat++) {
    // Each time another one begins, so that none always follows the same other.
    const turn = repeat % all.length;
    for (const runs of [...all.slice(turn), ...all.slice(0, turn)]) {
      if (runs.failure !== undefined) continue;
      plan.progress(`${row.name}: ${runs.name}, ${repeat + 1} of ${plan.repeats}`);
      const measured = await runOnce(row.name, runs.name, plan);
      if (typeof measured === "string") runs.failure = measured;
      else runs.done.push(measured);
    }
  }
  const contestants = all.map(summary);
  const digests = new Set(
    all.flatMap(({ done }) => done.map(({ digest }) => digest)).filter((one) => one !== undefined),
  );
  const medians: Medians = (name, note) => {
    const found = contestants.find((contestant) => contestant.name === name);
    return (note === undefined ? found?.median : found?.notes[note]) ?? Number.NaN;
  };
  return {
    name: row.name,
    title: row.title(plan.quick),
    unit: row.unit,
    contestants,
    digests: [...digests],
    targets: row.targets.map((target) => judged(target, medians)),
  };
}

/** What the contestant's process measured, or why it did not. */
async function runOnce(
  row: string,
  contestant: string,
  { quick, directory, signal }: Plan,
): Promise<Measured | string> {
  const folder = mkdtempSync(join(directory, "cellar-bench-"));
  try {
    const child = Bun.spawn(
      [process.execPath, join(import.meta.dir, "child.ts"), row, contestant, quick ? "quick" : "full", folder],
      { stdout: "pipe", stderr: "pipe", timeout: RUN_TIMEOUT_MS, signal },
    );
    const [answer, complaint] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    signal.throwIfAborted();
    if (child.exitCode === 0) return JSON.parse(answer) as Measured;
    const how = child.signalCode === null ? `exit code ${child.exitCode}` : `signal ${child.signalCode}`;
    return `${how}: ${complaint.trim()}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function summary({ name, done, failure }: Runs): ContestantReport {
  const values = done.map(({ value }) => value);
  const notes = Object.fromEntries(
    Object.keys(done[0]?.notes ?? {}).map((note) => [
      note,
      median(done.map(({ notes }) => notes?.[note] ?? Number.NaN)),
    ]),
  );
  return {
    name,
    median: median(values),
    least: Math.min(...values),
    most: Math.max(...values),
    values,
    notes,
    digest: done[0]?.digest ?? null,
    failure: failure ?? null,
  };
}

function judged(target: Target, medians: Medians): TargetReport {
  const { says, unit } = target;
  const value = target.of(medians);
  const [bound, limit] =
    "atLeast" in target ? (["atLeast", target.atLeast] as const) : (["atMost", target.atMost] as const);
  const met = Number.isNaN(value) ? null : bound === "atLeast" ? value >= limit : value <= limit;
  return { says, unit, bound, limit, value: Number.isNaN(value) ? null : value, met };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2;
}
