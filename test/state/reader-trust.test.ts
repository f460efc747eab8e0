/** What a reader believes, and what it may copy, after a power cut, a cut file, and a truncation that failed. */

import { expect, mock, spyOn, test } from "bun:test";
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { libc } from "../../src/os/libc.ts";
import * as image from "../support/image.ts";
import { useFolder } from "../support/folder.ts";
import { afterEachHeaderWord } from "../support/header-words.ts";

const fresh = useFolder({ spoiled: true });

test("a reader with a key does not believe what a power cut left of a writer of Cellar, but follows when it moves", () => {
  const path = fresh();
  const writerKey = new Uint8Array(32).fill(7);
  const content = (): Uint8Array => readFileSync(path);
  {
    using writer = StorageWriter.create(path, { writerKey });
    writer.root = writer.write(new Uint8Array(100));
    writer.flushSync();
    const flushed = content();
    writer.root = writer.write(new Uint8Array(100).fill(1));
    writer.commit();
    // The header got to the disk, the cells did not.
    flushed.set(content().subarray(0, 256));
    writer.close();
    writeFileSync(path, flushed);
  }
  using reader = StorageReader.open(path, { writerKey });
  using later = StorageReader.open(path);
  later.enableProcessSync(writerKey);
  const shown = (): unknown => [reader, later].map(({ length, follows }) => [length, follows]);
  const { length } = later;
  expect([reader.refresh(), later.refresh(), shown()]).toEqual([
    false,
    false,
    [reader, later].map(() => [length, "flushes"]),
  ]);
  using writer = StorageWriter.open(path, { writerKey });
  expect(writer.recovery.state).toBe("resumedAtFlush");
  writer.root = writer.write(new Uint8Array(9));
  writer.commit();
  expect([reader.refresh(), later.refresh(), shown()]).toEqual([
    true,
    true,
    [reader, later].map(() => [writer.length, "commits"]),
  ]);
});

test("a reader that is given the key follows the last commit, though it has not looked for some flushes", () => {
  const path = fresh();
  const writerKey = new Uint8Array(32).fill(7);
  const writer = StorageWriter.create(path, { writerKey });
  using reader = StorageReader.open(path);
  for (let i = 0; i < 3; i++) {
    writer.root = writer.write(Uint8Array.of(i));
    writer.flushSync();
  }
  const { length } = writer;
  writer.close();
  reader.enableProcessSync(writerKey);
  expect([reader.refresh(), reader.length, reader.follows]).toEqual([true, length, "commits"]);
});

test("a reader that is given the key goes on to the last flush where the last commit cannot be believed", () => {
  const path = fresh();
  const writerKey = new Uint8Array(32).fill(7);
  const writer = StorageWriter.create(path, { writerKey });
  using reader = StorageReader.open(path);
  writer.root = writer.write(new Uint8Array(100));
  writer.flushSync();
  const { length } = writer;
  const cells = readFileSync(path).subarray(image.AREA_BYTES);
  writer.root = writer.write(new Uint8Array(100).fill(1));
  writer.commit();
  const area = readFileSync(path).subarray(0, image.AREA_BYTES);
  writer.close();
  // As a power cut may leave it: the header got to the disk, the cells did not.
  writeFileSync(path, Buffer.concat([area, cells]), { flag: "r+" });
  reader.enableProcessSync(writerKey);
  expect([reader.refresh(), reader.length, reader.follows]).toEqual([true, length, "flushes"]);
  expect(reader.refresh()).toBe(false);
});

test.each([
  ["whole", []],
  ["torn in copy 1", [image.OFFSET.process1]],
  ["torn in copy 2", [image.OFFSET.process2]],
])(
  "a reader of commits never shows what a power cut left, %s, while a writer recovers",
  (_, torn: readonly number[]) => {
    const path = fresh();
    const writer = StorageWriter.create(path);
    const root = (writer.root = writer.write(new Uint8Array(100)));
    writer.flushSync();
    const flushed = readFileSync(path).subarray(image.AREA_BYTES);
    writer.root = writer.write(new Uint8Array(1000).fill(1));
    writer.commit();
    const area = readFileSync(path).subarray(0, image.AREA_BYTES);
    const { length } = writer;
    writer.close();
    for (const offset of torn) area.fill(0x55, offset, offset + 8);
    writeFileSync(path, Buffer.concat([area, flushed]));
    using reader = StorageReader.open(path, { follow: "commits" });
    const roots = new Set<number | null>();
    afterEachHeaderWord(() => {
      reader.refresh();
      roots.add(reader.root);
    });
    StorageWriter.open(path).close();
    mock.restore();
    expect([...roots]).toEqual([root]);
    expect([reader.follows, reader.length]).toEqual(["commits", length]);
  },
);

test("what is read after a look within a truncation is refused once its cells are given out again", async () => {
  const path = fresh();
  using writer = StorageWriter.create(path);
  writer.root = writer.write(new Uint8Array(100).fill(1));
  writer.flushSync();
  using reader = StorageReader.open(path);
  const { root } = reader;
  const endOfDisk1 = image.OFFSET.disk1 + 28;
  let looks = 0;
  afterEachHeaderWord((offset, word) => {
    if (offset === endOfDisk1 && word === writer.startIndex && looks++ === 0) reader.refresh();
  });
  writer.truncate();
  mock.restore();
  expect([looks > 0, reader.root]).toEqual([true, root]);
  // Given out again, and in the file, without a commit.
  writer.read(writer.write(new Uint8Array(100).fill(2)));
  const truncated = expect.objectContaining({ code: "TRUNCATED" });
  const stream = new Response(reader.stream(root ?? 0)).bytes();
  expect(await stream.catch((error: unknown) => error)).toEqual(truncated);
  expect(await reader.copyTo(fresh()).catch((error: unknown) => error)).toEqual(truncated);
});

test("records of an empty storage are no truncation when the original has written since", async () => {
  const path = fresh();
  const bytes = new Uint8Array(600_000).fill(1);
  {
    using writer = StorageWriter.create(path);
    // Its writer was killed here.
    const annex = readFileSync(path).subarray(image.OFFSET.process2 + 32, image.AREA_BYTES);
    writer.root = writer.write(bytes);
    writer.flushSync();
    const file = readFileSync(path);
    file.set(annex, image.OFFSET.process2 + 32);
    writer.close();
    writeFileSync(path, file);
  }
  using reader = StorageReader.open(path);
  const stream = reader.stream(reader.root ?? 0).getReader();
  const first = (await stream.read()).value?.length ?? 0;
  const fd = openSync(path, "r+");
  writeSync(fd, image.headerCopy({ next: reader.length, root: 0 }), 0, 32, image.OFFSET.disk1);
  closeSync(fd);
  let sum = first;
  for (let piece = await stream.read(); !piece.done; piece = await stream.read()) sum += piece.value.length;
  expect([first < bytes.length, sum]).toEqual([true, bytes.length]);
});

test("a recovery that gives out cells again which readers may hold counts as a truncation", () => {
  const path = fresh();
  {
    using writer = StorageWriter.create(path);
    writer.root = writer.write(new Uint8Array(1_000_000));
    writer.flushSync();
    writer.write(new Uint8Array(1_000_000));
    writer.commit();
    // Killed here, and cut by somebody behind the last flush.
    const bytes = readFileSync(path);
    writer.close();
    writeFileSync(path, bytes.subarray(0, 1_500_000 - (1_500_000 % 32)));
  }
  using reader = StorageReader.open(path);
  using writer = StorageWriter.open(path);
  expect(writer.recovery.ignored).toBe("pastEnd");
  expect([writer.stats().truncations, reader.refresh(), reader.truncations]).toEqual([1, true, 1]);
});

test("a recovery ends the truncation that a kill left under way, and counts it", () => {
  const path = fresh();
  const [flushed, emptied] = [
    { next: 50, root: 0 },
    { next: 8, root: 0 },
  ] as const;
  const record = (sequence: number): image.Proof => ({ ...emptied, base: 8, cellsCrc: 0, sequence, truncations: 5 });
  const area = { disk: [flushed, flushed], process: [emptied, emptied], records: [record(3), record(4)] } as const;
  writeFileSync(path, image.fileOf(area, 100));
  using reader = StorageReader.open(path);
  using writer = StorageWriter.open(path);
  expect([writer.recovery.ignored, writer.length]).toEqual(["older", 50]);
  expect([writer.stats().truncations, reader.refresh(), reader.truncations]).toEqual([3, true, 3]);
});

test("what a truncation that failed has left can be copied", async () => {
  const path = fresh();
  const writer = StorageWriter.create(path);
  writer.root = writer.write(new Uint8Array(1000).fill(3));
  writer.flushSync();
  using before = StorageReader.open(path);
  spyOn(libc(), "msync").mockReturnValue(-1);
  expect(() => writer.truncate()).toThrow(expect.objectContaining({ code: "FAILED" }));
  mock.restore();
  before.refresh();
  using after = StorageReader.open(path);
  for (const reader of [before, after]) {
    const to = fresh();
    const { root } = await reader.copyTo(to);
    using copy = StorageReader.open(to);
    expect(copy.read(root ?? 0)).toEqual(new Uint8Array(1000).fill(3));
  }
  writer.close();
});
