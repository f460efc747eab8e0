/** `recover` as a function: what it takes, that every error comes before the file is changed, and what is kept. (What it
 * makes of damaged files: test/cli/recover.test.ts.) */

import { afterEach, describe, expect, mock, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { constants } from "node:os";
import { basename, dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { recover, StorageError, StorageReader, StorageWriter } from "../../src/index.ts";
import { HEADER_AREA_BYTES } from "../../src/format/layout.ts";
import { libc } from "../../src/os/libc.ts";
import { cellar } from "../support/cli.ts";
import { codeOf, errorOf } from "../support/errors.ts";
import { useFolder } from "../support/folder.ts";
import { OFFSET } from "../support/image.ts";

const fresh = useFolder({ spoiled: true });
afterEach(() => void mock.restore());

function spoil(path: string, ...places: readonly (keyof typeof OFFSET)[]): Buffer {
  const bytes = fs.readFileSync(path);
  for (const place of places) bytes.fill(0xa5, OFFSET[place], OFFSET[place] + 32);
  fs.writeFileSync(path, bytes);
  return bytes;
}

/** A storage that was closed, and lost both copies of its disk-sync header. */
function broken(path = fresh()): { readonly path: string; readonly root: number; readonly bytes: Buffer } {
  const writer = StorageWriter.create(path);
  const root = (writer.root = writer.write(new Uint8Array(1000).fill(7)));
  writer.close();
  return { path, root, bytes: spoil(path, "disk1", "disk2") };
}

/** The file of a writer that has committed, and not flushed. */
function killed(): string {
  const path = fresh();
  using writer = StorageWriter.create(path);
  writer.root = writer.write(new Uint8Array(1000).fill(7));
  writer.commit();
  fs.copyFileSync(path, `${path}.killed`);
  return `${path}.killed`;
}

const isAsBefore = (path: string, bytes: Buffer): boolean => fs.readFileSync(path).equals(bytes);
const leftovers = (path: string): string[] =>
  fs.readdirSync(dirname(path)).filter((name) => name.startsWith(basename(path)) || name.includes(".new"));

test("says what it would do, does it when told to, and then has nothing to do", () => {
  const { path, root, bytes } = broken();
  const state = {
    path,
    needed: true,
    evidence: "proof",
    proven: true,
    root,
    lastWriter: "closed",
    opening: null,
  } as const;
  const kept = `${path}.before-recovery`;
  expect(recover(path)).toMatchObject({ ...state, done: false, kept });
  expect(isAsBefore(path, bytes)).toBe(true);
  expect(recover(path, { apply: true })).toMatchObject({ ...state, done: true, kept });
  expect(isAsBefore(kept, bytes)).toBe(true);
  using reader = StorageReader.open(path);
  expect(reader.root).toBe(root);
  expect(recover(path, { apply: true })).toMatchObject({ needed: false, done: false, opening: { state: "clean" } });
});

test("cells that cannot be read are an error of the system, not a state to go to", () => {
  const path = fresh();
  fs.copyFileSync(killed(), path);
  const { readSync } = fs;
  const failing = ((fd: number, bytes: Uint8Array, offset: number, lengthBytes: number, position: number) => {
    if (position >= HEADER_AREA_BYTES) throw Object.assign(new Error("EIO"), { errno: -constants.errno.EIO });
    return readSync(fd, bytes, offset, lengthBytes, position);
  }) as typeof fs.readSync;
  spyOn(fs, "readSync").mockImplementation(failing);
  expect(errorOf(() => recover(path))).toMatchObject({ code: "SYSTEM", errno: constants.errno.EIO, path });
  expect(errorOf(() => recover(path, { apply: true, unproven: true }))).toMatchObject({ code: "SYSTEM" });
  mock.restore();
  expect(recover(path)).toMatchObject({ evidence: "proof", lostCells: 0 });
});

test("paths may be file: URLs", () => {
  const { path } = broken(fresh("with space.cellar"));
  const keep = new URL("kept here.cellar", pathToFileURL(path));
  const report = recover(pathToFileURL(path), { apply: true, keep });
  expect(report).toMatchObject({ path, done: true, kept: fresh("kept here.cellar") });
  expect(fs.existsSync(report.kept)).toBe(true);
});

test("arguments that are none are a TypeError, before the file is looked at", () => {
  const options = [null, 1, "x", { apply: "yes" }, { unproven: 1 }, { keep: 5 }, { keep: "" }, { keep: "a\0b" }];
  for (const option of [...options, { allowUnsafeFilesystem: null }]) {
    expect(() => recover(fresh("absent"), option as never)).toThrow(TypeError);
  }
  expect(() => recover(5 as never)).toThrow(TypeError);
});

describe("nothing is changed, and nothing is left, when", () => {
  test.each([
    ["the copy's name is taken", (path: string) => recover(path, { apply: true, keep: path }), "ALREADY_EXISTS"],
    ["its directory is missing", (path: string) => recover(path, { apply: true, keep: `${path}.d/x` }), "NO_SUCH_FILE"],
    [
      "its name is too long",
      (path: string) => recover(path, { apply: true, keep: `${path}${"x".repeat(255)}` }),
      "SYSTEM",
    ],
  ] as const)("%s", (_what, call, code) => {
    const { path, bytes } = broken();
    expect(codeOf(() => call(path))).toBe(code);
    expect(isAsBefore(path, bytes)).toBe(true);
    expect(leftovers(path)).toEqual([basename(path)]);
  });

  test("there is no room for the copy: the message names the option", async () => {
    const { path, bytes } = broken();
    spyOn(libc(), "pwrite").mockReturnValue(-1);
    spyOn(libc(), "errno").mockReturnValue(constants.errno.ENOSPC);
    const { code, message } = errorOf(() => recover(path, { apply: true }));
    mock.restore();
    expect(code).toBe("DISK_FULL");
    expect(message).toMatch(/nothing was changed.*no space.*option keep$/);
    expect(isAsBefore(path, bytes)).toBe(true);
    expect(leftovers(path)).toEqual([basename(path)]);
    const { stderr } = await cellar(["recover", path, "--yes", "--keep", path]);
    expect(stderr).toContain("--keep NAME");
  });
});

test("an error after the file was kept names the copy", () => {
  const { path, bytes } = broken();
  spyOn(libc(), "msync").mockImplementation(() => -1);
  const error = errorOf(() => recover(path, { apply: true }));
  mock.restore();
  expect(error.message).toEndWith(`the unchanged file is kept as ${path}.before-recovery`);
  expect(error.cause).toBeInstanceOf(StorageError);
  expect(isAsBefore(`${path}.before-recovery`, bytes)).toBe(true);
  expect(codeOf(() => StorageWriter.create(path))).toBe("ALREADY_EXISTS");
  expect(recover(path, { apply: true }).done).toBe(true);
});

test("a failure at any sync leaves a file of which the same is told again, or that opens at this state", () => {
  let failed = 0;
  for (let turn = 1; ; turn++) {
    const { path, root } = broken();
    const bytes = fs.readFileSync(path);
    bytes[20] = 33;
    fs.writeFileSync(path, bytes);
    const { msync } = libc();
    let syncs = 0;
    spyOn(libc(), "msync").mockImplementation((...call) => (++syncs === turn ? -1 : msync(...call)));
    let isDone = false;
    try {
      isDone = recover(path, { apply: true }).done;
    } catch (error) {
      expect((error as Error).message).toContain("is kept as");
      failed++;
    }
    mock.restore();
    if (!isDone) recover(path, { apply: true });
    using reader = StorageReader.open(path);
    expect([reader.root, reader.config.bytesPerCell, reader.read(root)[0]]).toEqual([root, 32, 7]);
    if (isDone) break;
  }
  // The config, the cells, each copy of the disk-sync header, and those of opening and closing.
  expect(failed).toBeGreaterThan(5);
});

test("an environment that is wrong for a writer says nothing to recovery, which grows nothing", async () => {
  const { path } = broken();
  const { status } = await cellar(["recover", path, "--yes"], { env: { PLEBEIA_RESIZE_STEP_BYTES: "abc" } });
  expect(status).toBe(0);
  expect(recover(path).needed).toBe(false);
});

test("holes stay holes in the copy, and every byte is the same", () => {
  const { path } = broken();
  const cells = 2 ** 20;
  fs.truncateSync(path, cells * 32);
  const fd = fs.openSync(path, "r+");
  fs.writeSync(fd, "data", 20_000_000);
  fs.closeSync(fd);
  const before = fs.readFileSync(path);
  const { kept } = recover(path, { apply: true });
  expect(fs.readFileSync(kept).equals(before)).toBe(true);
  expect(fs.statSync(kept).size).toBe(cells * 32);
  // A page or two may be given to what is near the data.
  expect(fs.statSync(kept).blocks * 512).toBeLessThan(2 ** 20);
});

describe("names as long as the file system has", () => {
  test.each([
    [255, "a"],
    [240, "b"],
    [239, "c"],
  ] as const)("of %p bytes", (lengthBytes, letter) => {
    const { path } = broken(fresh(letter.repeat(lengthBytes)));
    const { kept, done } = recover(path, { apply: true });
    expect({ done, bytes: Math.min(255, lengthBytes + ".before-recovery".length) }).toEqual({
      done: true,
      bytes: basename(kept).length,
    });
    expect(kept).toEndWith(".before-recovery");
  });

  test("are cut between characters", () => {
    const { path } = broken(fresh("ü".repeat(127)));
    expect(basename(recover(path).kept)).toMatch(/^ü+\.before-recovery$/);
  });

  test("count up where the shortened name is taken", () => {
    const { path } = broken(fresh("m".repeat(255)));
    fs.writeFileSync(recover(path).kept, "mine");
    expect(recover(path, { apply: true }).kept).toMatch(/m\.before-recovery-2$/);
  });
});

describe("of a file that was closed", () => {
  test.each([
    ["the process-sync header is torn", ["process1", "process2"], /was closed, but its headers do not agree/],
    ["one copy is torn", ["disk2"], /1 of 4 header copies is broken/],
    ["two copies are torn", ["disk2", "process2"], /2 of 4 header copies are broken/],
  ] as const)("%s: it is not said to be open", async (_what, places, says) => {
    const { path } = broken();
    recover(path, { apply: true });
    spoil(path, ...places);
    expect(recover(path)).toMatchObject({ needed: true, lastWriter: "closed", brokenCopies: places.length });
    const { stdout } = await cellar(["recover", path]);
    expect(stdout).toMatch(says);
    expect(stdout).not.toContain("was not closed");
  });
});
