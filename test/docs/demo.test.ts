/** The demo as a user runs it: on a folder with everything odd in it, twice; and every way in which it may fail. */

import { expect, spyOn, test } from "bun:test";
import { linkSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Meter } from "../../examples/demo-meter.ts";
import { type Manifest, storeFolder } from "../../examples/demo-snapshot.ts";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { useFolder } from "../support/folder.ts";

const PROJECT = realpathSync(join(import.meta.dir, "../.."));
const DEMO = join(PROJECT, "examples/demo.ts");
const TIMEOUT_MS = 30_000;

const path = useFolder();

type Run = Readonly<{ status: number; lines: string[]; errors: string }>;

async function demo(args: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  const child = Bun.spawn([process.execPath, DEMO, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
    timeout: TIMEOUT_MS,
  });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { status: await child.exited, lines: output.split("\n").slice(0, -1), errors };
}

/** What the lines with this label say. */
function said(run: Run, label: string): string[] {
  return run.lines.filter((line) => line.startsWith(label.padEnd(10))).map((line) => line.slice(10).trim());
}

/** A new folder with these files; a slash in a name makes a folder. */
function folderOf(files: Record<string, string | Uint8Array>): string {
  const folder = path(`folder ${crypto.randomUUID().slice(0, 8)}`);
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return realpathSync(folder);
}

function makeFifo(file: string): void {
  expect(Bun.spawnSync(["mkfifo", file]).exitCode).toBe(0);
}

function newest(storage: StorageReader | StorageWriter): Manifest {
  return JSON.parse(new TextDecoder().decode(storage.read(storage.root ?? 0))) as Manifest;
}

function filled(size: number): Uint8Array {
  return new Uint8Array(size).map((_, at) => (at * at) >> 3);
}

const ODD_FILES: Readonly<Record<string, string | Uint8Array>> = {
  empty: "",
  "one byte": "1",
  "two\nlines\tand \x1b[31mred": "a name that a terminal would obey",
  "日本語/ñandú 👩‍👩‍👧": "unicode",
  "a/b/c/d/e/deep": "deep",
  "-n": "a name like an option",
  verify: "a name like the hidden verb",
  ...Object.fromEntries([65534, 65535, 65536, 131070, 131071].map((size) => [`sizes/${size}`, filled(size)])),
};

test("stores regular files only, compares every byte, and adds a snapshot with every run", async () => {
  const folder = folderOf(ODD_FILES);
  symlinkSync("one byte", join(folder, "link to a file"));
  symlinkSync(".", join(folder, "a/link to a folder"));
  symlinkSync("nowhere", join(folder, "link to nothing"));
  mkdirSync(join(folder, "empty folder"));
  makeFifo(join(folder, "fifo"));
  using socket = Bun.listen({ unix: join(folder, "socket"), socket: { data: () => undefined } });
  socket.unref();
  const storage = join(folder, "a/the storage, which is in the folder");
  const names = Object.keys(ODD_FILES);
  const bytes = names.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  const amounts = new RegExp(`^${names.length} files +${bytes.toLocaleString("en")} bytes`);
  const roots: (number | null)[] = [null];
  for (const runs of [1, 2]) {
    const run = await demo([folder, "--storage", storage]);
    expect(run).toMatchObject({ status: 0, errors: "" });
    expect(said(run, "Storage")).toEqual([storage]);
    for (const label of ["Stored", "Compared", "Snapshot"]) expect(said(run, label)[0]).toMatch(amounts);
    expect(said(run, "Snapshot")).toHaveLength(runs);
    expect(said(run, "Skipped")).toEqual([]);
    expect(run.lines.filter((line) => /[\x1b\r]|^(Storing|Flushing|Comparing)/.test(line))).toEqual([]);
    expect(said(run, "Size")[0]).toStartWith(`${statSync(storage).size.toLocaleString("en")} bytes`);

    using reader = StorageReader.open(storage);
    const manifest = newest(reader);
    expect(manifest).toMatchObject({ folder, previous: roots[runs - 1] });
    expect(manifest.files.map((file) => file.path).sort()).toEqual(names.sort());
    for (const file of manifest.files) {
      const content = readFileSync(join(folder, file.path));
      expect(file.bytes).toBe(content.length);
      expect(Buffer.compare(reader.read(file.index), content)).toBe(0);
    }
    roots.push(reader.root);
  }
  expect(new Set(roots).size).toBe(3);
});

test("without options: stores this project, in a file of the temp folder that is named after the folder", async () => {
  const folder = folderOf({ "same name/file": "1", "other/same name/file": "2" });
  const temp = path("temp");
  mkdirSync(temp);
  for (const name of ["same name", "other/same name"]) {
    const run = await demo([join(folder, name)], { TMPDIR: temp });
    expect(run.status).toBe(0);
    expect(said(run, "Snapshot")).toHaveLength(1);
    expect(said(run, "Storage")[0]).toStartWith(join(temp, "cellar-demo-same name-"));
  }
  expect(readdirSync(temp)).toHaveLength(2);
  // Whether every byte is equal depends on who works in the project just now.
  expect(said(await demo([], { TMPDIR: temp }), "Folder")).toEqual([PROJECT]);
});

test("on a terminal progress is one line, rewritten; elsewhere there is none", async () => {
  const folder = folderOf({ file: "1" });
  let output = "";
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  const data = (_terminal: Bun.Terminal, bytes: Uint8Array): void => {
    output += new TextDecoder().decode(bytes);
    if (/Result.*\r\n/.test(output)) resolve();
  };
  const options = { terminal: { cols: 30, data }, timeout: TIMEOUT_MS };
  const child = Bun.spawn([process.execPath, DEMO, folder, "--storage", path()], options);
  expect(await child.exited).toBe(0);
  await ended;
  child.terminal?.close();
  const shown = output.split("\r\x1b[2K");
  for (const doing of ["Storing", "Flushing", "Comparing"]) {
    expect(shown.filter((line) => line.startsWith(doing))).toEqual([expect.stringMatching(/^[^\r\n]{29}$/)]);
  }
});

test("what vanishes meanwhile is named and skipped", () => {
  const folder = folderOf({ a: "1", "b\n": "1", c: "1", "d/e": "1", "f/g": "1" });
  const names = readdirSync(folder);
  class Vanishing extends Meter {
    override addFile(bytes: number, doing: string): void {
      super.addFile(bytes, doing);
      for (const name of names) rmSync(join(folder, name), { recursive: true });
    }
  }
  using writer = StorageWriter.create(path());
  using log = spyOn(console, "log").mockImplementation(() => undefined);
  storeFolder(writer, folder, new Vanishing());
  const skipped = names.slice(1).map((name) => `Skipped   ${name.replace("\n", "\\u{a}")}: no such file or directory`);
  expect(log.mock.calls.flat()).toEqual(skipped);
  expect(newest(writer).files).toHaveLength(1);
});

test("a name that is not UTF-8 is skipped", async () => {
  const folder = folderOf({ good: "1" });
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/bad `), Buffer.of(0xff)]), "2");
  const run = await demo([folder, "--storage", path()]);
  expect(run.status).toBe(0);
  expect(said(run, "Skipped")).toEqual(["bad \ufffd: no such file or directory"]);
});

test("tells files that have changed from a storage that is different", async () => {
  const names = ["longer", "rewritten", "removed", "fifo", "link", "other bytes", "damaged", "no chunk", "equal"];
  const folder = folderOf(Object.fromEntries(names.map((name) => [name, name === "fifo" ? "" : `this is ${name}`])));
  const file = (name: string): string => join(folder, name);
  // In whole seconds: a time with a fraction would come back as another.
  const keepTime = (name: string): void => utimesSync(file(name), 1e9, 1e9);
  names.forEach(keepTime);
  const storage = path();
  expect((await demo([folder, "--storage", storage])).status).toBe(0);

  for (const name of ["removed", "fifo", "link"]) rmSync(file(name));
  makeFifo(file("fifo"));
  symlinkSync("equal", file("link"));
  writeFileSync(file("longer"), "this is longer than before");
  writeFileSync(file("rewritten"), "THIS IS rewritten");
  writeFileSync(file("other bytes"), "this is OTHER bytes");
  for (const name of ["longer", "fifo", "other bytes"]) keepTime(name);
  damage(storage, "damaged", (writer, index) => writer.chunks(index)[0]?.fill(0));
  damage(storage, "no chunk", (writer, index) => writer.cell(index).fill(0xff, -6));

  const run = await demo(["verify", storage, folder]);
  expect(run).toMatchObject({ status: 1, errors: "" });
  const findings = Object.fromEntries(said(run, "Not equal").map((line) => line.split(": ", 2)));
  const changed = names.slice(0, 5).map((name) => [name, "changed meanwhile"]);
  const different = names.slice(5, 8).map((name) => [name, "DIFFERENT"]);
  expect(findings).toEqual(Object.fromEntries([...changed, ...different]));
  expect(said(run, "Compared")[0]).toStartWith("1 files");
});

test("fails if the second process finds anything not equal", async () => {
  const folder = folderOf({ file: "1" });
  const storage = path();
  expect((await demo([folder, "--storage", storage])).status).toBe(0);
  linkSync(storage, join(folder, "changes while it is stored"));
  const run = await demo([folder, "--storage", storage]);
  expect(run.status).toBe(1);
  expect(said(run, "Not equal")).toEqual(["changes while it is stored: changed meanwhile"]);
  expect(said(run, "Result")[0]).toContain("NOT every stored byte equal");
  expect((await demo(["verify", path(), folder])).status).toBe(1);
});

test("refuses wrong usage with 2, and storages that it must not write with 1", async () => {
  const folder = folderOf({ file: "1" });
  const foreign = path();
  StorageWriter.create(foreign, { headString: "another" }).close();
  const before = readFileSync(foreign);
  using held = StorageWriter.create(path(), { headString: "cellar demo" });
  const refused: [number, string[]][] = [
    [2, ["--nonsense"]],
    [2, [folder, folder]],
    [2, ["verify", foreign]],
    [2, [path("nothing")]],
    [2, [join(folder, "file")]],
    [2, [folder, "--storage"]],
    [1, [folder, "--storage", foreign]],
    [1, [folder, "--storage", held.path]],
    [1, [folder, "--storage", folder]],
  ];
  const runs = await Promise.all(refused.map(([, args]) => demo(args)));
  for (const [n, [status]] of refused.entries()) {
    expect(runs[n]).toMatchObject({ status, lines: [], errors: expect.stringMatching(/^demo: .+\n$/) });
  }
  expect(readFileSync(foreign)).toEqual(before);
  const usage = expect.arrayContaining([expect.stringMatching(/^Usage: bun run demo/)]);
  expect(await demo(["--help"])).toMatchObject({ status: 0, lines: usage, errors: "" });
});

test("interrupted, it leaves a storage for the next run", async () => {
  const folder = folderOf({ large: filled(8_000_000), small: "1" });
  const storage = path();
  const child = Bun.spawn([process.execPath, DEMO, folder, "--storage", storage], { timeout: TIMEOUT_MS });
  let output = "";
  for await (const piece of child.stdout) {
    output += new TextDecoder().decode(piece);
    if (output.includes("Storage ")) break; // From this line on the storage is open.
  }
  child.kill("SIGINT");
  await child.exited;
  expect(await demo([folder, "--storage", storage])).toMatchObject({ status: 0, errors: "" });
});

function damage(storage: string, name: string, spoil: (writer: StorageWriter, index: number) => void): void {
  using writer = StorageWriter.open(storage);
  for (const file of newest(writer).files) if (file.path === name) spoil(writer, file.index);
}
