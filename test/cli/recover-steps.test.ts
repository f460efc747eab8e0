/** `cellar recover` on files that end in the middle of something: what it announces is what opens afterwards. */

import { expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { FILE, HEADER_AREA_BYTES } from "../../src/format/layout.ts";
import { pageSizeBytes } from "../../src/os/mapping.ts";
import { headerCopy } from "../support/image.ts";
import { cellarJson } from "../support/cli.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ inMemory: true, spoiled: true });
const BYTES_PER_CELL = 32;

/** Writes a file as a killed writer would leave it, with these places zero. */
function leave(path: string, bytes: Uint8Array, ...places: readonly { offset: number; sizeBytes: number }[]): void {
  for (const { offset, sizeBytes } of places) bytes.fill(0, offset, offset + sizeBytes);
  writeFileSync(path, bytes);
}

test("cells that no flush covers are renewed in whole pages: the file is made long enough", async () => {
  const path = file();
  using writer = StorageWriter.create(`${path}.live`, { capacityCells: 20 });
  const root = (writer.root = writer.write(new Uint8Array(100)));
  writer.commit();
  leave(path, readFileSync(writer.path), FILE.disk1, FILE.disk2);
  expect(statSync(path).size).toBe(20 * BYTES_PER_CELL);
  const state = { done: true, evidence: "proof", root, length: root + 1 };
  expect(await cellarJson("recover", path, "--yes")).toMatchObject(state);
  expect(statSync(path).size).toBe(pageSizeBytes());
});

test("a cut file goes to the root of its last flush, though an older commit that ends at the cut proves itself", async () => {
  const path = file();
  using writer = StorageWriter.create(`${path}.live`);
  const root = (writer.root = writer.write(new Uint8Array(10)));
  writer.flushSync();
  const older = (writer.root = writer.write(new Uint8Array(11)));
  writer.commit();
  const before = readFileSync(writer.path);
  writer.allocate(2);
  writer.root = root;
  writer.flushSync();
  const bytes = readFileSync(writer.path);
  // The commit in the middle is the last that is told of, but for the flush.
  before.copy(bytes, FILE.process1.offset, FILE.process1.offset, HEADER_AREA_BYTES);
  const length = older + 1;
  leave(path, bytes.subarray(0, length * BYTES_PER_CELL));

  const state = { evidence: "cut", proven: false, root, length, lostCells: 2 };
  expect(await cellarJson("recover", path)).toMatchObject({ ...state, done: false });
  expect(await cellarJson("recover", path, "--yes", "--unproven")).toMatchObject({ ...state, done: true });
  using reader = StorageReader.open(path);
  expect([reader.root, reader.length, reader.truncations]).toEqual([root, length, 1]);
});

test("a header that points a little behind the end does not count when the file is made longer", async () => {
  const path = file();
  using writer = StorageWriter.create(`${path}.live`, { capacityCells: 20 });
  const root = (writer.root = writer.write(new Uint8Array(100)));
  writer.commit();
  const bytes = readFileSync(writer.path);
  for (const { offset } of [FILE.process1, FILE.process2]) bytes.set(headerCopy({ next: 21, root: 0 }), offset);
  leave(path, bytes, FILE.disk1, FILE.disk2);
  const state = { done: true, evidence: "record", root, length: root + 1 };
  expect(await cellarJson("recover", path, "--yes", "--unproven")).toMatchObject(state);
  using reader = StorageReader.open(path);
  expect([reader.root, reader.length]).toEqual([root, root + 1]);
});
