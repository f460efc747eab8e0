/** The command: what it prints, in words and in JSON, and how it ends. Its other tests are `cli-*.test.ts`. */

import { describe, expect, test } from "bun:test";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { check, StorageReader, StorageWriter } from "../../src/index.ts";
import { CLI, cellar, cellarJson, errorCodeOf } from "../support/cli.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ inMemory: true });
const names = ["info", "check", "cat", "put", "cells", "chain", "tail", "copy", "recover", "create"] as const;
/** Their other tests are in `replica.test.ts`. */
const ofReplicas = ["replicate", "restore", "follow", "replica"] as const;
const root = join(import.meta.dir, "../..");
const HELP_WIDTH = 79;
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
/** Three chunks, with every byte in them. */
const large = new Uint8Array(150_000).map((_, i) => (i * 7 + (i >> 8)) % 256);

/** A storage of two blobs, the second one its root. */
function made(): { readonly path: string; readonly small: number; readonly big: number } {
  const path = file();
  using writer = StorageWriter.create(path, { headString: "TEST" });
  const small = writer.write(encode("small"));
  const big = (writer.root = writer.write(large));
  return { path, small, big };
}

/** Arguments that a command takes, of a storage at `path`. */
function argumentsOf(name: string, path: string): string[] {
  const more: Readonly<Record<string, string[]>> = {
    put: [CLI],
    cells: ["8"],
    tail: ["--count", "1"],
    copy: [file()],
  };
  return [name, path, ...(more[name] ?? [])];
}

describe("help", () => {
  test.each([...names, ...ofReplicas])("of %s: usage, options, an example, in 79 columns", async (name) => {
    const { status, stdout, stderr } = await cellar([name, "--help"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toStartWith(`Usage: cellar ${name} `);
    expect(stdout).toContain("--json");
    expect(stdout).toMatch(new RegExp(`\nExamples?:\n.*cellar ${name} `));
    expect(stdout.split("\n").filter((line) => Bun.stringWidth(line) > HELP_WIDTH)).toEqual([]);
    expect((await cellar(["help", name])).stdout).toBe(stdout);
  });

  test("of all: every command, in 79 columns", async () => {
    const { status, stdout } = await cellar(["--help"]);
    expect(status).toBe(0);
    expect([...stdout.matchAll(/^ {2}(\w+) {2,}\S/gm)].map(([, name]) => name)).toEqual([...names, ...ofReplicas]);
    expect(stdout.split("\n").filter((line) => line.length > HELP_WIDTH)).toEqual([]);
    const nothing = await cellar([]);
    expect(nothing).toMatchObject({ status: 2, stdout: "", stderr: stdout });
  });

  test("it can be run, and its bundle is what the package names", async () => {
    const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { bin: object; version: string };
    expect(manifest.bin).toEqual({ cellar: "./dist/cli/main.js" });
    expect(readFileSync(CLI, "utf8")).toStartWith("#!/usr/bin/env bun\n");
    accessSync(CLI, constants.X_OK);
    expect((await cellar(["--version"])).stdout).toBe(`${manifest.version}\n`);
  });
});

test.each([
  [["nonsense"]],
  [["cat"]],
  [["info", "a", "b"]],
  [["info", "a", "--nonsense"]],
  [["info", ""]],
  [["cells", "a", "8", "many"]],
  [["tail", "a", "--count", "0"]],
  [["create", "a", "--bytes-per-cell", "1e3"]],
  [["create", "a", "--bytes-per-cell", "-5"]],
  [["create", "a", "--capacity-cells", "0"]],
  [["put", "a", "b", "--lock-timeout-ms"]],
  [["help", "nonsense"]],
])("a wrong command line: %p ends with 2, and one line", async (args) => {
  const paths = args.map((word) => (word === "a" ? made().path : word));
  const { status, stdout, stderr } = await cellar(paths);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toMatch(/^cellar: [^\n]+\n$/);
  expect(await errorCodeOf(...paths)).toBe("USAGE");
});

describe("every command that needs a storage", () => {
  const needing = names.filter((name) => name !== "create");

  test.each(needing)("%s says in one line that a file is missing", async (name) => {
    const args = argumentsOf(name, file());
    const { status, stdout, stderr } = await cellar(args);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^cellar: [^\n]+\n$/);
    expect(stderr).toContain(args[1] ?? "");
    expect(await errorCodeOf(...args)).toBe("NO_SUCH_FILE");
    expect(existsSync(args[1] ?? "")).toBe(false);
  });

  test.each(needing)("%s says that a file is no storage, and leaves it", async (name) => {
    const path = file("foreign");
    const bytes = new Uint8Array(4096).fill(0x41);
    writeFileSync(path, bytes);
    const { status, stderr } = await cellar(argumentsOf(name, path));
    expect(status).toBe(1);
    // The checker's findings are its output.
    if (name !== "check") expect(stderr).toMatch(/^cellar: [^\n]+\n$/);
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });

  test.each(needing)("%s prints JSON with the fields that are documented", async (name) => {
    const { path } = made();
    expectDocumented(name, await cellarJson(...argumentsOf(name, path)));
  });
});

/** That an object has the fields of its row in docs/cli.md, in that order, and so has what stands inside it. */
function expectDocumented(label: string, value: unknown): void {
  if (Array.isArray(value)) expectDocumented(`${label}[]`, value[0]);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return;
  expect(Object.keys(value)).toEqual(documented(label));
  for (const [key, inner] of Object.entries(value)) expectDocumented(key, inner);
}

/** The names in a row of the tables of docs/cli.md. */
function documented(label: string): string[] {
  const tables = readFileSync(join(root, "docs/cli.md"), "utf8").split("## JSON")[1] ?? "";
  const row = tables.split("\n").find((line) => line.startsWith(`| \`${label}\` `)) ?? "";
  // What follows is not there always: `index` in a finding about no blob, `error` in a file that opens.
  const always =
    row
      .split("|")[2]
      ?.replace(/\([^)]*\)/g, "")
      .split(/, as |, and /)[0] ?? "";
  return [...always.matchAll(/`(\w+)`/g)].map(([, name]) => name ?? "");
}

describe("blobs", () => {
  test("cat writes every byte of one, and no other", async () => {
    const { path, small, big } = made();
    for (const words of [[], ["root"], [String(big)]]) {
      const { status, bytes } = await cellar(["cat", path, ...words]);
      expect(status).toBe(0);
      expect(Buffer.compare(bytes, large)).toBe(0);
    }
    expect((await cellar(["cat", path, String(small)])).stdout).toBe("small");
    const part = ["--offset", "65530", "--length", "70000"];
    expect(Buffer.compare((await cellar(["cat", path, ...part])).bytes, large.subarray(65_530, 135_530))).toBe(0);
    expect(await cellarJson("cat", path, String(small), "--offset", "3")).toMatchObject({
      byteLength: 2,
      base64: "bGw=",
    });
    expect(await cellarJson("cat", path, String(small), "--offset", "9")).toMatchObject({ byteLength: 0, base64: "" });
    const { base64, byteLength } = await cellarJson("cat", path);
    expect(Buffer.compare(Buffer.from(String(base64), "base64"), large)).toBe(0);
    expect(byteLength).toBe(large.length);
  });

  test("chain lists the chunks from the last one back, as far as they hang together", async () => {
    const { path, small, big } = made();
    const { chunks, byteLength } = await cellarJson("chain", path);
    expect(byteLength).toBe(large.length);
    expect(chunks).toEqual([
      { first: big - 591, last: big, byteLength: large.length - 2 * 65535, previous: big - 592 },
      { first: big - 592 - 2048, last: big - 592, byteLength: 65535, previous: big - 592 - 2049 },
      { first: small + 1, last: small + 2049, byteLength: 65535, previous: 0 },
    ]);
    const { status, stdout } = await cellar(["chain", path]);
    expect({ status, lines: stdout.split("\n").length }).toEqual({ status: 0, lines: 6 });
    expect(await errorCodeOf("chain", path, String(big - 1))).toBe("CHUNK_CORRUPT");
  });

  test("cells shows bytes and text, and stops where the storage does", async () => {
    const { path, small, big } = made();
    const { stdout } = await cellar(["cells", path, String(small)]);
    expect(stdout.split("\n")[0]?.trim()).toBe(
      `${small} 73 6d 61 6c 6c 00 00 00  00 00 00 00 00 00 00 00 |small...........|`,
    );
    const { cells, bytesPerCell } = await cellarJson("cells", path, String(big - 1), "100");
    using reader = StorageReader.open(path);
    const hex = [big - 1, big].map((index) => ({ index, hex: reader.cell(index).toHex() }));
    expect({ cells, bytesPerCell }).toEqual({ cells: hex, bytesPerCell: 32 });
    expect(await errorCodeOf("cells", path, String(big + 1))).toBe("INDEX_OUT_OF_RANGE");
    expect(await errorCodeOf("cells", path, "0", "0")).toBe("INDEX_OUT_OF_RANGE");
  });

  test("a storage without a root says so", async () => {
    const path = file();
    expect((await cellar(["create", path])).status).toBe(0);
    for (const name of ["cat", "chain"]) expect(await errorCodeOf(name, path)).toBe("NO_ROOT");
    const { status, stdout } = await cellar(["check", path, "root"]);
    expect({ status, last: stdout.trimEnd().split("\n").at(-1) }).toEqual({
      status: 0,
      last: expect.stringMatching(/^note +blob +root: the storage has none$/) as string,
    });
  });
});

test("check finds what the library finds, and damage is exit status 1", async () => {
  const { path, small } = made();
  const { status, stdout } = await cellar(["check", path, "root", String(small)]);
  expect(status).toBe(0);
  expect(stdout.trimEnd().split("\n")).toHaveLength(check(path, [small, small]).length);
  const wrong = await cellar(["check", path, "9", "--json"]);
  expect(wrong.status).toBe(1);
  expect(JSON.parse(wrong.stdout)).toEqual({ path, damaged: true, findings: check(path, [9]) });
});

test("create makes what is asked for, and never touches a file", async () => {
  const path = file();
  const options = ["--head-string", "MINE", "--version", "7", "--bytes-per-cell", "64", "--max-index", "5000"];
  const config = { headString: "MINE", version: 7, bytesPerCell: 64, maxIndex: 5000 };
  const printed = await cellarJson("create", path, ...options, "--capacity-cells", "4000");
  expect(printed).toEqual({ path, config, startIndex: 4, length: 4 });
  using reader = StorageReader.open(path);
  expect(reader.config).toEqual(config);
  const before = readFileSync(path);
  expect(before.length).toBe(4000 * 64);
  expect(await errorCodeOf("create", path)).toBe("ALREADY_EXISTS");
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(await errorCodeOf("create", file(), "--bytes-per-cell", "2")).toBe("USAGE");
});

test("copy makes a file that holds the same", async () => {
  const { path, small, big } = made();
  const to = file();
  expect(await cellarJson("copy", path, to)).toEqual({
    path,
    to,
    root: big,
    length: big + 1,
    byteLength: (big + 1) * 32,
  });
  using reader = StorageReader.open(to);
  expect(Buffer.compare(reader.read(big), large)).toBe(0);
  expect(new TextDecoder().decode(reader.read(small))).toBe("small");
  expect(await errorCodeOf("copy", path, to)).toBe("ALREADY_EXISTS");
  mkdirSync(file("directory"));
  expect(await errorCodeOf("copy", path, file("directory"))).toBe("ALREADY_EXISTS");
});
