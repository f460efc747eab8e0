/** The benchmark runs every row, checks what it measures, and reports it. No timing decides anything here. */

import { beforeAll, describe, expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { chart } from "../../bench/lib/chart.ts";
import { updateDocs } from "../../bench/lib/docs.ts";
import { isInMemory } from "../../bench/lib/machine.ts";
import { isSound, type Report, type RowReport, table } from "../../bench/lib/report.ts";
import { rows } from "../../bench/rows/index.ts";
import { useFolder } from "../support/folder.ts";

const root = join(import.meta.dir, "../..");
const at = useFolder();
/** All rows take a minute on a machine that is idle. */
const ALL_ROWS_TIMEOUT_MS = 600_000;
const IN_MEMORY = "/dev/shm";

interface Ran {
  readonly code: number;
  readonly printed: string;
  readonly out: string;
}

function start(...args: string[]): {
  readonly child: Bun.Subprocess<"ignore", "pipe", "ignore">;
  readonly out: string;
} {
  const out = at(`out-${Bun.randomUUIDv7()}`);
  mkdirSync(at("files"), { recursive: true });
  const command = [
    process.execPath,
    join(root, "bench/run.ts"),
    "--quick",
    "--dir",
    at("files"),
    "--out",
    out,
    ...args,
  ];
  return { child: Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "ignore" }), out };
}

async function run(...args: string[]): Promise<Ran> {
  const { child, out } = start(...args);
  const printed = await child.stdout.text();
  return { code: await child.exited, printed, out };
}

const missing = ["lmdb", "classic-level"].some((name) => !existsSync(join(root, "bench/node_modules", name)));
const why = missing ? " (skipped: bench/node_modules is absent; bun install in bench/ brings it)" : "";

describe.skipIf(missing)(`all rows${why}`, () => {
  let report: Report;
  let ran: Ran;

  beforeAll(async () => {
    ran = await run("--json");
    report = JSON.parse(ran.printed) as Report;
  }, ALL_ROWS_TIMEOUT_MS);

  test("are measured, in their order", () => {
    expect(report.rows.map(({ name }) => name)).toEqual(rows.map(({ name }) => name));
    expect(new Set(rows.map(({ name }) => name)).size).toBe(rows.length);
  });

  test("run without a failure, and contestants that return bytes return the same", () => {
    const failures = report.rows.flatMap((row) => {
      return row.contestants.flatMap(({ name, failure }) =>
        failure === null ? [] : `${row.name}: ${name}: ${failure}`,
      );
    });
    expect(failures).toEqual([]);
    expect(report.rows.filter(({ digests }) => digests.length > 1).map(({ name, digests }) => [name, digests])).toEqual(
      [],
    );
    expect(ran.code).toBe(0);
    for (const name of ["write-small", "read-copies", "read-views", "read-large", "cold-small", "durable", "memory"]) {
      const row = report.rows.find((row) => row.name === name);
      if (row?.refused === null) expect([name, row.digests.length]).toEqual([name, 1]);
    }
  });

  test("have a value for every contestant and target, but for what this version or this disk does not have", () => {
    for (const { name, refused, contestants, targets } of report.rows) {
      if (refused !== null) continue;
      const absent = contestants.some(({ absent }) => absent !== null);
      for (const one of contestants) if (one.absent === null) expect([name, one.name, one.median]).not.toContain(null);
      if (!absent && name !== "restored") {
        expect([name, targets.filter(({ value }) => value === null)]).toEqual([name, []]);
      }
    }
  });

  test("leave their results, and no other file", () => {
    expect(readdirSync(ran.out).sort()).toEqual(["chart.svg", "report.json", "table.txt"]);
    expect(readFileSync(join(ran.out, "table.txt"), "utf8")).toBe(table(report));
    const svg = readFileSync(join(ran.out, "chart.svg"), "utf8");
    expect(svg).toStartWith("<svg ");
    expect(svg.match(/class="group"/g)?.length).toBeGreaterThanOrEqual(3);
    expect(readdirSync(at("files"))).toEqual([]);
  });
});

test("a row prints its contestants, its targets, and why one is missed", async () => {
  const { code, printed } = await run("--only", "refresh", "--repeats", "2");
  expect(code).toBe(0);
  expect(printed).toMatch(/^cellar .* at commit \S+, \d{4}-\d\d-\d\d \d\d:\d\d UTC, Bun /);
  expect(printed).toMatch(/a flush of its disk takes [\d,.]+ µs$/m);
  expect(printed).toMatch(/^ {2}cellar, with news +[\d,.]+ ns +[\d,.]+ × +\([\d,.]+ to [\d,.]+\)$/m);
  expect(printed).toMatch(/^ {2}→ .* × {2}goal ≤ 1: (met|missed)/m);
  expect(printed).toMatch(/^[012] of 2 targets met$/m);
  expect(printed).toMatch(/^[01] of 1 ratios agree within 10 % between the runs$/m);
});

test("a row that does not exist is refused, and nothing is run", async () => {
  expect(await run("--only", "no-such-row")).toMatchObject({ code: 2, printed: "" });
});

test.skipIf(!isInMemory(IN_MEMORY))(`durable rows are refused on a file system in memory`, async () => {
  const { code, printed } = await run("--only", "flush", "--only", "cold-4k", "--dir", IN_MEMORY);
  expect(code).toBe(0);
  expect(printed.match(/not measured: \/dev\/shm is in memory/g)).toHaveLength(2);
});

test("an interrupted run keeps the rows that were done, and no files", async () => {
  const slow = Array.from({ length: 10 }, () => ["--only", "watch-cost"]).flat();
  const { child, out } = start("--only", "refresh", ...slow);
  let printed = "";
  for await (const piece of child.stdout) {
    printed += new TextDecoder().decode(piece);
    if (printed.includes("→ cellar, with news")) child.kill("SIGINT");
  }
  expect(await child.exited).toBe(130);
  expect(printed).not.toContain("targets met");
  const { rows } = JSON.parse(readFileSync(join(out, "report.json"), "utf8")) as Report;
  expect(rows[0]?.name).toBe("refresh");
  expect(rows.length).toBeLessThan(11);
  expect(readdirSync(at("files"))).toEqual([]);
});

describe("a report", () => {
  const contestant = {
    quartiles: [1, 3],
    values: [1, 2, 3],
    notes: {},
    digest: "a",
    why: null,
    absent: null,
    failure: null,
  } as const;
  const target = {
    says: "cellar ÷ peer",
    unit: "×",
    bound: "atMost",
    limit: 1.5,
    runs: [1.8, 2.2],
    agree: false,
    missed: "Because.",
  } as const;
  const sound: RowReport = {
    name: "write-small",
    title: "write & read",
    unit: "ms",
    refused: null,
    contestants: [
      { ...contestant, name: "cellar", kind: "cellar", median: 2, ratio: 1 },
      { ...contestant, name: "peer", kind: "peer", median: 1, ratio: 0.5, why: "it does less." },
    ],
    digests: ["a"],
    targets: [{ ...target, value: 2, met: false }],
  };
  const machine = {
    cellar: "0",
    commit: "abc",
    date: "2026-01-01 00:00",
    bun: "0",
    system: "",
    processor: "",
    memoryGiB: 1,
    fileSystem: "",
    flushUs: 1,
    loadBefore: 0,
  };
  const reportOf = (row: RowReport): Report => ({ machine, quick: false, repeats: 2, rows: [row] });

  test("is sound although a target is missed, and says why, and where a peer is faster", () => {
    expect(isSound(reportOf(sound))).toBe(true);
    const text = table(reportOf(sound));
    expect(text).toContain("goal ≤ 1.5: missed; the runs differ: 1.80, 2.20\n    Because.\n");
    expect(text).toContain("  peer is faster because it does less.\n");
    expect(text).toContain("0 of 1 ratios agree within 10 %");
  });

  test("names peers that are faster for one reason together", () => {
    const [, second] = sound.contestants;
    if (second === undefined) throw new Error("a peer was expected");
    const contestants = [...sound.contestants, { ...second, name: "third" }];
    expect(table(reportOf({ ...sound, contestants }))).toContain(
      "  peer and third are faster, each because it does less.\n",
    );
    expect(table(reportOf({ ...sound, unit: "MiB" }))).toContain("  peer is smaller because it does less.\n");
  });

  test("calls bytes checked only of the contestants whose bytes were compared", () => {
    expect(table(reportOf(sound))).toContain("All returned the same bytes.");
    const [first, second] = sound.contestants;
    if (first === undefined || second === undefined) throw new Error("two contestants were expected");
    const third = { ...second, name: "third", digest: null };
    const text = table(reportOf({ ...sound, contestants: [first, second, third] }));
    expect(text).toContain("All but third returned the same bytes.");
    expect(table(reportOf({ ...sound, contestants: [first, third] }))).not.toContain("returned the same bytes");
  });

  test("says that two contestants saw different bytes", () => {
    const report = reportOf({ ...sound, digests: ["a", "b"] });
    expect(isSound(report)).toBe(false);
    expect(table(report)).toContain("DIFFERENT BYTES: a; b");
  });

  test("says that a contestant failed, and judges nothing by it", () => {
    const [first] = sound.contestants;
    if (first === undefined) throw new Error("a contestant was expected");
    const failed = { ...first, name: "peer", kind: "peer", values: [], ratio: null, failure: "exit code 1" } as const;
    const report = reportOf({
      ...sound,
      contestants: [first, failed],
      targets: [{ ...target, value: null, met: null }],
    });
    expect(isSound(report)).toBe(false);
    expect(table(report)).toMatch(/^ {2}peer +FAILED: exit code 1$/m);
    expect(table(report)).toContain("not measured");
    expect(chart(report)).toContain("did not run");
  });

  test("is drawn with every contestant's time and ratio", () => {
    const svg = chart(reportOf(sound));
    expect(svg).toContain(">Write &#38; read<");
    expect(svg).toContain(">2 ms<");
    expect(svg).toContain(">1 ms, 0.50 ×<");
    expect(svg).toContain("prefers-color-scheme: dark");
  });

  test("goes into the documents, and changes only their table and their picture", () => {
    const docs = at("docs");
    cpSync(join(root, "docs"), docs, { recursive: true });
    const before = readFileSync(join(docs, "performance.md"), "utf8");
    updateDocs(reportOf(sound), docs);
    const after = readFileSync(join(docs, "performance.md"), "utf8");
    expect(after).toContain(table(reportOf(sound)).trimEnd());
    const outside = (text: string): string[] => {
      const begin = text.indexOf("```text\n", text.indexOf("## The table"));
      return [text.slice(0, begin), text.slice(text.indexOf("\n```\n", begin))];
    };
    expect(outside(after)).toEqual(outside(before));
    expect(readFileSync(join(docs, "images/benchmark.svg"), "utf8")).toBe(chart(reportOf(sound)));
  });
});
