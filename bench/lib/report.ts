/** What a run found, and how it is printed. report.json has it as it is. */

import type { Machine } from "./machine.ts";
import { grouped, type Kind, type Unit } from "./row.ts";

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
  /** Why the row was not measured here. */
  readonly refused: string | null;
  readonly contestants: readonly ContestantReport[];
  /** One, if all contestants returned the same bytes; none, if the row checks no bytes. */
  readonly digests: readonly string[];
  readonly targets: readonly TargetReport[];
}

export interface ContestantReport {
  readonly name: string;
  readonly kind: Kind;
  readonly median: number;
  readonly quartiles: readonly [number, number];
  /** Of each slice. */
  readonly values: readonly number[];
  /** The median of the ratios to the first contestant; null if one of the two did not run. */
  readonly ratio: number | null;
  /** Medians too. */
  readonly notes: Readonly<Record<string, number>>;
  readonly digest: string | null;
  /** Of a peer: why it may be faster than Cellar. */
  readonly why: string | null;
  /** What it needs that this version of Cellar does not have. */
  readonly absent: string | null;
  readonly failure: string | null;
}

export interface TargetReport {
  readonly says: string;
  readonly unit: string;
  readonly bound: "atLeast" | "atMost";
  readonly limit: number;
  /** Null if a contestant that it needs did not run. */
  readonly value: number | null;
  readonly met: boolean | null;
  /** The value of each run. */
  readonly runs: readonly number[];
  /** Whether the runs agree within 10 %; null if there is one run, or if it is no ratio. */
  readonly agree: boolean | null;
  /** Printed with a miss. */
  readonly missed: string;
}

/** A peer is called faster from this ratio on: below, the difference is noise. */
const FASTER = 0.97;
const NAME_WIDTH = 34;
const VALUE_WIDTH = 10;
const RATIO_WIDTH = 8;
const INDENT = "  ";
const LINE_WIDTH = 110;

/** Whether every contestant ran, and all contestants of a row saw the same bytes. */
export function isSound({ rows }: Report): boolean {
  return rows.every(({ contestants, digests }) => {
    return digests.length <= 1 && contestants.every(({ failure }) => failure === null);
  });
}

/** The whole report as a table of text. */
export function table(report: Report): string {
  return [head(report), ...report.rows.map(rowText), foot(report)].join("\n");
}

export function head({ machine, quick, repeats }: Omit<Report, "rows">): string {
  const { cellar, commit, date, bun, system, processor, memoryGiB, fileSystem, flushUs, loadBefore } = machine;
  return `cellar ${cellar} at commit ${commit}, ${date} UTC, Bun ${bun}
${system}, ${processor}, ${memoryGiB} GiB, load ${figure(loadBefore)}; ${fileSystem}, a flush of its disk takes ${figure(flushUs)} µs
${quick ? "quick sizes, no basis for conclusions; " : ""}${repeats} ${repeats === 1 ? "run" : "runs"}; median of the slices (quartiles), and × the first line: the median of neighbouring slices
`;
}

export function rowText({ name, title, unit, refused, contestants, digests, targets }: RowReport): string {
  const lines = [`${name}: ${title}`];
  if (refused !== null) lines.push(`${INDENT}not measured: ${refused}`);
  for (const [i, contestant] of contestants.entries()) lines.push(...contestantLines(contestant, unit, i > 0));
  if (digests.length > 1) lines.push(`${INDENT}DIFFERENT BYTES: ${digests.join("; ")}`);
  if (digests.length === 1) lines.push(...checkedLines(contestants));
  lines.push(...fasterLines(contestants, unit));
  for (const target of targets) lines.push(...targetLines(target));
  return [...lines, ""].join("\n");
}

export function foot(report: Report): string {
  const targets = report.rows.flatMap((row) => row.targets);
  const met = targets.filter((target) => target.met).length;
  const compared = targets.filter(({ agree }) => agree !== null);
  const agreeing = compared.filter(({ agree }) => agree).length;
  return [
    `${met} of ${targets.length} targets met`,
    ...(compared.length > 0 ? [`${agreeing} of ${compared.length} ratios agree within 10 % between the runs`] : []),
    ...(isSound(report) ? [] : ["NOT SOUND: see FAILED and DIFFERENT BYTES above"]),
    "",
  ].join("\n");
}

/** Which peers need less than Cellar, and why; those of one reason together. */
function fasterLines(contestants: readonly ContestantReport[], unit: Unit): string[] {
  const faster = contestants.filter(({ kind, ratio }) => kind === "peer" && ratio !== null && ratio < FASTER);
  const what = unit === "MiB" ? "smaller" : "faster";
  return [...Map.groupBy(faster, ({ why }) => why)].flatMap(([why, peers]) => {
    const names = peers.map(({ name }) => name).join(" and ");
    const are = peers.length === 1 ? `is ${what}` : `are ${what}, each`;
    return wrapped(`${names} ${are} because ${why}`, INDENT);
  });
}

/** The bytes of which contestants were compared: only what was checked is called checked. */
function checkedLines(contestants: readonly ContestantReport[]): string[] {
  const ran = contestants.filter(({ absent, failure }) => absent === null && failure === null);
  const unchecked = ran.filter(({ digest }) => digest === null).map(({ name }) => name);
  if (ran.length - unchecked.length < 2) return [];
  return [`${INDENT}All${unchecked.length > 0 ? ` but ${unchecked.join(" and ")}` : ""} returned the same bytes.`];
}

function contestantLines(contestant: ContestantReport, unit: Unit, showRatio: boolean): string[] {
  const { median, quartiles, ratio, notes, absent, failure } = contestant;
  const name = `${INDENT}${contestant.name.padEnd(NAME_WIDTH)}`;
  if (failure !== null) return [`${name}FAILED: ${failure}`];
  if (absent !== null) return [`${name}${absent}`];
  const spread = `(${quartiles.map(figure).join(" to ")})`;
  const times = showRatio && ratio !== null ? `${figure(ratio).padStart(RATIO_WIDTH)} ×` : " ".repeat(RATIO_WIDTH + 2);
  const noted = Object.entries(notes).map(([note, value]) => `${note}: ${figure(value)}`);
  return [
    `${name}${figure(median).padStart(VALUE_WIDTH)} ${unit.padEnd(3)}${times}  ${spread}`,
    ...(noted.length === 0 ? [] : [`${INDENT}${INDENT}${noted.join(", ")}`]),
  ];
}

function targetLines({ says, unit, bound, limit, value, met, runs, agree, missed }: TargetReport): string[] {
  const result = value === null ? "?" : figure(value);
  const goal = `goal ${bound === "atLeast" ? "≥" : "≤"} ${limit}`;
  const verdict = met === null ? "not measured" : met ? "met" : "missed";
  const differ = agree === false ? `; the runs differ: ${runs.map(figure).join(", ")}` : "";
  return [
    `${INDENT}→ ${says.padEnd(NAME_WIDTH - 2)}${result.padStart(VALUE_WIDTH)} ${unit}  ${goal}: ${verdict}${differ}`,
    ...(met === false ? wrapped(missed, INDENT + INDENT) : []),
  ];
}

/** A sentence in lines; those after the first are indented once more. */
function wrapped(sentence: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of sentence.split(" ")) {
    if (line.trim() !== "" && line.length + 1 + word.length > LINE_WIDTH) {
      lines.push(line);
      line = indent + INDENT;
    }
    line += line.trim() === "" ? word : ` ${word}`;
  }
  return [...lines, line];
}

/** A count as it is; of other numbers three digits that matter, and all whole ones. */
export function figure(value: number): string {
  if (Number.isInteger(value)) return grouped(value);
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 ? 2 : 3;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
