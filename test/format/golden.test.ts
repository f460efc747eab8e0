/** Files of the original: opened as they are, and written again, byte for byte. */

import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type StorageConfig, StorageReader, StorageWriter } from "../../src/index.ts";
import { decode, type HeaderCopy, type State } from "../support/decoder.ts";
import { Child } from "../support/child.ts";
import { useFolder } from "../support/folder.ts";
import { type Answer, type GoldenCase, goldenBytes, goldenCases, type GoldenHeader } from "../support/golden.ts";
import { keyOf, Model, openAsOriginal, patternBytes, replay } from "../support/golden.ts";

const newPath = useFolder();
const replayer = join(import.meta.dir, "../support/golden.ts");
const ANNEX = { from: 160, to: 256 };

test("there are 20 files, and each op that the original has is in one of them", () => {
  expect(goldenCases).toHaveLength(20);
  const ops = new Set(goldenCases.flatMap((golden) => golden.ops.map(({ op }) => op)));
  const all = ["write", "alloc", "setRoot", "overrideVersion", "commit", "flush", "truncate", "close", "kill"] as const;
  expect([...ops].sort()).toEqual([...all].sort());
});

describe.each(goldenCases.map((golden) => [golden.name, golden] as const))("%s", (name, golden) => {
  const bytes = goldenBytes(name);
  const killed = golden.ops.some(({ op }) => op === "kill");

  test("the file is the one that was recorded", () => {
    expect(bytes.length).toBe(golden.fileBytes);
    expect(sha256(bytes)).toBe(golden.sha256);
    const decoded = decode(bytes);
    expect(decoded.disk.map(asRecorded)).toEqual([...golden.disk]);
    expect(decoded.process.map(asRecorded)).toEqual([...golden.process]);
    expect(openAsOriginal(bytes)).toEqual(originalStates(golden));
  });

  test("a reader shows what the original's showed, and leaves every byte as it is", () => {
    const path = copyOf(bytes);
    using reader = StorageReader.open(path);
    expectStorage(reader, golden, originalStates(golden).reader);
    expect(reader.refresh()).toBe(false);
    reader.close();
    expect(same(readFileSync(path), bytes)).toBe(true);
  });

  test("a reader with the writer's key shows the process-sync header", () => {
    const path = copyOf(bytes);
    using reader = StorageReader.open(path, { writerKey: keyOf(golden) });
    const [header] = golden.process;
    expectStorage(reader, golden, { root: header?.root ?? -1, next: header?.next ?? -1 });
    expect(reader.checkWriterKey(new Uint8Array(32))).toBe(false);
  });

  test("a writer goes on where the original's did", () => {
    const path = copyOf(bytes);
    const expected = originalStates(golden).writer;
    using writer = StorageWriter.open(path, { expect: configAtEnd(golden), writerKey: keyOf(golden) });
    expectStorage(writer, golden, expected);
    expect(writer.recovery.state).toBe(killed ? "resumedAtFlush" : "clean");
    const [disk, shown] = [golden.disk[0], golden.process[0]];
    expect(writer.recovery.skippedCells).toBe((shown?.next ?? -1) - (disk?.next ?? -1));
    writer.close();
    const after = new Uint8Array(readFileSync(path));
    expect(openAsOriginal(after)).toEqual({ reader: expected, writer: expected });
    if (killed) return;
    expect(after.length).toBe(bytes.length);
    expect(differences(after, bytes)).toEqual([]);
  });

  test("the same calls here give the same answers, and the same file", async () => {
    const path = newPath();
    const recorded = golden.ops.map((op) => ("answer" in op ? op.answer : null));
    expect(killed ? await replayAndKill(name, path) : replay(golden, path)).toEqual(recorded);
    const file = new Uint8Array(readFileSync(path));
    expectSameFile(file, bytes, golden);
    expect(openAsOriginal(file)).toEqual(originalStates(golden));
    expect(replayInArrays(golden)).toEqual(recorded);
  });
});

/** Made by Cellar with one blob and closed; then the original wrote a second one, committed, and did not flush. */
describe("a file of Cellar that the original has written since", () => {
  const writerKey = new Uint8Array(32).map((_, i) => 7 + i * 7);
  const blob = (seed: number, sizeBytes: number): Uint8Array<ArrayBuffer> =>
    new Uint8Array(patternBytes(seed, sizeBytes));

  test("shows the original's commit to a reader with its key, at opening or later", () => {
    const path = copyOf(goldenBytes("after-cellar"));
    using opened = StorageReader.open(path, { writerKey });
    using enabled = StorageReader.open(path);
    enabled.enableProcessSync(writerKey);
    enabled.refresh();
    for (const reader of [opened, enabled]) {
      expect([reader.root, reader.length, reader.follows]).toEqual([12, 13, "commits"]);
      expect(reader.read(9)).toEqual(blob(1, 50));
      expect(reader.read(12)).toEqual(blob(2, 70));
    }
  });

  test("shows the last flush without the key, and to a writer, which skips the cells", () => {
    const path = copyOf(goldenBytes("after-cellar"));
    using reader = StorageReader.open(path, { follow: "commits" });
    expect([reader.root, reader.length, reader.follows]).toEqual([9, 10, "flushes"]);
    using writer = StorageWriter.open(path);
    expect([writer.root, writer.length]).toEqual([9, 13]);
    expect(writer.recovery).toMatchObject({ state: "resumedAtFlush", skippedCells: 3 });
  });
});

test("cells that a killed writer filled and never committed are zero when they are given out again", async () => {
  const path = newPath();
  await replayAndKill("killed-after-commit", path);
  const bytes = new Uint8Array(readFileSync(path));
  using writer = StorageWriter.open(path);
  const offset = writer.byteLength;
  const left = bytes.subarray(offset, offset + 2 * writer.config.bytesPerCell);
  expect(left.some((byte) => byte !== 0)).toBe(true);
  expect(writer.recovery.state).toBe("resumedAtCommit");
  expect(writer.cells(writer.allocate(2), 2).every((byte) => byte === 0)).toBe(true);
});

/** What the model of plain arrays answers; it ends as the original's cells did. */
function replayInArrays(golden: GoldenCase): (Answer | null)[] {
  const model = new Model(golden.config.bytesPerCell, golden.config.maxIndex);
  const answers = golden.ops.map((op) => {
    if (op.op === "write") return model.write(patternBytes(op.seed, op.size));
    if (op.op === "truncate") model.flush({ root: 0, next: model.startIndex });
    if (op.op !== "alloc") return null;
    const first = model.allocate(op.cells);
    if (op.fillSeed !== undefined && typeof first === "number") {
      const cells = model.from(first);
      cells.set(patternBytes(op.fillSeed, cells.length));
    }
    return first;
  });
  const offset = model.startIndex * model.bytesPerCell;
  expect(model.next).toBe(golden.lengthAtEnd);
  expect(same(model.data, goldenBytes(golden.name).subarray(offset, offset + model.data.length))).toBe(true);
  return answers;
}

/** Byte for byte but for the annex, which the original leaves zero. */
function expectSameFile(file: Uint8Array, original: Uint8Array, golden: GoldenCase): void {
  if (!golden.ops.some(({ op }) => op === "truncate")) {
    expect(file.length).toBe(original.length);
    expect(differences(file, original)).toEqual([]);
    return;
  }
  // The one known difference: truncate cuts the original's file, which kills readers that have it mapped. Here the
  // file keeps its size; cells are zeroed when they are given out again.
  expect(file.length).toBeGreaterThan(original.length);
  const comparedBytes = originalStates(golden).writer.next * golden.config.bytesPerCell;
  expect(differences(file.subarray(0, comparedBytes), original.subarray(0, comparedBytes))).toEqual([]);
}

/** What a storage opened on the file of a case must be and hold, in the state that it shows. */
function expectStorage(storage: StorageReader | StorageWriter, golden: GoldenCase, state: State): void {
  expect(storage.config).toEqual(configAtEnd(golden));
  expect(storage.startIndex).toBe(golden.startIndex);
  expect({ root: storage.root ?? 0, next: storage.length }).toEqual(state);
  for (const [index, { size, sha256: digest }] of Object.entries(golden.blobs)) {
    if (Number(index) >= state.next) {
      expect(() => storage.read(Number(index))).toThrow(expect.objectContaining({ code: "INDEX_OUT_OF_RANGE" }));
      continue;
    }
    const blob = storage.read(Number(index));
    expect({ index, size: blob.length, digest: sha256(blob) }).toEqual({ index, size, digest });
    expect(storage.blobLength(Number(index))).toBe(size);
  }
  for (const op of golden.ops) {
    if (op.op !== "alloc" || op.answer === "index overflow") continue;
    const cells = storage.cells(op.answer, op.cells);
    const filled = op.fillSeed === undefined ? new Uint8Array(cells.length) : patternBytes(op.fillSeed, cells.length);
    expect(same(cells, filled)).toBe(true);
  }
}

/** Replays a case in a process that kills itself, as the original's was killed. */
async function replayAndKill(name: string, path: string): Promise<unknown> {
  await using child = new Child(replayer, [name, path]);
  const { answers } = await child.next();
  expect(await child.exit()).toEqual({ code: null, signal: "SIGKILL" });
  return answers;
}

function copyOf(bytes: Uint8Array): string {
  const path = newPath();
  writeFileSync(path, bytes);
  return path;
}

/** The config after the version was overridden. */
function configAtEnd({ config, ops }: GoldenCase): StorageConfig {
  return ops.reduce((now, op) => (op.op === "overrideVersion" ? { ...now, version: op.version } : now), config);
}

function originalStates({ reopenedByReader, reopenedByWriter }: GoldenCase): { reader: State; writer: State } {
  const [reader, writer] = [reopenedByReader, reopenedByWriter].map(({ root, length }) => {
    return { root: root === "none" ? 0 : Number(root), next: length };
  });
  if (reader === undefined || writer === undefined) throw new Error("two states make two states");
  return { reader, writer };
}

function asRecorded({ hash, keyedHash, root, next }: HeaderCopy): GoldenHeader {
  return { hash: hash.toHex(), keyedHash: keyedHash.toHex(), root, next };
}

/** Offsets, outside the annex, at which two files differ; the first few. */
function differences(a: Uint8Array, b: Uint8Array): number[] {
  const offsets: number[] = [];
  for (let offset = 0; offset < Math.max(a.length, b.length) && offsets.length < 10; offset++) {
    if (offset === ANNEX.from) offset = ANNEX.to;
    if (a[offset] !== b[offset]) offsets.push(offset);
  }
  return offsets;
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}
