/** Opening what is no storage, or a damaged one. A reader changes no file, whatever it finds. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";
import { StorageError, StorageReader, StorageWriter } from "../../../src/index.ts";
import { Child } from "../../support/child.ts";
import { Random, seedFromEnvironment } from "../../support/random.ts";
import { errorOf } from "../../support/errors.ts";
import { configBytes, emptyFile, fileOf, OFFSET, withBytes, withFlippedBit } from "../../support/image.ts";
import { foreignContents, unopenable } from "./files.ts";

const opener = new URL("opener-child.ts", import.meta.url).pathname;
const { EEXIST, ENOENT } = constants.errno;
const modes = ["reader", "writer"] as const;
type Mode = (typeof modes)[number];

/** Bytes, size and times of a file. */
function stateOf(path: string): unknown {
  const { size, mtimeNs, ctimeNs, blocks, ino } = fs.statSync(path, { bigint: true });
  return { size, mtimeNs, ctimeNs, blocks, ino, hash: Bun.hash(fs.readFileSync(path)) };
}

/** Opens a file as a reader, which must leave it as it was, whatever comes of it. */
function openReader(path: string): StorageReader {
  const before = stateOf(path);
  try {
    const reader = StorageReader.open(path);
    if (reader.length > reader.startIndex) reader.cell(reader.startIndex).fill(0xaa);
    expect([reader.refresh(), reader.refresh()]).toEqual([false, false]);
    return reader;
  } finally {
    expect(stateOf(path)).toEqual(before);
  }
}

/** The code that opening ends with, or "opened" and the length. */
function outcomeOf(path: string, mode: Mode): string {
  const before = stateOf(path);
  try {
    using storage = mode === "reader" ? openReader(path) : StorageWriter.open(path);
    return `opened ${storage.length}`;
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    expect(error.path).toBe(path);
    // A writer that is refused changes nothing either.
    expect(stateOf(path)).toEqual(before);
    return error.code;
  }
}

export function openingTests(fresh: (name?: string) => string): void {
  /** The outcomes for a reader, then for a writer, of a file with these bytes. */
  const outcomes = (bytes: Uint8Array): string[] => {
    const path = fresh();
    fs.writeFileSync(path, bytes);
    return modes.map((mode) => outcomeOf(path, mode));
  };
  const both = (code: string): string[] => [code, code];

  test("what is no file to open: a typed error, at once", async () => {
    await using child = new Child(opener);
    for (const { what, path, code, errno, missing } of unopenable(fresh)) {
      if (missing !== undefined) console.warn(`skipped: ${what}: ${missing}`);
      else {
        for (const as of modes) {
          const answer = await child.ask({ path, as });
          expect([what, answer["code"], answer["path"]]).toEqual([what, code, path]);
          if (errno === undefined) continue;
          expect([what, answer["errno"]]).toEqual([what, errno]);
          expect(answer["syscall"]).toBeString();
        }
      }
    }
  });

  test("files of other programs", () => {
    for (const [what, bytes] of Object.entries(foreignContents(fresh))) {
      expect([what, ...outcomes(bytes)]).toEqual([what, ...both("NOT_A_STORAGE")]);
    }
  });

  test("random bytes, with and without a config before them", () => {
    const path = fresh();
    const seed = seedFromEnvironment();
    const random = new Random(seed);
    for (let round = 0; round < 60; round++) {
      const hasConfig = round % 2 === 1;
      const bytes = Uint8Array.from({ length: 1024 }, () => random.below(256));
      if (hasConfig) bytes.set(configBytes());
      fs.writeFileSync(path, bytes);
      const allowed = hasConfig ? ["HEADER_BROKEN"] : ["NOT_A_STORAGE", "HEADER_BROKEN", "FILE_CUT"];
      for (const mode of modes) {
        const code = outcomeOf(path, mode);
        if (!allowed.includes(code)) throw new Error(`SEED=${seed}, round ${round}: ${mode}: ${code}`);
      }
    }
  });

  describe.each([32, 40, 4, 300])("cells of %d bytes", (bytesPerCell) => {
    const start = Math.ceil(256 / bytesPerCell);
    const state = { next: start + 3, root: start };
    const whole = fileOf({ config: { bytesPerCell }, disk: [state, state], process: [state, state] }, state.next + 2);

    test("a file cut to any length opens if its cells are there, and only then", () => {
      const path = fresh();
      const endBytes = state.next * bytesPerCell;
      const isEdge = (length: number): boolean => [0, 1, bytesPerCell - 1].includes(length % bytesPerCell);
      for (let length = 0; length <= endBytes + 4; length++) {
        // Of large cells only those lengths where something changes.
        if (endBytes > 400 && !isEdge(length) && Math.abs(length - 256) > 1) continue;
        const [reader, writer] = modes.map((mode) => {
          fs.writeFileSync(path, whole.subarray(0, length));
          return outcomeOf(path, mode);
        });
        const expected = length < 256 ? "NOT_A_STORAGE" : length < endBytes ? "FILE_CUT" : `opened ${state.next}`;
        expect([length, reader, writer]).toEqual([length, expected, expected]);
      }
    });

    test("a size of no whole cells: a reader leaves it, a writer makes it whole", () => {
      const path = fresh();
      const cutBytes = whole.length - 1;
      fs.writeFileSync(path, whole.subarray(0, cutBytes));
      expect(outcomeOf(path, "reader")).toBe(`opened ${state.next}`);
      using writer = StorageWriter.open(path);
      expect(fs.statSync(path).size).toBe(whole.length);
      const last = state.next + 1;
      while (writer.length <= last) expect(writer.cell(writer.allocate()).every((byte) => byte === 0)).toBe(true);
    });
  });

  test("a config that is out of range", () => {
    const inFile: [string, Parameters<typeof configBytes>[0]][] = [
      ...[0, 3, 65536, 0xffffffff].map((bytesPerCell): [string, object] => ["bytesPerCell", { bytesPerCell }]),
      ...[0, 1, 7].map((maxIndex): [string, object] => ["maxIndex", { maxIndex }]),
      ["maxIndex", { bytesPerCell: 4, maxIndex: 63 }],
    ];
    for (const [field, config] of inFile) {
      const bytes = withBytes(emptyFile(), 0, configBytes(config));
      expect([field, config, ...outcomes(bytes)]).toEqual([field, config, ...both("INVALID_CONFIG")]);
    }
    const path = fresh();
    const whole = [-1, 1.5, Number.NaN, Infinity, 2 ** 32];
    for (const [name, values] of [
      ["bytesPerCell", [...whole, 0, 3, 65536]],
      ["version", whole],
      ["maxIndex", [...whole, 0, 7]],
      ["headString", ["x".repeat(21), "\u0100", new Uint8Array(19)]],
    ] as const) {
      for (const value of values) {
        for (const make of [StorageWriter.create, StorageWriter.openOrCreate]) {
          expect(errorOf(() => make(path, { [name]: value })).code).toBe("INVALID_CONFIG");
        }
      }
    }
    expect(fs.existsSync(path)).toBe(false);
  });

  test("every bit of head string, cell size and max index is under a hash; the version may change", () => {
    const path = fresh();
    StorageWriter.create(path, { headString: "cellar", capacityCells: 16 }).close();
    const bytes = fs.readFileSync(path);
    for (let bit = 0; bit < 32 * 8; bit++) {
      fs.writeFileSync(path, withFlippedBit(bytes, bit));
      expect([bit, outcomeOf(path, "reader")]).toEqual([bit, bit < 28 * 8 ? "INVALID_CONFIG" : "opened 8"]);
      if (bit % 37 === 0) expect(outcomeOf(path, "writer")).toBe("INVALID_CONFIG");
    }
  });

  test("header copies: both of disk sync broken, one of them, all of process sync", () => {
    const zeros = new Uint8Array(32);
    const state = { next: 10, root: 9 };
    const whole = fileOf({ disk: [state, state], process: [state, state] }, 12);
    const without = (...names: (keyof typeof OFFSET)[]): Uint8Array =>
      names.reduce((bytes, name) => withBytes(bytes, OFFSET[name], zeros), whole);
    expect(outcomes(without("disk1", "disk2"))).toEqual(both("HEADER_BROKEN"));
    for (const gone of [["disk1"], ["disk2"], ["process1"], ["process1", "process2"], ["disk1", "process2"]] as const) {
      expect(outcomes(without(...gone))).toEqual(both("opened 10"));
    }
  });

  test("another config than the one expected, field by field", () => {
    const path = fresh();
    fs.writeFileSync(path, emptyFile({ headString: "this" }));
    for (const other of [{ headString: "that" }, { version: 2 }, { bytesPerCell: 64 }, { maxIndex: 9 }]) {
      const before = stateOf(path);
      for (const { open } of [StorageReader, StorageWriter]) {
        const error = errorOf(() => open(path, { expect: other }));
        expect([error.code, error.path]).toEqual(["CONFIG_MISMATCH", path]);
      }
      expect(stateOf(path)).toEqual(before);
    }
  });

  test("creating where something is, or where there is no directory, leaves everything as it was", () => {
    const path = fresh("taken/storage");
    fs.mkdirSync(dirname(path));
    fs.writeFileSync(path, "taken");
    const dangling = fresh("taken/link");
    fs.symlinkSync("nowhere", dangling);
    const before = stateOf(path);
    for (const taken of [path, dangling, dirname(path)]) {
      const error = errorOf(() => StorageWriter.create(taken));
      expect([error.code, error.path, error.errno, error.syscall]).toEqual(["ALREADY_EXISTS", taken, EEXIST, "open"]);
    }
    const nowhere = fresh("taken/no/storage");
    const error = errorOf(() => StorageWriter.create(nowhere));
    expect([error.code, error.path, error.errno]).toEqual(["NO_SUCH_FILE", nowhere, ENOENT]);
    expect(stateOf(path)).toEqual(before);
    expect(fs.readdirSync(dirname(path)).sort()).toEqual(["link", "storage"]);
  });

  test("a path that is none", () => {
    for (const path of ["", "a\0b", null, undefined, 1, {}, Buffer.from("x")]) {
      const wrong = path as string;
      for (const call of [StorageWriter.create, StorageWriter.open, StorageWriter.openOrCreate, StorageReader.open]) {
        for (const options of [{}, { allowUnsafeFilesystem: true }]) {
          expect(() => call(wrong, options)).toThrow(TypeError);
          expect(() => call(wrong, options)).toThrow(/^path: expected a /);
        }
      }
    }
  });

  test("options that are none", async () => {
    const path = fresh();
    using writer = StorageWriter.create(path);
    using reader = StorageReader.open(path);
    for (const value of [null, "commits", 7, true, (): object => ({})]) {
      const options = value as object;
      const calls = [
        () => StorageWriter.create(fresh(), options),
        () => StorageWriter.open(path, options),
        () => StorageWriter.openOrCreate(path, options),
        () => StorageWriter.inMemory(options),
        () => StorageReader.open(path, options),
        () => reader.watch(options),
        () => writer.truncate(options),
      ];
      for (const call of calls) expect(call).toThrow(/^options: expected an object/);
      for (const call of [writer.copyTo(fresh(), options), writer.writeStream(new Blob(["x"]).stream(), options)]) {
        expect(await call.catch((error: unknown) => error)).toBeInstanceOf(TypeError);
      }
    }
    expect([writer.length, writer.stats().truncations]).toEqual([writer.startIndex, 0]);
  });
}
