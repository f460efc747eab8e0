/** What errors advise, where a storage does not open: once, and with words that a shell takes. */

import { describe, expect, test } from "bun:test";
import { truncateSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileOf, type State } from "../support/image.ts";
import { CLI, cellar, errorCodeOf } from "../support/cli.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ inMemory: true, spoiled: true });
const FILE_CELLS = 100;
const CELL_BYTES = 32;
const state: State = { next: 20, root: 19 };
const torn = null;

/** A storage without a disk-sync header, under a name that a shell would take apart. */
function broken(name: string): string {
  const path = file(name);
  writeFileSync(path, fileOf({ disk: [torn, torn], process: [state, state] }, FILE_CELLS));
  return path;
}

/** A storage that was cut to so many cells. */
function cutTo(cells: number): string {
  const path = file();
  writeFileSync(path, fileOf({ disk: [state, state], process: [state, state] }, FILE_CELLS));
  truncateSync(path, cells * CELL_BYTES);
  return path;
}

/** The one command that an error names, as it is after `cellar`. */
function advised(stderr: string): string {
  expect(stderr.split("cellar recover")).toHaveLength(2);
  return /cellar (recover .*) can do/.exec(stderr)?.[1] ?? "";
}

describe("a broken header: one command to go on with", () => {
  test.each(["cat PATH", `put PATH ${CLI}`, "copy PATH TO"])("%s", async (words) => {
    for (const fileName of ["with space.cellar", "it's $HOME.cellar", "it's\x1b[31m\nred\\0.cellar"]) {
      const path = broken(fileName);
      const places: Readonly<Record<string, string>> = { PATH: path, TO: file() };
      const args = words.split(" ").map((word) => places[word] ?? word);
      const { status, stderr } = await cellar(args);
      expect(status).toBe(1);
      const command = advised(stderr);
      const { exitCode, stdout } = Bun.spawnSync(["sh", "-c", `"$0" "$1" ${command}`, process.execPath, CLI]);
      expect({ exitCode, stdout: stdout.toString() }).toMatchObject({
        exitCode: 0,
        stdout: expect.stringContaining("--yes"),
      });
    }
  });

  test("check says all that it finds, also of blobs that it was asked for", async () => {
    const { status, stdout, stderr } = await cellar(["check", broken("checked.cellar"), "root", "12"]);
    expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
    const lines = stdout.trimEnd().split("\n");
    expect(lines.slice(-2).map((line) => line.replace(/ +/g, " "))).toEqual([
      "note blob root: not checked",
      "note blob 12: not checked",
    ]);
    expect(stdout).toMatch(/^damage +state +/m);
  });

  test("a path that looks like an option", async () => {
    const path = broken("-x.cellar");
    const { stderr } = await cellar(["cat", "--", "-x.cellar"], { cwd: dirname(path) });
    expect(advised(stderr)).toBe("recover ./-x.cellar");
  });
});

test("a path that would steer a terminal is printed escaped by every command", async () => {
  const name = "a\x1b[31m\nred.cellar";
  const path = file(name);
  const [from, to] = [file("from"), file(`copy ${name}`)];
  writeFileSync(from, "text");
  const calls = [
    ["create", path],
    ["put", path, from, "--root"],
    ["copy", path, to],
    ["copy", path, to],
    ...["info", "check", "cat", "recover", "chain", "cells"].map((command) => [command, path]),
    ["create", path],
    ["put", path, file("missing \x1b.txt")],
  ];
  for (const call of calls) {
    const { stdout, stderr } = await cellar(call);
    expect(stdout + stderr).not.toContain("\x1b");
    expect(stdout).not.toContain("[31m\nred");
    expect(stderr).toMatch(/^$|^[^\n]+\n$/);
  }
});

describe("a file that was cut", () => {
  test("cat names the command", async () => {
    const path = cutTo(state.root);
    expect(advised((await cellar(["cat", path])).stderr)).toBe(`recover ${path}`);
  });

  test("to its header area: recover does not advise itself", async () => {
    const path = cutTo(8);
    const { status, stderr } = await cellar(["recover", path]);
    expect(status).toBe(1);
    expect(stderr).toContain("restore a backup");
    expect(stderr).not.toContain("see what cellar recover");
    expect(await errorCodeOf("recover", path)).toBe("FILE_CUT");
  });
});
