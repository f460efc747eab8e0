/** What a reader believes, and what it may copy, after a power cut, a cut file, and a truncation that failed. */

import { expect, mock, spyOn, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { StorageReader, StorageWriter } from "../src/index.ts";
import { libc } from "../src/os/libc.ts";
import { useFolder } from "./support/folder.ts";

const fresh = useFolder({ spoilt: true });

test("a reader with a key does not believe what a power cut left of a writer of Cellar, but follows when it moves", () => {
  const path = fresh();
  const writerKey = new Uint8Array(32).fill(7);
  const image = (): Uint8Array => readFileSync(path);
  {
    using writer = StorageWriter.create(path, { writerKey });
    writer.root = writer.write(new Uint8Array(100));
    writer.flushSync();
    const flushed = image();
    writer.root = writer.write(new Uint8Array(100).fill(1));
    writer.commit();
    // The header got to the disk, the cells did not.
    flushed.set(image().subarray(0, 256));
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
