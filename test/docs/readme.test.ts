/** The papers are true: their programs and commands run as they stand, and print what they say. */

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as cellar from "../../src/index.ts";
import { useFolder } from "../support/folder.ts";
import { blocksOf, follow, isAsTold, paper, papers, root, Workplace } from "../support/papers.ts";

const readme = blocksOf("README.md");
const file = useFolder();
/** The guide is followed in one go. */
const GUIDE_TIMEOUT_MS = 180_000;

const textOf = (language: string): string[] =>
  readme.filter((block) => block.language === language).map(({ text }) => text);

describe("the README", () => {
  /** What each program prints, in the order of the README. */
  const printed = ["hello, cellar\n", "Uint8Array(3) [ 1, 2, 3 ]\n"];
  // test/package/package.test.ts runs the line that installs a clone.
  const [demo = "", tests = "", install = "", ...commands] = textOf("sh");

  test("has no code that is not run here", () => {
    expect(textOf("ts")).toHaveLength(printed.length);
    expect(readme).toHaveLength(printed.length + 3 + commands.length);
    expect(install).toContain("bun pm pack");
  });

  test("has programs that run as they stand, and then commands for their files", () => {
    const place = new Workplace(file("readme"));
    for (const [i, text] of textOf("ts").entries()) {
      place.write(`example-${i}.ts`, text);
      expect(place.run(`bun example-${i}.ts`)).toEqual({ status: 0, printed: printed[i] ?? "" });
    }
    expect(place.typeErrors()).toBe("");
    expect(commands).not.toBeEmpty();
    const lines = commands.join("").trimEnd().split("\n");
    for (const line of lines) expect({ line, ...place.run(line) }).toMatchObject({ line, status: 0 });
  });

  test("has two commands that install the Bun of development, then run the demo and the tests", () => {
    const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      devDependencies: Record<string, string>;
    };
    const version = manifest.devDependencies["bun-types"] ?? "";
    const install = `npm install -g bun@${version} && bun install && `;
    expect([demo, tests]).toEqual([`${install}bun run demo\n`, `${install}bun test\n`]);
  });

  test("names all that the package shows, in its tables of the API, and nothing else", () => {
    const section = /## The API at a glance\n([\s\S]*?)\n## /.exec(paper("README.md"))?.[1] ?? "";
    const rows = section.split("\n").filter((line) => line.startsWith("|"));
    const code = rows.flatMap((row) =>
      [...(row.split("|")[1] ?? "").matchAll(/`([^`]*)`/g)].map(([, span = ""]) => span),
    );
    // What stands in parentheses or behind a sign is an argument.
    const told = code.map((span) => span.replace(/(\(| =).*/, "").replace(/^Storage(Writer|Reader)\./, ""));
    const names = publicNames();
    const missing = [...names].filter((name) => !told.includes(name));
    expect({ missing, unknown: told.filter((name) => !names.has(name)) }).toEqual({ missing: [], unknown: [] });
  });
});

/** Names of exports, static functions, methods and properties; `using` and `await using` for the symbols. */
function publicNames(): Set<string> {
  const { Storage, StorageReader, StorageWriter } = cellar;
  const members = [Storage, StorageReader, StorageWriter].flatMap((one) => [
    ...Object.getOwnPropertyNames(one).filter((name) => !["length", "name", "prototype"].includes(name)),
    ...Object.getOwnPropertyNames(one.prototype),
  ]);
  const internal = ["constructor", "setConfig"];
  using writer = StorageWriter.inMemory();
  const names = [...members, ...Object.keys(writer), ...Object.keys(cellar), "using", "await using"];
  // The classes stand before the names of their functions.
  const owners = ["StorageReader", "StorageWriter"];
  return new Set(names.filter((name) => !internal.includes(name) && !owners.includes(name)));
}

describe("the guide", () => {
  test(
    "prints what it says, when it is followed in an empty folder",
    () => {
      const place = new Workplace(file("guide"));
      const steps = follow("docs/guide.md", place);
      expect(steps.length).toBeGreaterThan(10);
      for (const step of steps) if (!isAsTold(step)) expect(step).toEqual({ ...step, printed: step.told });
      expect(place.typeErrors()).toBe("");
    },
    GUIDE_TIMEOUT_MS,
  );

  test("has a row for every code of error", () => {
    const source = readFileSync(join(root, "src/error.ts"), "utf8");
    const codes = [...source.matchAll(/^ {2}\| "([A-Z_]+)"/gm)].map(([, code]) => code);
    const rows = [...paper("docs/guide.md").matchAll(/^\| `([A-Z_]+)` /gm)].map(([, code]) => code);
    expect(codes).not.toBeEmpty();
    expect(rows).toEqual(codes);
  });
});

test("programs in the other papers run as they stand", () => {
  const others = [...papers.keys()].filter((name) => !["README.md", "docs/guide.md"].includes(name));
  const programs = others.flatMap((name) => blocksOf(name).filter(({ language }) => language === "ts"));
  expect(programs).not.toBeEmpty();
  const place = new Workplace(file("others"));
  for (const [i, { text }] of programs.entries()) {
    place.write(`program-${i}.ts`, text);
    expect(place.run(`bun program-${i}.ts`)).toEqual({ status: 0, printed: "" });
  }
  expect(place.typeErrors()).toBe("");
});
