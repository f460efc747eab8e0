/** `cellar recover` on files that were damaged in each way: what it says, what it does, and what it leaves alone. */

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { check, StorageReader, StorageWriter } from "../../src/index.ts";
import { codeOf } from "../support/errors.ts";
import { OFFSET } from "../support/image.ts";
import { useAgents } from "../support/process-agents.ts";
import { CLI, cellar, cellarJson, errorCodeOf } from "../support/cli.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ inMemory: true, spoiled: true });
const { startWriter } = useAgents();
const COPY_BYTES = 32;
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const flushedText = "flushed ".repeat(20);
const committedText = "committed ".repeat(30);

interface Made {
  readonly path: string;
  /** Indices of two blobs: the root of the last flush, and that of the commit after it. */
  readonly flushed: number;
  readonly committed: number;
}

/** What a writer leaves that is killed after a flush and a commit. */
function killed(): Made {
  const path = file();
  using writer = StorageWriter.create(`${path}.live`);
  const flushed = (writer.root = writer.write(encode(flushedText)));
  writer.flushSync();
  const committed = (writer.root = writer.write(encode(committedText)));
  writer.commit();
  writer.write(encode("not committed"));
  writeFileSync(path, readFileSync(`${path}.live`));
  return { path, flushed, committed };
}

/** A storage that was closed: `committed` is flushed too. */
function closed(): Made {
  const made = killed();
  StorageWriter.open(made.path).close();
  return made;
}

function spoil(path: string, ...places: readonly (keyof typeof OFFSET)[]): void {
  const bytes = readFileSync(path);
  for (const place of places) bytes.fill(0xa5, OFFSET[place], OFFSET[place] + COPY_BYTES);
  writeFileSync(path, bytes);
}

/** What a file holds once it opens again. */
function read(path: string): { readonly root: number | null; readonly length: number; readonly text: string } {
  using reader = StorageReader.open(path);
  const { root, length } = reader;
  return { root, length, text: root === null ? "" : new TextDecoder().decode(reader.read(root)) };
}

const damageIn = (path: string): string[] =>
  check(path)
    .filter(({ level }) => level === "damage")
    .map(({ part }) => part);

/** That a run refuses with this code, and leaves the file and its folder as they are. */
async function expectRefusal(path: string, code: string, ...options: readonly string[]): Promise<void> {
  const before = readFileSync(path);
  expect(await errorCodeOf("recover", path, ...options)).toBe(code);
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(existsSync(`${path}.before-recovery`)).toBe(false);
}

describe("both copies of the disk-sync header broken", () => {
  test.each([
    ["after a close", closed],
    ["after a kill", killed],
  ])("%s: back to the last commit, which a record proves", async (_when, make) => {
    const { path, committed } = make();
    spoil(path, "disk1", "disk2");
    const spoiled = readFileSync(path);
    expect(codeOf(() => StorageWriter.open(path))).toBe("HEADER_BROKEN");

    const state = { needed: true, evidence: "proof", proven: true, root: committed, length: committed + 1 };
    expect(await cellarJson("recover", path)).toMatchObject({ ...state, done: false, kept: null });
    expect(readFileSync(path).equals(spoiled)).toBe(true);
    const kept = `${path}.before-recovery`;
    expect(await cellarJson("recover", path, "--yes")).toMatchObject({ ...state, done: true, kept });
    expect(readFileSync(kept).equals(spoiled)).toBe(true);
    expect(read(path)).toEqual({ root: committed, length: committed + 1, text: committedText });
    expect(damageIn(path)).toEqual([]);
    using writer = StorageWriter.open(path);
    expect(writer.recovery).toEqual({ state: "clean", skippedCells: 0, tornCopies: 0 });
  });

  test.each([
    ["the records are broken too", "commit", (path: string) => spoil(path, "record1", "record2")],
    ["the process-sync copies are broken too", "record", (path: string) => spoil(path, "process1", "process2")],
  ] as const)("and %s: only with --unproven", async (_what, evidence, spoilMore) => {
    const { path, committed } = killed();
    spoil(path, "disk1", "disk2");
    spoilMore(path);
    const state = { evidence, proven: false, root: committed, length: committed + 1 };
    expect(await cellarJson("recover", path)).toMatchObject({ ...state, done: false });
    await expectRefusal(path, "UNPROVEN", "--yes");
    expect(await cellarJson("recover", path, "--yes", "--unproven")).toMatchObject({ ...state, done: true });
    expect(read(path)).toEqual({ root: committed, length: committed + 1, text: committedText });
  });

  test("and a committed cell changed: the record proves nothing", async () => {
    const { path, committed } = killed();
    spoil(path, "disk1", "disk2");
    const bytes = readFileSync(path);
    bytes[committed * 32] = (bytes[committed * 32] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    expect(await cellarJson("recover", path)).toMatchObject({ evidence: "commit", proven: false });
    await expectRefusal(path, "UNPROVEN", "--yes");
  });

  test("and everything else: nothing tells of a state", async () => {
    const { path } = killed();
    spoil(path, "disk1", "disk2", "process1", "process2", "record1", "record2");
    await expectRefusal(path, "HEADER_BROKEN");
    await expectRefusal(path, "HEADER_BROKEN", "--yes", "--unproven");
  });
});

describe("what opening for writing recovers by itself", () => {
  test.each([
    ["a killed writer", killed, [], "proof"],
    ["a torn disk-sync copy", closed, ["disk2"], "flush"],
    ["a torn process-sync copy", closed, ["process1"], "flush"],
  ] as const)("%s: the same state, and a copy", async (_what, make, places, evidence) => {
    const { path, committed } = make();
    spoil(path, ...places);
    const spoiled = readFileSync(path);
    const state = { needed: true, evidence, proven: true, root: committed, length: committed + 1 };
    expect(await cellarJson("recover", path, "--yes")).toMatchObject({ ...state, done: true });
    expect(readFileSync(`${path}.before-recovery`).equals(spoiled)).toBe(true);
    expect(read(path)).toMatchObject({ root: committed, text: committedText });
    expect(await cellarJson("recover", path)).toMatchObject({ needed: false });
  });

  test("commits that nothing proves are skipped, and counted", async () => {
    const { path, flushed, committed } = killed();
    spoil(path, "record1", "record2");
    const state = { evidence: "flush", root: flushed, length: committed + 1, skippedCells: committed - flushed };
    expect(await cellarJson("recover", path)).toMatchObject(state);
    expect(await cellarJson("recover", path, "--yes")).toMatchObject({ ...state, done: true });
    expect(read(path)).toEqual({ root: flushed, length: committed + 1, text: flushedText });
  });

  test("a clean file is not touched", async () => {
    const { path } = closed();
    const before = readFileSync(path);
    expect(await cellarJson("recover", path, "--yes")).toMatchObject({ needed: false, done: false, kept: null });
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(existsSync(`${path}.before-recovery`)).toBe(false);
  });
});

describe("a file that was cut short", () => {
  test("behind its root: what is left, with --unproven", async () => {
    const { path, committed } = closed();
    const lost = 100;
    const writer = StorageWriter.open(path);
    const first = writer.allocate(lost);
    writer.close();
    truncateSync(path, (first + 10) * 32);
    const state = { evidence: "cut", proven: false, root: committed, length: first + 10, lostCells: lost - 10 };
    expect(await cellarJson("recover", path)).toMatchObject(state);
    await expectRefusal(path, "UNPROVEN", "--yes");
    expect(await cellarJson("recover", path, "--yes", "--unproven")).toMatchObject({ ...state, done: true });
    expect(read(path)).toEqual({ root: committed, length: first + 10, text: committedText });
    using reader = StorageReader.open(path);
    expect(codeOf(() => reader.cell(first + 10))).toBe("INDEX_OUT_OF_RANGE");
  });

  test("through its root: the cells that are left, without a root", async () => {
    const { path, flushed, committed } = closed();
    truncateSync(path, committed * 32);
    const lost = { lostCells: 1, lostRoot: committed };
    const state = { evidence: "cut", proven: false, root: null, length: committed, ...lost };
    expect(await cellarJson("recover", path)).toMatchObject({ ...state, done: false });
    expect((await cellar(["recover", path])).stdout).toContain(`the root ${committed} among them`);
    await expectRefusal(path, "UNPROVEN", "--yes");
    expect(await cellarJson("recover", path, "--yes", "--unproven")).toMatchObject({ ...state, done: true });
    expect(read(path)).toMatchObject({ root: null, length: committed });
    using reader = StorageReader.open(path);
    expect(new TextDecoder().decode(reader.read(flushed))).toBe(flushedText);
  });

  test("before its first cell: nothing is left", async () => {
    const { path } = closed();
    truncateSync(path, 8 * 32);
    await expectRefusal(path, "FILE_CUT", "--yes", "--unproven");
  });

  test("in its headers: no storage any more", async () => {
    const { path } = closed();
    truncateSync(path, 128);
    await expectRefusal(path, "NOT_A_STORAGE", "--yes", "--unproven");
  });
});

describe("a damaged config", () => {
  const config = { headString: "app", bytesPerCell: 32, maxIndex: 100_000, version: 1 };

  function damagedFrom(offset: number, ...values: readonly number[]): { path: string; root: number; whole: Buffer } {
    const path = file();
    const writer = StorageWriter.create(path, config);
    const root = (writer.root = writer.write(encode(committedText)));
    writer.close();
    const whole = readFileSync(path);
    const bytes = Buffer.from(whole);
    bytes.set(values, offset);
    writeFileSync(path, bytes);
    return { path, root, whole };
  }

  test.each([
    ["cell size", 20, [64], { bytesPerCell: 64 }],
    ["cell size, all of it", 20, [1, 2, 3, 4], { bytesPerCell: 0x04030201 }],
    ["max index", 24, [0, 0], { maxIndex: 0x00010000 }],
    ["max index, its first byte", 27, [7], { maxIndex: 100_000 + 7 * 2 ** 24 }],
    ["head string", 1, [0xff], { headString: "a\xffp" }],
  ] as const)("in its %s: found by trying what its hash confirms", async (_what, offset, values, wrong) => {
    const { path, root, whole } = damagedFrom(offset, ...values);
    const found = {
      needed: true,
      evidence: "flush",
      proven: true,
      root,
      config,
      damagedConfig: { ...config, ...wrong },
    };
    expect(codeOf(() => StorageReader.open(path))).toBe("INVALID_CONFIG");
    expect(await cellarJson("recover", path)).toMatchObject({ ...found, done: false });
    expect(await cellarJson("recover", path, "--yes")).toMatchObject({ ...found, done: true });
    expect(read(path)).toMatchObject({ root, text: committedText });
    expect(readFileSync(path).subarray(0, 32).equals(whole.subarray(0, 32))).toBe(true);
    expect(await cellarJson("recover", path)).toMatchObject({ needed: false, damagedConfig: null });
  });

  test("and both disk-sync copies: both are recovered", async () => {
    const { path, root } = damagedFrom(20, 64);
    spoil(path, "disk1", "disk2");
    expect((await cellar(["recover", path])).stdout).toContain("bytesPerCell is 64, and was 32");
    expect(await cellarJson("recover", path, "--yes")).toMatchObject({ done: true, evidence: "proof", root });
    expect(read(path)).toMatchObject({ root, text: committedText });
  });

  test("info shows the file as the confirmed config has it", async () => {
    const { path, root } = damagedFrom(20, 64);
    const { opening, headers } = await cellarJson("info", path);
    expect(opening).toMatchObject({ error: { code: "INVALID_CONFIG" } });
    expect(headers).toEqual(expect.arrayContaining([expect.objectContaining({ state: "good", root })]));
    expect((await cellar(["info", path])).stdout).toMatch(/damaged: .*bytesPerCell is 64, and was 32/);
  });

  test("of which nothing is confirmed: refused", async () => {
    const { path } = damagedFrom(0, ...new Array<number>(24).fill(0x41));
    await expectRefusal(path, "INVALID_CONFIG", "--yes", "--unproven");
    expect((await cellar(["recover", path])).stderr).toMatch(/nothing else in the file confirms.*restore a backup/);
  });
});

test("a file that is being written is refused", async () => {
  const path = file();
  await startWriter({ path });
  await expectRefusal(path, "WRITER_LOCKED");
  await expectRefusal(path, "WRITER_LOCKED", "--yes", "--unproven");
});

describe("the copy", () => {
  test("never takes the place of another file", async () => {
    const { path } = killed();
    writeFileSync(`${path}.before-recovery`, "mine");
    expect(await cellarJson("recover", path, "--yes")).toMatchObject({ kept: `${path}.before-recovery-2` });
    expect(readFileSync(`${path}.before-recovery`, "utf8")).toBe("mine");
  });

  test("goes where --keep says, or nothing is done", async () => {
    const { path } = killed();
    const before = readFileSync(path);
    const taken = file();
    writeFileSync(taken, "mine");
    await expectRefusal(path, "ALREADY_EXISTS", "--yes", "--keep", taken);
    expect(readFileSync(taken, "utf8")).toBe("mine");
    await expectRefusal(path, "NO_SUCH_FILE", "--yes", "--keep", `${file()}/nowhere/copy`);
    const kept = file();
    expect(await cellarJson("recover", path, "--yes", "--keep", kept)).toMatchObject({ kept });
    expect(readFileSync(kept).equals(before)).toBe(true);
  });
});

test("it says to a person how to go on, with words that a shell takes", async () => {
  const path = file("with space.cellar");
  const { path: made } = killed();
  writeFileSync(path, readFileSync(made));
  spoil(path, "disk1", "disk2", "record1", "record2");
  const { status, stdout } = await cellar(["recover", path]);
  expect(status).toBe(0);
  const command = /cellar (recover .*)$/m.exec(stdout)?.[1] ?? "";
  const { exitCode } = Bun.spawnSync(["sh", "-c", `"$0" "$1" ${command}`, process.execPath, CLI]);
  expect(exitCode).toBe(0);
  expect(read(path).text).toBe(committedText);
});
