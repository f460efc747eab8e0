/** What a run found out, and how it is printed. `--json` prints it as it is. */

import type { Machine } from "./machine.ts";
import { told, type Unit } from "./workload.ts";

export interface Report {
  readonly machine: Machine;
  readonly quick: boolean;
  readonly repeats: number;
  readonly rows: readonly RowReport[];
}

export interface RowReport {
  readonly name: string;
  readonly title: string;
  readonly unit: Unit;
  readonly contestants: readonly ContestantReport[];
  /** One, if all contestants stored and returned the same bytes; none, if the row has no bytes to compare. */
  readonly digests: readonly string[];
  readonly targets: readonly TargetReport[];
}

export interface ContestantReport {
  readonly name: string;
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly values: readonly number[];
  /** Medians too. */
  readonly notes: Readonly<Record<string, number>>;
  readonly digest: string | null;
  readonly failure: string | null;
}

export interface TargetReport {
  readonly says: string;
  readonly unit: string;
  readonly bound: "atLeast" | "atMost";
  readonly limit: number;
  /** Null if a contestant that it needs has not run. */
  readonly value: number | null;
  readonly met: boolean | null;
}

/** Whether every contestant ran, and every row's contestants saw the same bytes. */
export function isSound({ rows }: Report): boolean {
  return rows.every(({ contestants, digests }) => {
    return digests.length <= 1 && contestants.every(({ failure }) => failure === null);
  });
}

const NAME_WIDTH = 32;
const VALUE_WIDTH = 10;
const INDENT = "  ";

/** The whole report as a table of text. */
export function table(report: Report): string {
  const { machine, quick, repeats, rows } = report;
  const targets = rows.flatMap((row) => row.targets);
  const met = targets.filter((target) => target.met).length;
  return [
    `cellar ${machine.cellar}, Bun ${machine.bun}, ${machine.system}, ${machine.processor}, ${machine.memoryGiB} GiB, ${machine.fileSystem}, load ${figure(machine.loadBefore)}`,
    `${quick ? "quick sizes: no basis for conclusions, " : ""}median of ${repeats} (least to most); a ratio is one of medians`,
    "",
    ...rows.flatMap(rowLines),
    `${met} of ${targets.length} targets met${isSound(report) ? "" : "; NOT SOUND: see FAILED and DIFFERENT BYTES above"}`,
    "",
  ].join("\n");
}

function rowLines({ name, title, unit, contestants, digests, targets }: RowReport): string[] {
  return [
    `${name}: ${title}`,
    ...contestants.flatMap((contestant) => contestantLines(contestant, unit)),
    ...(digests.length > 1 ? [`${INDENT}DIFFERENT BYTES: ${digests.join("; ")}`] : []),
    ...targets.map(targetLine),
    "",
  ];
}

function contestantLines({ name, median, least, most, notes, failure }: ContestantReport, unit: Unit): string[] {
  if (failure !== null) return [`${INDENT}${name.padEnd(NAME_WIDTH)}FAILED: ${failure}`];
  const spread = `(${figure(least)} to ${figure(most)})`;
  const extra = Object.entries(notes).filter(([, value]) => value !== 0);
  return [
    `${INDENT}${name.padEnd(NAME_WIDTH)}${figure(median).padStart(VALUE_WIDTH)} ${unit}  ${spread}`,
    ...(extra.length === 0
      ? []
      : [`${INDENT}${INDENT}${extra.map(([note, value]) => `${note}: ${figure(value)}`).join(", ")}`]),
  ];
}

function targetLine({ says, unit, bound, limit, value, met }: TargetReport): string {
  const result = value === null ? "?" : figure(value);
  const verdict = met === null ? "not measured" : met ? "met" : "NOT MET";
  const target = `${bound === "atLeast" ? "≥" : "≤"} ${limit} ${unit}`;
  return `${INDENT}→ ${says.padEnd(NAME_WIDTH - 2)}${result.padStart(VALUE_WIDTH)} ${unit}  target ${target}: ${verdict}`;
}

/** A count as it is; else three digits that matter, and no fewer than the whole ones. */
export function figure(value: number): string {
  if (Number.isInteger(value)) return told(value);
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
