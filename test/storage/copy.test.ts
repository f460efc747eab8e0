/** Hot backups: what is in a copy, and beside what it is made. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { expectCopy, folderAt, MIB, writerOf } from "../support/copies.ts";
import * as image from "../support/image.ts";
import { pattern } from "../support/outcomes.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder();
let folders = 0;
const folder = (): ReturnType<typeof folderAt> => folderAt(file(`folder-${++folders}`));
const child = join(import.meta.dir, "../support/copy-child.ts");

describe("a copy", () => {
  test.each([4, 7, 32, 256, 65535])(
    "with cells of %i bytes has the cells that are used, and no more",
    async (bytesPerCell) => {
      const { at, names } = folder();
      using writer = writerOf(at("a"), 3 * MIB + 5, { bytesPerCell, headString: "copied", maxIndex: 2 ** 24 });
      writer.overrideVersion(7);
      const state = await writer.copyTo(at("b"));
      expect(state).toEqual({ root: writer.root, length: writer.length });
      expect(fs.statSync(at("b")).size).toBe(writer.byteLength);
      expectCopy(at("b"), state, pattern(3 * MIB + 5, 1));
      using reader = StorageReader.open(at("b"));
      expect(reader.config).toEqual(writer.config);
      expect(reader.config.version).toBe(7);
      const cells = writer.length - writer.startIndex;
      expect(Buffer.compare(reader.cells(reader.startIndex, cells), writer.cells(writer.startIndex, cells))).toBe(0);
      expect(names()).toEqual(["a", "b"]);
    },
  );

  test("of a storage of no cells, and of one in memory", async () => {
    const { at, names } = folder();
    using writer = StorageWriter.inMemory({ bytesPerCell: 100 });
    expectCopy(at("empty"), await writer.copyTo(at("empty")), null);
    expect(fs.statSync(at("empty")).size).toBe(300);
    writer.root = writer.write(pattern(2 * MIB, 3));
    writer.commit();
    const state = await writer.copyTo(at("full"));
    expect(state).toEqual({ root: writer.root, length: writer.length });
    expectCopy(at("full"), state, pattern(2 * MIB, 3));
    expect(names()).toEqual(["empty", "full"]);
  });

  test("of a writer is what it has committed", async () => {
    const { at } = folder();
    using writer = writerOf(at("a"), 100);
    const committed = { root: writer.root, length: writer.length };
    writer.root = writer.write(pattern(5, 2));
    expect(await writer.copyTo(at("b"))).toEqual(committed);
    expectCopy(at("b"), committed, pattern(100, 1));
  });

  test("of a reader is what it shows, with the version of now", async () => {
    const { at } = folder();
    using writer = writerOf(at("a"), 2 * MIB);
    using reader = StorageReader.open(at("a"), { follow: "commits" });
    const shown = { root: reader.root, length: reader.length };
    writer.root = writer.write(pattern(5, 2));
    writer.overrideVersion(9);
    writer.flushSync();
    expect(await reader.copyTo(at("b"))).toEqual(shown);
    expectCopy(at("b"), shown, pattern(2 * MIB, 1));
    using copy = StorageReader.open(at("b"));
    expect(copy.config.version).toBe(9);
  });

  test("is of one state, whatever is written, committed and refreshed meanwhile", async () => {
    const { at } = folder();
    using writer = writerOf(at("a"), 4 * MIB);
    using reader = StorageReader.open(at("a"), { follow: "commits" });
    const shown = { root: reader.root, length: reader.length };
    let calls = 0;
    const onProgress = (): void => {
      writer.root = writer.write(pattern(MIB, ++calls));
      writer.flushSync();
      expect(reader.refresh()).toBe(true);
    };
    const both = [reader.copyTo(at("b"), { onProgress }), writer.copyTo(at("c"))];
    expect(await Promise.all(both)).toEqual([shown, shown]);
    expect(calls).toBe(6);
    expectCopy(at("b"), shown, pattern(4 * MIB, 1));
    expectCopy(at("c"), shown, pattern(4 * MIB, 1));
  });

  test("of a file that the original wrote after a truncation has its state, though no record tells of it", async () => {
    const { at } = folder();
    const writer = StorageWriter.create(at("a"), { capacityCells: 500 });
    writer.truncate();
    writer.close();
    const headers = [image.OFFSET.disk1, image.OFFSET.disk2];
    let bytes: Uint8Array = fs.readFileSync(at("a"));
    for (const offset of headers) bytes = image.withBytes(bytes, offset, image.headerCopy({ next: 400, root: 0 }));
    fs.writeFileSync(at("a"), bytes);
    using reader = StorageReader.open(at("a"));
    expectCopy(at("b"), await reader.copyTo(at("b")), null);
    expect(fs.statSync(at("b")).size).toBe(400 * 32);
  });

  test("tells how far it is, and lets the event loop turn", async () => {
    const { at } = folder();
    using writer = writerOf(at("a"), 8 * MIB);
    let turns = 0;
    let turning = setImmediate(function turn() {
      turns++;
      turning = setImmediate(turn);
    });
    const seen: number[] = [];
    const turnsAt: number[] = [];
    await writer.copyTo(at("b"), {
      onProgress: ({ copiedBytes, totalBytes }) => {
        expect(totalBytes).toBe(writer.byteLength);
        seen.push(copiedBytes);
        turnsAt.push(turns);
      },
    });
    clearImmediate(turning);
    expect(seen[0]).toBe(256);
    expect(seen.at(-1)).toBe(writer.byteLength);
    expect(seen.toSorted((a, b) => a - b)).toEqual(seen);
    expect(Math.max(...seen.map((bytes, i) => bytes - (seen[i - 1] ?? 0)))).toBeLessThanOrEqual(MIB);
    expect(new Set(turnsAt.slice(1)).size).toBe(turnsAt.length - 1);
  });

  test("may be read by no one else than the storage", async () => {
    const { at } = folder();
    using writer = writerOf(at("a"), 10);
    fs.chmodSync(at("a"), 0o600);
    await writer.copyTo(at("b"));
    expect(fs.statSync(at("b")).mode & 0o777).toBe(0o600);
  });
});

test("a killed copy leaves nothing where files need no name, and the next one is made", async () => {
  const { at, names } = folder();
  using writer = writerOf(at("a"), 3 * MIB);
  writer.flushSync();
  const killed = Bun.spawn([process.execPath, child, "killed", at("a"), at("b")], { stdout: "pipe" });
  expect([await killed.exited, killed.signalCode, await killed.stdout.text()]).toEqual([137, "SIGKILL", ""]);
  expect(names()).toEqual(["a"]);
  expectCopy(at("b"), await writer.copyTo(at("b")), pattern(3 * MIB, 1));
});
