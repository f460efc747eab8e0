/** What a scenario answers: figures to print, and every broken promise. */

import type { Expected } from "./expected.ts";
import type { Counts } from "./inspector.ts";

/** The first violations tell enough. */
const MOST_SHOWN = 20;
const MOST_CHARACTERS = 400;

export interface Figures {
  readonly scenario: string;
  readonly seed: number;
  readonly values: Readonly<Record<string, number | string>>;
  readonly violations: readonly string[];
}

/** What every scenario of crashes has in common. */
export function crashFigures(expected: readonly Expected[], ...counts: readonly Counts[]): Record<string, number> {
  const sum = (of: (one: Expected) => number): number => expected.reduce((total, one) => total + of(one), 0);
  const count = (of: (one: Counts) => number): number => counts.reduce((total, one) => total + of(one), 0);
  return {
    "commits acknowledged": sum(({ commits }) => commits),
    "flushes acknowledged": sum(({ flushes }) => flushes),
    truncations: sum(({ truncations }) => truncations),
    "blobs verified": count(({ blobs }) => blobs),
    "resumed at a commit": count(({ resumedAtCommit }) => resumedAtCommit),
    "resumed at a flush": count(({ resumedAtFlush }) => resumedAtFlush),
    "found clean": count(({ clean }) => clean),
  };
}

/** One line a figure, then the violations with the seed that brings them back. */
export function print(figures: Figures): string {
  const { scenario, seed, values, violations } = figures;
  const rows = Object.entries({ ...values, violations: violations.length }).map(
    ([name, value]) => `  ${name.padEnd(36)} ${value}`,
  );
  return [`${scenario} (seed ${seed})`, ...rows, ...printViolations(figures).map((line) => `  ${line}`)].join("\n");
}

export function printViolations({ seed, violations }: Figures): string[] {
  return violations.slice(0, MOST_SHOWN).map((violation) => {
    return `VIOLATION (SEED=${seed}) ${violation.slice(0, MOST_CHARACTERS)}`;
  });
}

/** The value below which `share` of the values lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
