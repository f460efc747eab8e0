/** Fields: loads and stores of numbers in cells, against a DataView over the same bytes; and blobs that are staged. */

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { codeOf } from "../support/errors.ts";
import { useFolder } from "../support/folder.ts";
import { Random, seedFromEnvironment } from "../support/random.ts";

const fresh = useFolder({ inMemory: true });
const WINDOW_BYTES = 16 * 2 ** 20;
/** More than are kept at a time. */
const WINDOWS = 18;
/** A window is made when its cells were asked for more often than this. */
const LOADS = 2100;
const seed = seedFromEnvironment();

describe.each([4, 5, 32, 33, 1000, 65_535])("fields in cells of %d bytes", (bytesPerCell) => {
  test(`are what a DataView says, at random places (seed ${seed})`, () => {
    const random = new Random(seed);
    const path = fresh();
    using writer = StorageWriter.create(path, { bytesPerCell });
    const cells = Math.ceil((WINDOWS * WINDOW_BYTES) / bytesPerCell);
    const first = writer.allocate(cells);
    const model = new DataView(new ArrayBuffer(cells * bytesPerCell));
    // Some fields lie in windows, some in none any more, and some across two.
    for (let window = 0; window < WINDOWS; window++) {
      const index = first + Math.floor((cells - 1) * (window / WINDOWS));
      for (let i = 0; i < LOADS; i++) writer.u8(index, 0);
    }
    const stored: (readonly [index: number, offset: number, kind: number])[] = [];
    for (let i = 0; i < 6000; i++) {
      const kind = random.between(0, 3);
      const lengthBytes = 2 ** kind;
      const cell = random.between(0, cells - 1);
      const most = Math.min((cells - cell) * bytesPerCell - lengthBytes, 3 * bytesPerCell);
      if (most < 0) continue;
      const offset = random.between(0, most);
      const value = random.between(0, 2 ** Math.min(8 * lengthBytes, 32) - 1);
      const at = cell * bytesPerCell + offset;
      const index = first + cell;
      if (kind === 0) (writer.setU8(index, offset, value), model.setUint8(at, value));
      if (kind === 1) (writer.setU16(index, offset, value), model.setUint16(at, value, true));
      if (kind === 2) (writer.setU32(index, offset, value), model.setUint32(at, value, true));
      const wide = BigInt(value) * 0x1_0000_0001n;
      if (kind === 3) (writer.setU64(index, offset, wide), model.setBigUint64(at, wide, true));
      stored.push([index, offset, kind]);
    }
    writer.commit();
    using reader = StorageReader.open(path, { follow: "commits" });
    for (const storage of [writer, reader]) {
      for (const [index, offset, kind] of stored) {
        const at = (index - first) * bytesPerCell + offset;
        if (kind === 0) expect(storage.u8(index, offset)).toBe(model.getUint8(at));
        if (kind === 1) expect(storage.u16(index, offset)).toBe(model.getUint16(at, true));
        if (kind === 2) expect(storage.u32(index, offset)).toBe(model.getUint32(at, true));
        if (kind === 3) expect(storage.u64(index, offset)).toBe(model.getBigUint64(at, true));
      }
    }
    const [index = 0] = stored[0] ?? [];
    const view = writer.cell(index);
    expect(Buffer.compare(view, new Uint8Array(model.buffer, (index - first) * bytesPerCell, bytesPerCell))).toBe(0);
  });

  test("at the very end of the storage, and not a byte further", () => {
    using writer = StorageWriter.create(fresh(), { bytesPerCell });
    const last = writer.allocate(3) + 2;
    const offset = bytesPerCell - 4;
    writer.setU32(last, offset, 0xfffffffe);
    expect(writer.u32(last, offset)).toBe(0xfffffffe);
    for (const beyond of [offset + 1, offset + bytesPerCell, -1, 0.5, Number.NaN, Infinity, 2 ** 53]) {
      expect([beyond, codeOf(() => writer.u32(last, beyond))]).toEqual([beyond, "INDEX_OUT_OF_RANGE"]);
      expect([beyond, codeOf(() => writer.setU32(last, beyond, 1))]).toEqual([beyond, "INDEX_OUT_OF_RANGE"]);
    }
    expect(codeOf(() => writer.u8(last + 1, 0))).toBe("INDEX_OUT_OF_RANGE");
    expect(() => writer.u8(last, "0" as unknown as number)).toThrow(TypeError);
  });
});

test("a footer that lies across two windows is read", () => {
  using writer = StorageWriter.inMemory({ bytesPerCell: 4 });
  const cellsOfWindow = WINDOW_BYTES / 4;
  writer.allocate(cellsOfWindow - 1 - writer.length);
  const index = writer.write(Uint8Array.of(1, 2));
  expect(index).toBe(cellsOfWindow);
  expect([...writer.read(index)]).toEqual([1, 2]);
});

test("a value that does not fit its field is refused, and stores nothing", () => {
  using writer = StorageWriter.inMemory();
  const index = writer.allocate();
  const wrong: readonly (() => void)[] = [
    ...[-1, 256, 1.5, Number.NaN, "1", 1n, undefined].map((value) => () => writer.setU8(index, 0, value as number)),
    ...[-1, 65_536].map((value) => () => writer.setU16(index, 0, value)),
    ...[-1, 2 ** 32, Infinity].map((value) => () => writer.setU32(index, 0, value)),
    ...[-1n, 2n ** 64n, 1].map((value) => () => writer.setU64(index, 0, value as bigint)),
  ];
  for (const store of wrong) expect(store).toThrow(TypeError);
  expect(writer.cell(index).every((byte) => byte === 0)).toBe(true);
});

test("fields of a closed storage are refused", () => {
  const writer = StorageWriter.inMemory();
  const index = writer.allocate();
  writer.u32(index, 0);
  writer.close();
  expect(codeOf(() => writer.u32(index, 0))).toBe("CLOSED");
  expect(codeOf(() => writer.setU32(index, 0, 1))).toBe("CLOSED");
});

describe("a field that is stored after a commit covered its cell", () => {
  test("is proven by the next commit", () => {
    const path = fresh();
    const copy = fresh();
    using writer = StorageWriter.create(path);
    const index = writer.allocate(100);
    writer.commit();
    writer.setU32(index + 50, 8, 7);
    writer.commit();
    Bun.write(copy, readFileSync(path));
    using reopened = StorageWriter.open(copy);
    expect(reopened.recovery.state).toBe("resumedAtCommit");
    expect(reopened.u32(index + 50, 8)).toBe(7);
  });

  test("is proven by the next flush's commit, though root and length are the same", async () => {
    const path = fresh();
    using writer = StorageWriter.create(path);
    const index = writer.allocate(100);
    writer.commit();
    writer.setU32(index, 0, 9);
    const flushed = writer.flush();
    const copy = fresh();
    await Bun.write(copy, readFileSync(path));
    await flushed;
    using reopened = StorageWriter.open(copy);
    expect(reopened.recovery.state).not.toBe("resumedAtFlush");
    expect(reopened.u32(index, 0)).toBe(9);
  });
});

describe("blobs that are staged", () => {
  const bytes = (length: number, salt: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 7 + salt);

  test("are seen by every way to read them", () => {
    using writer = StorageWriter.inMemory();
    const write = (): number => writer.write(bytes(50, writer.length));
    const reads: readonly ((index: number) => number | undefined)[] = [
      (index) => writer.read(index)[1],
      (index) => writer.chunks(index)[0]?.[1],
      (index) => writer.cells(index - 1, 2)[1],
      (index) => writer.cell(index - 1)[1],
      (index) => writer.bytes(index - 1, 60)[1],
      (index) => writer.u8(index - 1, 1),
      (index) => writer.u16(index - 1, 1) & 0xff,
      // From a cell that is in memory into one that is staged.
      (index) => writer.u8(index - 3, 65),
      (index) => writer.bytes(index - 3, 96)[65],
      (index) => writer.cells(index - 3, 4)[65],
    ];
    let before = write();
    for (const read of reads) {
      writer.u8(before, 0);
      const start = writer.length;
      const index = write();
      expect(index).toBe(start + 1);
      expect(read(index)).toBe((7 + start) & 0xff);
      expect(writer.blobLength(index)).toBe(50);
      before = index;
    }
  });

  test("are what they were when they were written, whatever becomes of the bytes", () => {
    using writer = StorageWriter.inMemory();
    const source = bytes(100, 1);
    const index = writer.write(source);
    source.fill(0);
    expect(Buffer.compare(writer.read(index), bytes(100, 1))).toBe(0);
  });

  test("may be changed through a view before the commit, which proves what they are then", () => {
    const path = fresh();
    const copy = fresh();
    using writer = StorageWriter.create(path);
    writer.flushSync();
    const index = writer.write(bytes(100, 1));
    // Brought into memory, and its CRC taken, before the view is handed out.
    writer.u8(index, 0);
    writer.chunks(index)[0]?.fill(5);
    writer.write(bytes(100, 2));
    writer.commit();
    Bun.write(copy, readFileSync(path));
    using reopened = StorageWriter.open(copy);
    expect(reopened.recovery.state).toBe("resumedAtCommit");
    expect(reopened.read(index).every((byte) => byte === 5)).toBe(true);
  });

  test(`of any size come back, between allocations, in memory and in a file (seed ${seed})`, () => {
    const random = new Random(seed);
    for (const bytesPerCell of [4, 32, 65_535]) {
      const path = fresh();
      const kept = new Map<number, Uint8Array>();
      {
        using writer = StorageWriter.create(path, { bytesPerCell });
        for (let i = 0; i < 120; i++) {
          const size = random.pick([0, 1, 30, 100, 5000, 65_535, 65_536, 262_144, 400_000] as const);
          const blob = bytes(size, i);
          kept.set(writer.write(blob), blob);
          if (random.next() < 0.2) {
            expect(writer.cells(writer.allocate(2), 2).every((byte) => byte === 0)).toBe(true);
          }
          if (random.next() < 0.1) writer.commit();
        }
      }
      using reader = StorageReader.open(path);
      for (const [index, blob] of kept) expect(Buffer.compare(reader.read(index), blob)).toBe(0);
    }
  });
});
