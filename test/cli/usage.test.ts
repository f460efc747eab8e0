/** Wrong command lines, and what a user who mistook something is told. */

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { StorageWriter } from "../../src/index.ts";
import { CLI, cellar } from "../support/cli.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ inMemory: true });

describe("a wrong command line: status 2, and where to look", () => {
  test.each([
    [
      ["create", "PATH", "--bytes-per-cell", "3"],
      "--bytes-per-cell: expected 4 to 65535, got 3: see cellar create --help",
    ],
    [["create", "PATH", "--max-index", "3"], "--max-index: expected at least 8"],
    [["create", "PATH", "--version", "99999999999"], "--version: expected 0 to"],
    [["create", "PATH", "--version", "-1"], "as --version=-1: see cellar create --help"],
    [["create", "PATH", "--head-string", "x".repeat(21)], "--head-string: expected at most 20 characters"],
    [["create", "PATH", "--head-string", "\u2603"], "--head-string: expected characters up to U+00FF"],
    [["create", "PATH", "--capacity-cells", "0"], "see cellar create --help"],
    [["cat", "PATH", "--follow", "x"], "see cellar cat --help"],
    [["check", "PATH", "x"], "see cellar check --help"],
    [["tail", "PATH", "--count", "0"], "see cellar tail --help"],
    [
      ["replicate", "PATH", "PATH", "--interval", "2147483648"],
      "--interval: expected a whole number from 1 to 2147483647",
    ],
    [
      ["follow", "PATH", "PATH", "--interval", "2147483648"],
      "--interval: expected a whole number from 1 to 2147483647",
    ],
    [["nonsense"], "see cellar --help"],
    [["nonsense", "--json"], "see cellar --help"],
  ] as const)("%j", async (words, says) => {
    const path = file();
    const args = words.map((word) => (word === "PATH" ? path : word));
    const { status, stdout, stderr } = await cellar(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(says);
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(existsSync(path)).toBe(false);
  });

  test("but an option that the environment spoils is no fault of it", async () => {
    const path = file();
    const { status, stderr } = await cellar(["create", path], { env: { PLEBEIA_RESIZE_STEP_BYTES: "abc" } });
    expect(status).toBe(1);
    expect(stderr).toContain("PLEBEIA_RESIZE_STEP_BYTES");
  });
});

test("put of a storage that is not there names --create", async () => {
  const { status, stderr } = await cellar(["put", file(), CLI]);
  expect(status).toBe(1);
  expect(stderr).toContain("--create");
});

test("check without an index says that it looked at no blob", async () => {
  const path = file();
  StorageWriter.create(path).close();
  expect((await cellar(["check", path])).stdout).toContain("No blob was checked: ");
  expect((await cellar(["check", path, "root"])).stdout).not.toContain("No blob was checked");
});

test("--version is the package's, also of a program that is compiled to one file", async () => {
  const { version } = manifest;
  expect((await cellar(["--version"])).stdout).toBe(`${version}\n`);
  expect(JSON.parse((await cellar(["--version", "--json"])).stdout)).toEqual({ version });
  const program = join(file(), "..", "compiled");
  const build = [process.execPath, "build", "--compile", "--outfile", program, CLI];
  expect(Bun.spawnSync(build).exitCode).toBe(0);
  expect(Bun.spawnSync([program, "--version"]).stdout.toString()).toBe(`${version}\n`);
});
