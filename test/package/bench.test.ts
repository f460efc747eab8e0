/** The benchmark runs and tells what it found. No timing decides anything here. */

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isSound, type Report, type RowReport, table } from "../../bench/report.ts";
import { chart } from "../../bench/svg.ts";
import { useFolder } from "../support/folder.ts";

const bench = join(import.meta.dir, "../../bench");
const at = useFolder();

/** Runs the benchmark once, with small sizes; its files go where the tests' files go. */
async function run(...args: string[]): Promise<{ readonly code: number; readonly printed: string }> {
  const command = [process.execPath, join(bench, "run.ts"), "--quick", "--dir", at("."), ...args];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "ignore" });
  const printed = await child.stdout.text();
  return { code: await child.exited, printed };
}

test("a row prints its contestants and its targets", async () => {
  const { code, printed } = await run("--only", "commit");
  expect(code).toBe(0);
  expect(printed).toMatch(/^commit: /m);
  expect(printed).toMatch(/^ {2}its parts alone +[\d,.]+ ns {2}\([\d,.]+ to [\d,.]+\)$/m);
  expect(printed).toMatch(/^ {2}→ .* × {2}target ≤ 1\.5 ×: (met|NOT MET)$/m);
  expect(printed).toMatch(/^[01] of 1 targets met$/m);
});

test("--json prints the same for machines, with every repeat", async () => {
  const { code, printed } = await run("--only", "refresh", "--repeats", "2", "--json");
  expect(code).toBe(0);
  const { rows, repeats } = JSON.parse(printed) as Report;
  expect(repeats).toBe(2);
  expect(rows.map(({ name }) => name)).toEqual(["refresh"]);
  const contestants = rows[0]?.contestants ?? [];
  expect(contestants.map(({ name }) => name)).toEqual(["nothing new", "with news", "the commit of the news"]);
  for (const { values, median, least, most } of contestants) {
    expect(values).toHaveLength(2);
    expect(least).toBeGreaterThan(0);
    expect([least, most]).toEqual([Math.min(...values), Math.max(...values)]);
    expect(median).toBe((least + most) / 2);
  }
  const [idle = 0, news = 0, commit = 1] = contestants.map(({ median }) => median);
  expect(rows[0]?.targets.map(({ value, met }) => [value, met])).toEqual([
    [idle, idle <= 100],
    [news / commit, news / commit <= 1],
  ]);
});

test("a row that there is not is refused, and nothing is run", async () => {
  expect(await run("--only", "no-such-row")).toEqual({ code: 2, printed: "" });
});

const missing = ["lmdb", "classic-level"].some((peer) => !existsSync(join(bench, "node_modules", peer)));
const why = missing ? " (skipped: bench/node_modules is absent; bun install in bench/ brings it)" : "";

test.skipIf(missing)(`all peers store and return the same bytes${why}`, async () => {
  const svg = at("chart.svg");
  const { code, printed } = await run("--only", "write-small", "--json", "--svg", svg);
  expect(code).toBe(0);
  const [row] = (JSON.parse(printed) as Report).rows;
  expect(row?.contestants.map(({ failure }) => failure)).toEqual(Array.from({ length: 6 }, () => null));
  const [digest = "none", ...others] = row?.digests ?? [];
  expect(digest).toMatch(/^10000000 bytes, /);
  expect(others).toEqual([]);
  expect(row?.contestants.map((contestant) => contestant.digest)).toEqual(Array.from({ length: 6 }, () => digest));
  const ours = medianOf(row, "cellar");
  const ratio = Math.min(...["lmdb", "bun:sqlite", "classic-level"].map((name) => medianOf(row, name))) / ours;
  expect(row?.targets[0]).toMatchObject({ value: ratio, limit: 15, met: ratio >= 15 });
  expect(await Bun.file(svg).text()).toStartWith("<svg ");
});

function medianOf(row: RowReport | undefined, name: string): number {
  return row?.contestants.find((contestant) => contestant.name === name)?.median ?? Number.NaN;
}

describe("a report", () => {
  const contestant = { median: 2, least: 1, most: 3, values: [1, 2, 3], notes: {}, digest: "a", failure: null };
  const sound: RowReport = {
    name: "write-small",
    title: "write & read",
    unit: "ms",
    contestants: [
      { ...contestant, name: "cellar" },
      { ...contestant, name: "peer", median: 20, least: 10, most: 30 },
    ],
    digests: ["a"],
    targets: [{ says: "peer ÷ cellar", unit: "×", bound: "atLeast", limit: 15, value: 10, met: false }],
  };
  const machine = { cellar: "0", bun: "0", system: "", processor: "", memoryGiB: 1, fileSystem: "", loadBefore: 0 };
  const reportOf = (row: RowReport): Report => ({ machine, quick: false, repeats: 3, rows: [row] });

  test("is sound although a target is missed", () => {
    expect(isSound(reportOf(sound))).toBe(true);
    expect(table(reportOf(sound))).toContain("NOT MET");
  });

  test("tells that two contestants saw different bytes", () => {
    const report = reportOf({ ...sound, digests: ["a", "b"] });
    expect(isSound(report)).toBe(false);
    expect(table(report)).toContain("DIFFERENT BYTES: a; b");
  });

  test("tells that a contestant failed, and judges nothing by it", () => {
    const failed = { ...contestant, name: "peer", values: [], failure: "exit code 1" };
    const targets = sound.targets.map((target) => ({ ...target, value: null, met: null }));
    const report = reportOf({ ...sound, contestants: [failed], targets });
    expect(isSound(report)).toBe(false);
    expect(table(report)).toMatch(/^ {2}peer +FAILED: exit code 1$/m);
    expect(table(report)).toContain("not measured");
    expect(chart(report)).toContain("did not run");
  });

  test("is drawn with every contestant's time and multiple", () => {
    const svg = chart(reportOf(sound));
    expect(svg).toContain(">Write &#38; read<");
    expect(svg).toContain(">2 ms<");
    expect(svg).toContain(">20 ms, 10 ×<");
    expect(svg).toContain("prefers-color-scheme: dark");
  });
});
