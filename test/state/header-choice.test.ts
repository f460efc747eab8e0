/** Which state a header area is in: the table of src/state/choose-state.ts row by row, and damage of every kind. */

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as fs from "node:fs";
import { StorageError } from "../../src/error.ts";
import { decodeArea } from "../../src/format/area.ts";
import * as format from "../../src/format/header.ts";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { chooseState } from "../../src/state/choose-state.ts";
import { inWords, modelOf } from "./header-model.ts";
import { areaOf, CELLS_CRC, rows, stateOf } from "./header-table.ts";
import * as image from "../support/image.ts";
import { useFolder } from "../support/folder.ts";
import { seedFromEnvironment } from "../support/random.ts";

const fresh = useFolder({ spoiled: true });
/** fast-check prints it with what failed. */
const seed = seedFromEnvironment() | 0;
const BOUNDS: format.Bounds = { startIndex: 8, maxIndex: 1000, fileCells: 100 };

function decided(area: Uint8Array, bounds: format.Bounds = BOUNDS): string {
  try {
    const { header, disk, recovery } = chooseState(
      decodeArea(area),
      bounds,
      ({ cellsCrc }) => cellsCrc === CELLS_CRC,
      "a path",
    );
    return inWords(header, { disk, ...recovery });
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    expect(error.path).toBe("a path");
    return error.code;
  }
}

describe("decide", () => {
  test.each(rows)("disk %s, process %s, records %s: %s", (disk, process, records, expected) => {
    const area = areaOf(disk, process, records);
    expect(decided(image.headerArea(area))).toBe(expected);
    expect(modelOf(area, BOUNDS, CELLS_CRC)).toBe(expected);
  });

  test("agrees with the model on any header area", () => {
    const next = fc.constantFrom(7, 8, 9, 20, 30, 100, 101, 1000, 1001);
    const state = fc.record({ next, root: fc.constantFrom(0, 7, 8, 19, 20, 99) });
    const base = fc.constantFrom(8, 20, 21);
    const rest = { cellsCrc: fc.constantFrom(CELLS_CRC, 8), sequence: fc.nat(3), truncations: fc.nat(1) };
    const pair = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<[T, T]> =>
      fc.oneof(
        fc.tuple(one, one),
        one.map((both): [T, T] => [both, both]),
      );
    const copies = pair(fc.option(state, { freq: 5 }));
    const anyArea = fc.record({ disk: copies, process: copies }).chain(({ disk, process }) => {
      // Records of the states that are there, so that many count.
      const about = fc.constantFrom(...process.map((copy) => copy ?? { next: 20, root: 0 }));
      const baseRoot = fc.constantFrom(...disk.map((copy) => copy?.root ?? 19));
      const another = fc.oneof({ weight: 2, arbitrary: about }, state);
      const record = fc
        .tuple(another, fc.record({ base, baseRoot, ...rest }))
        .map(([of, more]) => ({ ...of, ...more }));
      return pair(fc.option(record)).map((records): image.Area => ({ disk, process, records }));
    });
    const seen = new Set<string>();
    fc.assert(
      fc.property(anyArea, fc.constantFrom(20, 100, 2000), (area, fileCells) => {
        const expected = modelOf(area, { ...BOUNDS, fileCells }, CELLS_CRC);
        seen.add(expected.replace(/ .*/, ""));
        expect(decided(image.headerArea(area), { ...BOUNDS, fileCells })).toBe(expected);
      }),
      { seed, numRuns: 1000 },
    );
    expect([...seen].sort()).toEqual(["FILE_CUT", "HEADER_BROKEN", "clean", "resumedAtCommit", "resumedAtFlush"]);
  });
});

const copies = ["disk1", "disk2", "process1", "process2"] as const;
type Copies = Record<(typeof copies)[number], image.State | null>;

/** The same area with other copies. */
function withCopies(area: image.Area, change: (copies: Copies) => Partial<Copies>): image.Area {
  const before = { disk1: area.disk[0], disk2: area.disk[1], process1: area.process[0], process2: area.process[1] };
  const { disk1, disk2, process1, process2 } = { ...before, ...change(before) };
  return { ...area, disk: [disk1, disk2], process: [process1, process2] };
}

/** Areas as a writer leaves them, and the states that may be told when one copy is damaged. */
const left: readonly [what: string, area: image.Area, legal: readonly string[]][] = [
  ["a clean close", areaOf("F F", "F F", "F@15 -"), ["20/12"]],
  ["a commit after the flush, proven", areaOf("F F", "C C", "F@15 C@20"), ["30/25"]],
  ["a commit after the flush, unproven", areaOf("F F", "C C", "- -"), ["30/12"]],
  ["a flush at its second copy, proven", areaOf("F E", "F F", "E@8 F@15"), ["20/12"]],
  ["a flush at its second copy, unproven", areaOf("F E", "F F", "- -"), ["20/12", "20/9"]],
  ["a commit at its second copy", areaOf("F F", "C F", "F@15 C@20"), ["20/12", "30/25"]],
];

describe.each([...left])("damage after %s", (_what, area, legal) => {
  const intact = image.headerArea(area);
  const expected = (change: (copies: Copies) => Partial<Copies>): string =>
    modelOf(withCopies(area, change), BOUNDS, CELLS_CRC);

  test("every single bit of the four copies is told from what it was, and the state is a legal one", () => {
    const told = new Set<string>();
    for (const name of copies) {
      const torn = expected(() => ({ [name]: null }));
      for (let bit = 0; bit < 256; bit++) {
        // The keyed hash tells who wrote the copy, not what it says.
        const keyed = bit >= 12 * 8 && bit < 24 * 8;
        const words = decided(image.withFlippedBit(intact, image.OFFSET[name] * 8 + bit));
        expect([name, bit, words]).toEqual([name, bit, keyed ? expected(() => ({})) : torn]);
        told.add(/\d+\/\d+/.exec(words)?.[0] ?? words);
      }
    }
    expect([...told].sort()).toEqual([...legal]);
  });

  test.each([...copies])("%s zeroed, all ones, older, or swapped with another", (name) => {
    const at = image.OFFSET[name];
    for (const byte of [0, 0xff]) {
      const damaged = image.withBytes(intact, at, new Uint8Array(32).fill(byte));
      expect(decided(damaged)).toBe(expected(() => ({ [name]: null })));
    }
    const older = stateOf("E") ?? { next: 0, root: 0 };
    const aged = image.withBytes(intact, at, image.headerCopy(older));
    expect(decided(aged)).toBe(expected(() => ({ [name]: older })));
    for (const other of copies) {
      const swapped = image.withBytes(intact, at, intact.subarray(image.OFFSET[other], image.OFFSET[other] + 32));
      swapped.set(intact.subarray(at, at + 32), image.OFFSET[other]);
      expect(decided(swapped)).toBe(expected((old) => ({ [name]: old[other], [other]: old[name] })));
    }
  });
});

describe("a file whose writer was killed after a commit", () => {
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

  /** The file's bytes as a kill leaves them. */
  function killedFile(): Uint8Array {
    const path = fresh();
    using writer = StorageWriter.create(path, { capacityCells: 16 });
    for (const blob of ["flushed", "committed"]) {
      writer.root = writer.write(new TextEncoder().encode(blob));
      if (blob === "flushed") writer.flushSync();
    }
    writer.commit();
    return fs.readFileSync(path);
  }

  test("with any bit of its header copies turned over, a reader shows the flush or the commit", () => {
    const killed = killedFile();
    const path = fresh();
    for (const [follow, first] of [
      ["flushes", ["flushed"]],
      ["commits", ["committed", "flushed"]],
    ] as const) {
      const seen = new Set<string>();
      for (let bit = image.OFFSET.disk1 * 8; bit < (image.OFFSET.process2 + 32) * 8; bit++) {
        fs.writeFileSync(path, image.withFlippedBit(killed, bit));
        using reader = StorageReader.open(path, { follow });
        seen.add(text(reader.read(reader.root ?? 0)));
      }
      expect([...seen].every((blob) => (first as readonly string[]).includes(blob))).toBe(true);
    }
  });

  test.each([...copies])("with %s gone, a writer goes on from the commit", (name) => {
    const path = fresh();
    for (const byte of [0, 0xff]) {
      fs.writeFileSync(path, image.withBytes(killedFile(), image.OFFSET[name], new Uint8Array(32).fill(byte)));
      using writer = StorageWriter.open(path);
      expect(writer.recovery).toMatchObject({ state: "resumedAtCommit", tornCopies: 1, skippedCells: 0 });
      expect(text(writer.read(writer.root ?? 0))).toBe("committed");
    }
  });
});

test("with a cell of the last commit lost, a writer goes on from the commit before it", () => {
  const path = fresh();
  const bytes = ((): Uint8Array => {
    using writer = StorageWriter.create(path, { capacityCells: 64 });
    for (const [number, sizeBytes] of [10, 300, 20].entries()) {
      writer.root = writer.write(new Uint8Array(sizeBytes).fill(number));
      if (number === 0) writer.flushSync();
      else writer.commit();
    }
    return fs.readFileSync(path);
  })();
  const last = (path: string): { root: number; length: number } => {
    using reader = StorageReader.open(path, { follow: "commits" });
    return { root: reader.root ?? 0, length: reader.length };
  };
  fs.writeFileSync(path, bytes);
  const { root: lostRoot, length } = last(path);
  bytes.fill(0, lostRoot * 32, (lostRoot + 1) * 32);
  for (const spoil of [bytes, image.withBytes(bytes, image.OFFSET.process1, new Uint8Array(64))]) {
    fs.writeFileSync(path, spoil);
    using writer = StorageWriter.open(path);
    const { state, skippedCells } = writer.recovery;
    const hasProcess = spoil === bytes;
    expect([state, skippedCells, writer.length]).toEqual([
      "resumedAtCommit",
      hasProcess ? 1 : 0,
      hasProcess ? length : length - 1,
    ]);
    expect(writer.read(writer.root ?? 0)).toEqual(new Uint8Array(300).fill(1));
  }
});

describe("a header copy", () => {
  const u32 = fc.integer({ min: 0, max: 0xffffffff });
  const key = new Uint8Array(32).fill(9);

  test("is the bytes of the format, and reads back", () => {
    expect(Buffer.from(format.encodeHeader({ next: 0, root: 0 }, null)).toString("hex", 0, 24)).toBe(
      "10bc4a33204cfd5e078948dd".repeat(2),
    );
    fc.assert(
      fc.property(u32, u32, fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 })), (next, root, writerKey) => {
        const raw = format.encodeHeader({ next, root }, writerKey);
        expect(Buffer.from(raw)).toEqual(Buffer.from(image.headerCopy({ next, root }, writerKey ?? undefined)));
        expect(format.decodeHeader(raw)).toEqual({ next, root });
        expect(writerKey === null || format.carriesKey(raw, writerKey)).toBe(true);
      }),
      { seed, numRuns: 200 },
    );
  });

  test("with one bit turned over is torn, or carries the key no longer", () => {
    const raw = format.encodeHeader({ next: 20, root: 12 }, key);
    expect(format.carriesKey(raw, key)).toBe(true);
    for (let bit = 0; bit < 256; bit++) {
      const flipped = image.withFlippedBit(raw, bit);
      const keyed = bit >= 12 * 8 && bit < 24 * 8;
      expect(format.decodeHeader(flipped) === null).toBe(!keyed);
      expect(format.carriesKey(flipped, key)).toBe(bit < 12 * 8);
    }
  });

  test.each([
    [8, 0, true],
    [7, 0, false],
    [100, 99, true],
    [101, 99, false],
    [20, 8, true],
    [20, 7, false],
    [20, 19, true],
    [20, 20, false],
    [0, 0, false],
    [0xffffffff, 0, false],
  ])("next %i and root %i may be believed: %p", (next, root, believed) => {
    for (const bounds of [BOUNDS, { startIndex: 8, maxIndex: 100, fileCells: 1000 }]) {
      const checked = format.checkHeader({ next, root }, bounds);
      expect(checked).toEqual(believed ? ({ next, root } as format.CheckedHeader) : null);
    }
  });
});
