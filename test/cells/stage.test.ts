/** The stage over a region whose writes fail: nothing changes, nothing is lost, and it goes on when they work again. */

import { describe, expect, test } from "bun:test";
import { StorageError } from "../../src/error.ts";
import { checkConfig } from "../../src/format/config.ts";
import { HEADER_AREA_BYTES } from "../../src/format/layout.ts";
import { MemoryRegion } from "../../src/region/memory.ts";
import { readBlob } from "../../src/cells/blob.ts";
import { CommitChecksum } from "../../src/state/commit-checksum.ts";
import { Space } from "../../src/cells/space.ts";
import { WritableCells } from "../../src/cells/writable.ts";
import { codeOf } from "../support/errors.ts";

const START = 8;
const SIZE_BYTES = 2 ** 26;
const config = checkConfig({ headString: "", version: 1, bytesPerCell: 32, maxIndex: 2 ** 20 });
const bytes = (length: number, salt: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i * 5 + salt);

class FailingRegion extends MemoryRegion {
  /** The write that fails, counted from 1; its range holds anything then. */
  failAt = 0;
  /** Where each write begins and ends. */
  readonly written: [fromBytes: number, toBytes: number][] = [];

  constructor() {
    super(HEADER_AREA_BYTES, SIZE_BYTES);
  }

  override write(offset: number, written: Uint8Array): void {
    this.written.push([offset, offset + written.length]);
    const fails = this.failAt > 0 && --this.failAt === 0;
    super.write(offset, fails ? new Uint8Array(written.length).fill(0xee) : written);
    if (fails) throw new StorageError("DISK_FULL", "told to fail");
  }
}

function open(bytesPerCell = 32): {
  region: FailingRegion;
  cells: WritableCells;
  running: CommitChecksum;
} {
  const region = new FailingRegion();
  const used = checkConfig({ ...config, bytesPerCell });
  const running = new CommitChecksum(region, bytesPerCell, START);
  const space = new Space(region, used, null, START, () => undefined);
  const publisher = { running, checkFailure: () => undefined };
  return {
    region,
    running,
    cells: new WritableCells(region, bytesPerCell, space, publisher, { next: START, root: 0 }),
  };
}

for (const failAt of [1, 2, 3]) {
  test(`a blob of which part ${failAt} fails to be written is taken back, and what was staged before it is there`, () => {
    const { region, cells, running } = open();
    const before = cells.write(bytes(1000, 1));
    const { length } = cells;
    region.failAt = failAt;
    expect(codeOf(() => cells.write(bytes(1_000_000, 2)))).toBe("DISK_FULL");
    expect(cells.length).toBe(length);
    expect(Buffer.compare(readBlob(cells, before), bytes(1000, 1))).toBe(0);
    const again = cells.write(bytes(1_000_000, 3));
    cells.drain();
    const end = cells.length;
    expect(running.extendTo(end)).toBe(new CommitChecksum(region, 32, START).extendTo(end));
    expect(Buffer.compare(readBlob(cells, again), bytes(1_000_000, 3))).toBe(0);
    expect(Buffer.compare(readBlob(cells, before), bytes(1000, 1))).toBe(0);
    region.close();
  });
}

test("cells that are given out after a blob was taken back are zero", () => {
  const { region, cells } = open();
  region.failAt = 2;
  expect(codeOf(() => cells.write(bytes(600_000, 2)))).toBe("DISK_FULL");
  const first = cells.allocate(20_000);
  expect(first).toBe(START);
  expect(cells.view(first, 20_000, 32).every((byte) => byte === 0)).toBe(true);
  region.close();
});

test("cells whose pages cannot be filled are taken back, and zero when they are given out later", () => {
  const { region, cells, running } = open();
  cells.allocate(3);
  for (const failAt of [1, 4, 8]) {
    const { length } = cells;
    region.failAt = failAt;
    expect(codeOf(() => cells.allocate(4000))).toBe("DISK_FULL");
    expect(cells.length).toBe(length);
    const first = cells.allocate(4500);
    expect(first).toBe(length);
    expect(cells.view(first, 4500, 32).every((byte) => byte === 0)).toBe(true);
  }
  expect(running.extendTo(cells.length)).toBe(new CommitChecksum(region, 32, START).extendTo(cells.length));
  region.close();
});

test("cells that are allocated among blobs are zero, and leave the blobs as they are", () => {
  const { region, cells } = open();
  const kept: (readonly [index: number, salt: number])[] = [];
  for (let i = 0; i < 300; i++) {
    kept.push([cells.write(bytes(i * 10, i)), i]);
    const count = 1 + (i % 7) * 40;
    const view = cells.view(cells.allocate(count), count, 32);
    expect(view.every((byte) => byte === 0)).toBe(true);
    view.fill(0xaa);
  }
  for (const [index, salt] of kept) expect(Buffer.compare(readBlob(cells, index), bytes(salt * 10, salt))).toBe(0);
  region.close();
});

test("a blob that cannot be brought into memory stays staged", () => {
  const { region, cells } = open();
  const index = cells.write(bytes(1000, 1));
  region.failAt = 1;
  expect(codeOf(() => readBlob(cells, index))).toBe("DISK_FULL");
  expect(Buffer.compare(readBlob(cells, index), bytes(1000, 1))).toBe(0);
  region.close();
});

test("the CRC that is taken on the way is the one of the cells", () => {
  const { region, cells, running } = open();
  for (let i = 0; i < 2000; i++) cells.write(bytes(i, i));
  cells.allocate(3);
  cells.write(bytes(400_000, 1));
  const view = cells.view(START + 10, 5, 32);
  view.fill(9);
  cells.drain();
  const committed = cells.length;
  expect(running.extendTo(committed)).toBe(new CommitChecksum(region, 32, START).extendTo(committed));
  cells.write(bytes(100, 3));
  cells.drain();
  const { length } = cells;
  // Truncating flushes the last commit once more, when later cells are in memory already.
  expect(running.extendTo(committed)).toBe(new CommitChecksum(region, 32, START).extendTo(committed));
  expect(running.extendTo(length)).toBe(new CommitChecksum(region, 32, START).extendTo(length));
  region.close();
});

describe("while a flush is under way", () => {
  /** The CRC that the next commit would store, against one that is taken at once. */
  function expectRight({ region, running }: ReturnType<typeof open>, base: number, length: number): void {
    expect(running.base).toBe(base);
    expect(running.extendTo(length)).toBe(new CommitChecksum(region, 32, base).extendTo(length));
  }

  const changes: Readonly<Record<string, (opened: ReturnType<typeof open>, index: number) => void>> = {
    "nothing is changed": () => undefined,
    "a view is changed before the commit": ({ cells }, index) => void cells.view(index, 2, 32).fill(7),
    "a field is stored": ({ cells }, index) => cells.setU32(index, 4, 77),
  };
  for (const [what, change] of Object.entries(changes)) {
    test(`the CRC of what comes after it is taken too; ${what}`, () => {
      const opened = open();
      const { region, cells, running } = opened;
      const write = (count: number): number => {
        for (let i = 0; i < count; i++) cells.write(bytes(1000 + i, i));
        cells.drain();
        return cells.length;
      };
      const flushed = write(300);
      running.extendTo(flushed);
      running.prepare(flushed);
      const waiting = write(300);
      change(opened, flushed + 5);
      running.extendTo(waiting);
      running.prepare(waiting);
      const later = write(300);
      change(opened, waiting + 9);
      running.extendTo(later);
      // The flush that waited is asked for anew, and takes the later state.
      running.prepare(later);
      const length = write(300);
      change(opened, later + 20);
      running.restart(flushed);
      expectRight(opened, flushed, length);
      running.restart(later);
      expectRight(opened, later, length);
      // Truncating begins anew, whatever was asked for.
      running.prepare(length);
      running.restart(START);
      expectRight(opened, START, length);
      region.close();
    });
  }
});

test("bytes that another thread makes longer meanwhile are refused, and nothing has changed", () => {
  for (const [before, after] of [
    [10, 100],
    [100, 10],
  ] as const) {
    const { region, cells } = open();
    const kept = cells.write(bytes(50, 1));
    const { length } = cells;
    let looks = 0;
    // As a view of a growable shared buffer: its length is another once its cells are taken.
    const growing = Object.defineProperty(bytes(after, 2), "length", { get: () => (looks++ < 2 ? before : after) });
    expect(() => cells.write(growing)).toThrow(TypeError);
    expect(cells.length).toBe(length);
    const next = cells.write(bytes(300, 3));
    expect(Buffer.compare(readBlob(cells, kept), bytes(50, 1))).toBe(0);
    expect(Buffer.compare(readBlob(cells, next), bytes(300, 3))).toBe(0);
    region.close();
  }
});

describe.each([32, 36, 1000, 65535])("cells of %d bytes", (bytesPerCell) => {
  test("go to the region in whole cells, up to multiples of 256 KiB, and are covered by the CRC", () => {
    const { region, cells, running } = open(bytesPerCell);
    const blobs = [100, 300_000, 65_535, 3_000_000, 0, 1_000_000, 65_536].map((length, salt) => {
      return [cells.write(bytes(length, salt)), bytes(length, salt)] as const;
    });
    const pieces = [...region.written];
    cells.drain();
    for (const [index, blob] of blobs) expect(Buffer.compare(readBlob(cells, index), blob)).toBe(0);
    expect(running.extendTo(cells.length)).toBe(new CommitChecksum(region, bytesPerCell, START).extendTo(cells.length));
    expect(pieces.length).toBeGreaterThan(10);
    for (const [i, [from, to]] of pieces.entries()) {
      expect([from, to % bytesPerCell]).toEqual([pieces[i - 1]?.[1] ?? START * bytesPerCell, 0]);
      // No more than a part of a cell before a multiple. Large cells may fill the buffer first.
      const short = -to & (256 * 1024 - 1);
      if (bytesPerCell < 65535) expect(short).toBeLessThan(bytesPerCell);
    }
    region.close();
  });
});
