/** Arguments that are wrong in value or in type, for every public method that takes one. */

import { describe, expect, test } from "bun:test";
import { StorageReader, StorageWriter } from "../../../src/index.ts";
import { codeOf, errorOf } from "../../support/errors.ts";
import { type AnyStorage, kinds, subjectOf } from "./storages.ts";

const START = 8;
const LENGTH = 20;
/** Numbers that are no index of data in a storage of 20 cells. */
const badIndices = [
  0,
  -0,
  1,
  7,
  20,
  21,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 32 + 8,
  2 ** 53,
  -1,
  -8,
  8.5,
  1.5,
  NaN,
  Infinity,
  -Infinity,
];
const notNumbers = ["8", "", null, undefined, {}, [], [8], 8n, true, Symbol("8"), new Number(8), (): number => 8];

type ByIndex = (storage: AnyStorage, index: number) => unknown;
const byIndex: Record<string, ByIndex> = {
  cell: (storage, index) => storage.cell(index),
  cells: (storage, index) => storage.cells(index, 1),
  "cells of none": (storage, index) => storage.cells(index, 0),
  bytes: (storage, index) => storage.bytes(index, 1),
  read: (storage, index) => storage.read(index),
  chunks: (storage, index) => storage.chunks(index),
  readInto: (storage, index) => storage.readInto(index, new Uint8Array(1)),
  stream: (storage, index) => storage.stream(index),
  blobLength: (storage, index) => storage.blobLength(index),
};

function setRoot(writer: StorageWriter, root: unknown): void {
  writer.root = root as number;
}

export function argumentTests(fresh: () => string): void {
  /** 12 cells of data: an empty blob in each. */
  const fill = (writer: StorageWriter): void => {
    while (writer.length < LENGTH) writer.write(new Uint8Array(0));
  };

  describe.each([...kinds])("%s", (kind) => {
    test.each(Object.keys(byIndex))("%s: an index that is none", (method) => {
      const call = byIndex[method] ?? expect.unreachable();
      using subject = subjectOf(kind, fresh(), fill);
      const { storage } = subject;
      for (const index of badIndices) {
        const error = errorOf(() => call(storage, index));
        expect([error.code, error.index, error.path]).toEqual(["INDEX_OUT_OF_RANGE", index, storage.path]);
      }
      for (const index of notNumbers) expect(() => call(storage, index as number)).toThrow(TypeError);
      for (const index of [START, LENGTH - 1]) expect(() => call(storage, index)).not.toThrow();
    });

    test("cells and bytes: a number of them that is none", () => {
      using subject = subjectOf(kind, fresh(), fill);
      const { storage } = subject;
      for (const [most, call] of [
        [LENGTH - 9, (count: number) => storage.cells(9, count)],
        [(LENGTH - 9) * 32, (count: number) => storage.bytes(9, count)],
      ] as const) {
        for (const count of [most + 1, -1, 0.5, 1.5, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 32, 2 ** 53]) {
          const error = errorOf(() => call(count));
          expect([error.code, error.index, error.path]).toEqual(["INDEX_OUT_OF_RANGE", 9, storage.path]);
        }
        for (const count of notNumbers) expect(() => call(count as number)).toThrow(TypeError);
        expect([call(0).length, call(most).length]).toEqual([0, (LENGTH - 9) * 32]);
      }
    });

    test("checkWriterKey: a key that is none", () => {
      using subject = subjectOf(kind, fresh(), fill);
      expectKeyErrors((key) => subject.storage.checkWriterKey(key));
    });
  });

  test("root: an index that is none", () => {
    using subject = subjectOf("writer", fresh(), fill);
    const { writer } = subject;
    setRoot(writer, 11);
    for (const index of badIndices) {
      const error = errorOf(() => setRoot(writer, index));
      expect([error.code, error.index, error.path]).toEqual(["INDEX_OUT_OF_RANGE", index, writer.path]);
    }
    for (const index of notNumbers.filter((value) => value !== null)) {
      expect(() => setRoot(writer, index)).toThrow(TypeError);
    }
    expect(writer.root).toBe(11);
    for (const root of [START, LENGTH - 1, null]) {
      setRoot(writer, root);
      expect(writer.root).toBe(root);
    }
  });

  test("a writer's key: not bytes, or not 32 of them", () => {
    const path = fresh();
    StorageWriter.create(path).close();
    const missing = fresh();
    expectKeyErrors((writerKey) => StorageWriter.open(path, { writerKey }));
    expectKeyErrors((writerKey) => StorageWriter.create(missing, { writerKey }));
    expectKeyErrors((writerKey) => StorageWriter.openOrCreate(missing, { writerKey }));
    expectKeyErrors((writerKey) => StorageWriter.inMemory({ writerKey }));
    expectKeyErrors((writerKey) => StorageReader.open(path, { writerKey }));
    using reader = StorageReader.open(path);
    expectKeyErrors((writerKey) => reader.enableProcessSync(writerKey));
    const other = errorOf(() => reader.enableProcessSync(new Uint8Array(32)));
    expect([other.code, other.path, reader.follows]).toEqual(["INVALID_WRITER_KEY", path, "flushes"]);
    const opening = errorOf(() => StorageReader.open(path, { writerKey: new Uint8Array(32) }));
    expect([opening.code, opening.path]).toEqual(["INVALID_WRITER_KEY", path]);
  });

  describe.each(["writer", "in memory"] as const)("%s", (kind) => {
    /** Calls a writer with what it must refuse by a TypeError, and leave as it is. */
    const refuses = (call: (writer: StorageWriter, value: never) => unknown, values: readonly unknown[]): void => {
      using subject = subjectOf(kind, fresh(), fill);
      const { writer } = subject;
      for (const value of values) expect(() => call(writer, value as never)).toThrow(TypeError);
      expect([writer.length, writer.root, writer.config.version]).toEqual([LENGTH, null, 1]);
    };

    test("write: what holds no bytes", () => {
      const values = ["text", "", 7, null, undefined, {}, [], [1, 2, 3], 7n, true, new Blob(["x"]), new Number(7)];
      refuses((writer, value) => writer.write(value), values);
      using memory = StorageWriter.inMemory();
      for (const value of values) expect(() => memory.write(value as never)).toThrow(/^bytes: expected a typed array/);
      refuses((writer, value) => writer.write(value), [{ byteLength: 4, length: 4 }, { buffer: new ArrayBuffer(4) }]);
    });

    test("allocate: a number of cells that is none", () => {
      const numbers = [0, -0, -1, 1.5, NaN, Infinity, -Infinity];
      refuses(
        (writer, count) => writer.allocate(count),
        [...numbers, ...notNumbers.filter((one) => one !== undefined)],
      );
    });

    test("truncate: a capacity that is none", () => {
      const capacities = [0, -1, 1.5, NaN, Infinity, "100", null, {}, 100n];
      refuses((writer, capacityCells) => writer.truncate({ capacityCells }), capacities);
      refuses((writer, options) => writer.truncate(options), [null]);
    });

    test("overrideVersion: a version that is none", () => {
      refuses((writer, version) => writer.overrideVersion(version), notNumbers);
      using subject = subjectOf(kind, fresh(), fill);
      const { writer } = subject;
      for (const version of [-1, 1.5, NaN, Infinity, 2 ** 32]) {
        const error = errorOf(() => writer.overrideVersion(version));
        expect([error.code, error.path, writer.config.version]).toEqual(["INVALID_CONFIG", writer.path, 1]);
      }
    });
  });
}

function expectKeyErrors(call: (key: Uint8Array) => unknown): void {
  for (const length of [0, 1, 31, 33, 64]) {
    expect(codeOf(() => call(new Uint8Array(length)))).toBe("INVALID_WRITER_KEY");
  }
  const values = [
    null,
    "x".repeat(32),
    7,
    {},
    new Array(32).fill(0),
    new ArrayBuffer(32),
    new Uint32Array(8),
    new DataView(new ArrayBuffer(32)),
  ];
  for (const value of values) expect(() => call(value as Uint8Array)).toThrow(TypeError);
}
