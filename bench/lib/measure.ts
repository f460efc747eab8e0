/** Measures a row: all contestants ready, then slice by slice in turns, and the whole of it as often as asked. */

import { ContestantProcess, DidNotRun } from "./contestant.ts";
import { isInstalled } from "./packages.ts";
import type { ContestantReport, RowReport, TargetReport } from "./report.ts";
import type { Findings, Measures, Row, Slice, Target } from "./row.ts";
import { median, quantile } from "./time.ts";

export interface Plan {
  readonly quick: boolean;
  readonly repeats: number;
  /** Where the contestants' files go, in folders of their own. */
  readonly directory: string;
  /** Ends everything. */
  readonly signal: AbortSignal;
  /** Called before each step. */
  readonly progress: (what: string) => void;
}

/** What one contestant did in one run. */
interface Run {
  readonly slices: Slice[];
  findings: Findings;
}

/** A contestant, and its runs: as many as were asked for, unless it does not run. */
interface Entry {
  readonly contestant: Row["contestants"][number];
  readonly runs: Run[];
  problem: DidNotRun | undefined;
}

/** Two runs agree if their ratios differ by at most this part. */
const AGREEMENT = 0.1;

export async function measureRow(row: Row, plan: Plan): Promise<RowReport> {
  const entries = row.contestants.map((contestant): Entry => {
    const { needs } = contestant;
    const missing = needs !== undefined && !isInstalled(needs);
    return { contestant, runs: [], problem: missing ? new DidNotRun(`${needs} is not installed`, false) : undefined };
  });
  for (let repeat = 1; repeat <= plan.repeats; repeat++) {
    await runOnce(row, entries, { ...plan, progress: (what) => plan.progress(`run ${repeat}: ${what}`) });
  }
  return reportOf(row, entries, plan.quick);
}

async function runOnce(row: Row, entries: readonly Entry[], plan: Plan): Promise<void> {
  await using processes = new AsyncDisposableStack();
  const active: { readonly entry: Entry; readonly run: Run; readonly process: ContestantProcess }[] = [];
  for (const entry of entries) {
    if (entry.problem !== undefined) continue;
    plan.progress(`preparing ${entry.contestant.name}`);
    const place = { row: row.name, contestant: entry.contestant.name, ...plan };
    const process = processes.use(new ContestantProcess(place));
    if (await attempt(entry, () => process.ready())) active.push({ entry, run: { slices: [], findings: {} }, process });
  }
  const warmUps = plan.quick || row.rounds === 1 ? 0 : 1;
  const rounds = warmUps + (plan.quick ? 1 : row.rounds);
  for (let round = 0; round < rounds; round++) {
    plan.progress(`round ${round + 1} of ${rounds}`);
    // Each pair of contestants goes in both orders, so that none gains by the other's traces.
    for (const { entry, run, process } of round % 2 === 0 ? active : active.toReversed()) {
      if (entry.problem !== undefined) continue;
      await attempt(entry, async () => {
        const slice = await process.slice();
        if (round >= warmUps) run.slices.push(slice);
      });
    }
  }
  for (const { entry, run, process } of active) {
    if (entry.problem !== undefined) continue;
    plan.progress(`checking ${entry.contestant.name}`);
    if (await attempt(entry, async () => void (run.findings = await process.finish()))) entry.runs.push(run);
  }
}

/** Whether it succeeded; else the reason is kept, and the contestant is left out from then on. */
async function attempt(entry: Entry, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof DidNotRun)) throw error;
    entry.problem = error;
    return false;
  }
}

function reportOf(row: Row, entries: readonly Entry[], quick: boolean): RowReport {
  const all = measuresOf(entries);
  const runs = Math.max(0, ...entries.map(({ runs }) => runs.length));
  const byRun = Array.from({ length: runs }, (_, run) => measuresOf(entries, run));
  const digests = entries.flatMap(({ runs }) => runs.flatMap(({ findings }) => findings.digest ?? []));
  const first = row.contestants[0]?.name ?? "";
  return {
    name: row.name,
    title: row.title(quick),
    unit: row.unit,
    refused: null,
    contestants: entries.map((entry) => contestantReport(entry, all, first)),
    digests: [...new Set(digests)],
    targets: row.targets.map((target) => targetReport(target, all, byRun)),
  };
}

function contestantReport({ contestant, runs, problem }: Entry, all: Measures, first: string): ContestantReport {
  const { name, kind, why } = contestant;
  const values = runs.flatMap(({ slices }) => slices.map(({ value }) => value));
  const ratio = name === first ? 1 : all.ratio(name, first);
  return {
    name,
    kind,
    median: median(values),
    quartiles: [quantile(values, 0.25), quantile(values, 0.75)],
    values,
    ratio: Number.isNaN(ratio) ? null : ratio,
    notes: notesOf(runs),
    digest: runs[0]?.findings.digest ?? null,
    why: why ?? null,
    absent: problem?.absent === true ? problem.message : null,
    failure: problem?.absent === false ? problem.message : null,
  };
}

/** Of each note the median, over all slices or over all runs. */
function notesOf(runs: readonly Run[]): Record<string, number> {
  const all = new Map<string, number[]>();
  for (const { slices, findings } of runs) {
    for (const notes of [...slices.map(({ notes }) => notes), findings.notes]) {
      for (const [name, value] of Object.entries(notes ?? {})) all.set(name, [...(all.get(name) ?? []), value]);
    }
  }
  return Object.fromEntries([...all].map(([name, values]) => [name, median(values)]));
}

/** What all runs measured, or one of them. */
function measuresOf(entries: readonly Entry[], run?: number): Measures {
  const runsOf = (name: string): readonly Run[] => {
    const entry = entries.find(({ contestant }) => contestant.name === name);
    if (entry === undefined) throw new Error(`a target names ${name}, which is no contestant of the row`);
    return entry.problem !== undefined ? [] : entry.runs.slice(run, run === undefined ? undefined : run + 1);
  };
  const valuesOf = (name: string): number[] => runsOf(name).flatMap(({ slices }) => slices.map(({ value }) => value));
  return {
    median: (name, note) => (note === undefined ? median(valuesOf(name)) : (notesOf(runsOf(name))[note] ?? Number.NaN)),
    ratio(a, b) {
      const [above, below] = [valuesOf(a), valuesOf(b)];
      const rounds = Math.min(above.length, below.length);
      return median(Array.from({ length: rounds }, (_, i) => (above[i] ?? Number.NaN) / (below[i] ?? Number.NaN)));
    },
  };
}

function targetReport(target: Target, all: Measures, byRun: readonly Measures[]): TargetReport {
  const { says, unit, missed, isTail = false } = target;
  const value = target.of(all);
  const [bound, limit] =
    "atLeast" in target ? (["atLeast", target.atLeast] as const) : (["atMost", target.atMost] as const);
  const met = Number.isNaN(value) ? null : bound === "atLeast" ? value >= limit : value <= limit;
  const runs = byRun.map((measures) => target.of(measures)).filter((value) => !Number.isNaN(value));
  // Only ratios are expected to agree: a time depends on the hour.
  const comparable = unit === "×" && !isTail && runs.length > 1;
  const agree = comparable ? Math.max(...runs) <= (1 + AGREEMENT) * Math.min(...runs) : null;
  return { says, unit, bound, limit, value: Number.isNaN(value) ? null : value, met, runs, agree, missed };
}
