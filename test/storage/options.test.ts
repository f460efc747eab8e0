/** What users choose: defaults, bounds, growth, and the environment. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import {
  type CreateOptions,
  makeWriterKey,
  type OpenReaderOptions,
  type StorageConfig,
  StorageReader,
  StorageWriter,
} from "../../src/index.ts";
import { codeOf } from "../support/errors.ts";
import { environmentTests } from "./options/environment.ts";
import { growthTests } from "./options/growth.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder();
const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");

function configOf(options: CreateOptions): StorageConfig {
  using writer = StorageWriter.inMemory(options);
  return writer.config;
}

describe("headString", () => {
  test.each([
    ["", ""],
    ["cellar", "cellar"],
    ["caf\u00e9 \u00ff\u0080", "caf\u00e9 \u00ff\u0080"],
    ["exactly 20 characters", null],
    ["exactly 20 character", "exactly 20 character"],
    ["zeros at the end\0\0", "zeros at the end"],
    ["20 characters + zero\0\0", "20 characters + zero"],
    ["\0a\0b\0", "\0a\0b"],
    ["above \u0100", null],
    ["\ud83d\ude00", null],
    [bytesOf("a\0\xff".padEnd(20, "\0")), "a\0\xff"],
    [bytesOf("".padEnd(20, "\xfe")), "".padEnd(20, "\xfe")],
    [new Uint8Array(19), null],
    [new Uint8Array(21), null],
  ])("%j is kept as %j", (headString, kept) => {
    if (kept === null) return void expect(codeOf(() => configOf({ headString }))).toBe("INVALID_CONFIG");
    expect(configOf({ headString }).headString).toBe(kept);
  });

  test("stands in the file's first 20 bytes as latin1, and is compared as text or as bytes", () => {
    const path = fresh();
    StorageWriter.create(path, { headString: "caf\u00e9" }).close();
    const padded = bytesOf("caf\xe9".padEnd(20, "\0"));
    expect(new Uint8Array(fs.readFileSync(path).subarray(0, 20))).toEqual(new Uint8Array(padded));
    for (const headString of ["caf\u00e9", "caf\u00e9\0"]) {
      StorageReader.open(path, { expect: { headString } }).close();
      StorageWriter.open(path, { expect: { headString } }).close();
    }
    StorageWriter.openOrCreate(path, { headString: padded }).close();
    expect(codeOf(() => StorageWriter.openOrCreate(path, { headString: "cafe" }))).toBe("CONFIG_MISMATCH");
  });
});

describe("creation", () => {
  test("has defaults", () => {
    for (const make of [StorageWriter.inMemory, (): StorageWriter => StorageWriter.create(fresh())]) {
      using writer = make();
      expect(writer.config).toEqual({ headString: "", version: 1, bytesPerCell: 32, maxIndex: 4294967295 });
      expect([writer.startIndex, writer.length, writer.byteLength, writer.root]).toEqual([8, 8, 256, null]);
      expect(writer.recovery).toEqual({ state: "clean", skippedCells: 0, tornCopies: 0 });
      expect(writer.writerKey.length).toBe(32);
    }
  });

  test("wants maxIndex to leave room for the header area", () => {
    for (const [bytesPerCell, startIndex] of [
      [4, 64],
      [32, 8],
      [255, 2],
      [256, 1],
      [65535, 1],
    ] as const) {
      const below = { bytesPerCell, maxIndex: startIndex - 1 };
      expect(codeOf(() => configOf(below))).toBe("INVALID_CONFIG");
      using writer = StorageWriter.create(fresh(), { bytesPerCell, maxIndex: startIndex });
      expect(writer.length).toBe(startIndex);
      expect(codeOf(() => writer.allocate())).toBe("INDEX_OVERFLOW");
    }
  });

  test.each([
    [1, 8],
    [8, 8],
    [9, 9],
    [4096, 4096],
    [4097, 4096],
    [Number.MAX_SAFE_INTEGER, 4096],
  ])("reserves capacityCells: of %d there are %d", (capacityCells, cells) => {
    using writer = StorageWriter.create(fresh(), { maxIndex: 4096, capacityCells });
    const { size, blocks } = fs.statSync(writer.path);
    expect(size).toBe(cells * 32);
    expect(blocks * 512).toBeGreaterThanOrEqual(size);
    writer.truncate({ capacityCells: 100 });
    const truncated = fs.statSync(writer.path);
    expect(truncated.size).toBeGreaterThanOrEqual(Math.max(100, cells) * 32);
    expect(truncated.blocks * 512).toBeGreaterThanOrEqual(3200);
    using memory = StorageWriter.inMemory({ maxIndex: 4096, capacityCells });
    expect(memory.allocate(4096 - 8)).toBe(8);
  });

  test("without room for capacityCells, truncate changes nothing", () => {
    using writer = StorageWriter.create(fresh(), { bytesPerCell: 65535 });
    const index = writer.write(bytesOf("kept"));
    writer.root = index;
    const { length } = writer;
    expect(() => writer.truncate({ capacityCells: 2 ** 32 - 1 })).toThrow(
      expect.objectContaining({ code: "DISK_FULL" }),
    );
    expect([writer.length, writer.root]).toEqual([length, index]);
    expect(writer.read(index)).toEqual(new Uint8Array(bytesOf("kept")));
    writer.truncate();
    expect(writer).toMatchObject({ length: writer.startIndex, root: null });
  });

  test("reserves more memory than a window without touching it", () => {
    using writer = StorageWriter.inMemory({ capacityCells: 2 ** 28 });
    expect(writer.read(writer.write(bytesOf("blob")))).toEqual(new Uint8Array(bytesOf("blob")));
  });

  test("refuses values of the wrong type, and makes no file", () => {
    const wrong: readonly [keyof CreateOptions, unknown[]][] = [
      ["headString", [1, null, {}, ["a"], new ArrayBuffer(20)]],
      ["version", ["1", null, 1n, {}]],
      ["bytesPerCell", ["32", null, 32n, {}]],
      ["maxIndex", ["100", null, 100n, {}]],
      ["capacityCells", ["100", null, 100n, {}, 0, -1, 1.5, Number.NaN, Infinity]],
      ["resizeStepBytes", ["4096", null, 4096n, {}, 0, -1, 1.5, Number.NaN, Infinity]],
      ["writerKey", ["x".repeat(32), null, new ArrayBuffer(32), new Array(32).fill(0)]],
    ];
    const path = fresh();
    for (const [name, values] of wrong) {
      for (const value of values) {
        const options = { [name]: value } as CreateOptions;
        expect(() => StorageWriter.create(path, options), `create: ${name} ${String(value)}`).toThrow(TypeError);
        expect(() => StorageWriter.inMemory(options), `inMemory: ${name} ${String(value)}`).toThrow(TypeError);
        expect(() => StorageWriter.openOrCreate(path, options), `either: ${name} ${String(value)}`).toThrow(TypeError);
      }
    }
    expect(fs.existsSync(path)).toBe(false);
  });
});

describe("growth", () => growthTests(fresh));
describe("the environment", () => environmentTests(fresh));

describe("opening", () => {
  const given: StorageConfig = { headString: "options", version: 7, bytesPerCell: 40, maxIndex: 5000 };
  const others: Partial<StorageConfig>[] = [
    { headString: "option" },
    { version: 8 },
    { bytesPerCell: 32 },
    { maxIndex: 4999 },
  ];

  test("openOrCreate compares what is given, and only that", () => {
    const path = fresh();
    StorageWriter.openOrCreate(path, given).close();
    for (const options of [{}, given, { version: 7 }, { expect: { version: 7 } }]) {
      using writer = StorageWriter.openOrCreate(path, options);
      expect(writer.config).toEqual(given);
    }
    for (const other of others) {
      expect(codeOf(() => StorageWriter.openOrCreate(path, other))).toBe("CONFIG_MISMATCH");
      expect(codeOf(() => StorageWriter.openOrCreate(path, { ...given, expect: other }))).toBe("CONFIG_MISMATCH");
    }
  });

  test("a writer's and a reader's expect is compared field by field", () => {
    const path = fresh();
    StorageWriter.create(path, given).close();
    for (const open of [StorageWriter.open, StorageReader.open]) {
      for (const expected of [{}, given, { maxIndex: 5000 }]) {
        using storage = open(path, { expect: expected });
        expect(storage.config).toEqual(given);
      }
      for (const other of others) expect(codeOf(() => open(path, { expect: other }))).toBe("CONFIG_MISMATCH");
      for (const wrong of [null, 1, "32", { version: "7" }, { headString: 7 }, { maxIndex: null }]) {
        expect(() => open(path, { expect: wrong as unknown as StorageConfig })).toThrow(TypeError);
      }
    }
  });

  test("follow is one of two words, and a key is for commits", () => {
    const path = fresh();
    const writerKey = makeWriterKey();
    using writer = StorageWriter.create(path, { writerKey });
    const follows = (options: OpenReaderOptions): string => {
      using reader = StorageReader.open(path, options);
      return reader.follows;
    };
    expect(writer.checkWriterKey(writerKey)).toBe(true);
    expect([follows({}), follows({ follow: "flushes" })]).toEqual(["flushes", "flushes"]);
    expect([follows({ follow: "commits" }), follows({ writerKey })]).toEqual(["commits", "commits"]);
    expect(follows({ follow: "commits", writerKey })).toBe("commits");
    expect(() => follows({ follow: "flushes", writerKey })).toThrow(TypeError);
    for (const follow of ["", "flush", null, 1])
      expect(() => follows({ follow: follow as "flushes" })).toThrow(TypeError);
  });

  test("lockTimeoutMs is a number from 0 on", () => {
    const path = fresh();
    StorageWriter.create(path).close();
    for (const lockTimeoutMs of [0, 0.5, 1e9, Infinity]) StorageWriter.open(path, { lockTimeoutMs }).close();
    for (const lockTimeoutMs of [-1, Number.NaN, "1", null, 1n]) {
      expect(() => StorageWriter.open(path, { lockTimeoutMs: lockTimeoutMs as number })).toThrow(TypeError);
    }
  });
});

test("overrideVersion changes the version, durably with the next flush, and nothing else", () => {
  const path = fresh();
  StorageWriter.create(path, { headString: "v", version: 1 }).close();
  for (const version of [0, 2, 0xffffffff]) {
    using writer = StorageWriter.open(path);
    writer.overrideVersion(version);
    writer.flushSync();
    expect(writer.config).toEqual({ headString: "v", version, bytesPerCell: 32, maxIndex: 0xffffffff });
    using reader = StorageReader.open(path, { expect: { version } });
    expect(reader.config).toEqual(writer.config);
  }
});

describe("openOrCreate with an expect that contradicts", () => {
  test.each([
    ["the options", { headString: "a", expect: { headString: "b" } }],
    ["a default of what it would make", { expect: { bytesPerCell: 64 } }],
    ["an option and a default", { bytesPerCell: 64, expect: { bytesPerCell: 64, version: 3 } }],
  ] as const)("%s: makes no file", (_what, options) => {
    const path = fresh();
    for (let turn = 0; turn < 2; turn++) {
      expect(codeOf(() => StorageWriter.openOrCreate(path, options))).toBe("CONFIG_MISMATCH");
      expect(fs.existsSync(path)).toBe(false);
    }
  });

  test("the options only: is refused of an existing file too, whatever it has", () => {
    const path = fresh();
    StorageWriter.create(path, { headString: "b" }).close();
    const options = { headString: "a", expect: { headString: "b" } };
    expect(codeOf(() => StorageWriter.openOrCreate(path, options))).toBe("CONFIG_MISMATCH");
    StorageWriter.openOrCreate(path, { expect: { headString: "b" } }).close();
  });
});
