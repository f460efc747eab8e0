/** The end of the index space: INDEX_OVERFLOW, and nothing changes. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { StorageReader, StorageWriter } from "../../../src/index.ts";
import { errorOf } from "../../support/errors.ts";

/** What must not change. */
function marksOf(writer: StorageWriter): unknown {
  const onDisk = writer.path.startsWith("(") ? 0 : fs.statSync(writer.path).size;
  return [writer.length, writer.byteLength, writer.root, onDisk, writer.config];
}

export function overflowTests(fresh: () => string): void {
  describe.each(["on disk", "in memory"])("%s", (kind) => {
    const make = (options: object): StorageWriter =>
      kind === "on disk" ? StorageWriter.create(fresh(), options) : StorageWriter.inMemory(options);

    /** Expects a call to find no index left, and to leave everything as it was. */
    function expectOverflow(writer: StorageWriter, call: () => unknown): void {
      const before = marksOf(writer);
      const error = errorOf(call);
      expect([error.code, error.path, error.errno]).toEqual(["INDEX_OVERFLOW", writer.path, undefined]);
      expect(marksOf(writer)).toEqual(before);
    }

    test.each([undefined, 32, 320, 1024 * 1024])(
      "with steps of %p bytes every index up to maxIndex - 1 is given out",
      (step) => {
        using writer = make({ maxIndex: 50, ...(step === undefined ? {} : { resizeStepBytes: step }) });
        const blob = writer.write(new Uint8Array(26).fill(5));
        writer.root = blob;
        for (const count of [42, 100, 2 ** 31, 2 ** 32, 2 ** 53, Number.MAX_VALUE]) {
          expectOverflow(writer, () => writer.allocate(count));
        }
        // 42 cells take 42 * 32 - 6 bytes, of which 41 are left.
        expectOverflow(writer, () => writer.write(new Uint8Array(41 * 32 - 5)));
        for (let index = 9; index < 49; index++) expect(writer.allocate()).toBe(index);
        expectOverflow(writer, () => writer.allocate(2));
        expectOverflow(writer, () => writer.write(new Uint8Array(27)));
        expect(writer.write(new Uint8Array(26).fill(7))).toBe(49);
        expectOverflow(writer, () => writer.allocate());
        expectOverflow(writer, () => writer.write(new Uint8Array(0)));
        expect([writer.length, writer.root]).toEqual([50, blob]);
        expect([writer.read(49)[25], writer.read(blob)[25]]).toEqual([7, 5]);
        expect(writer.flushSync()).toEqual({ root: blob, length: 50 });
        writer.truncate();
        expect(writer.allocate(42)).toBe(8);
      },
    );

    test("a blob of many chunks that does not fit stores not even its first", () => {
      const chunkCells = Math.ceil((65535 + 6) / 32);
      using writer = make({ maxIndex: 8 + 2 * chunkCells });
      const bytes = new Uint8Array(2 * 65535 + 1).fill(9);
      expectOverflow(writer, () => writer.write(bytes));
      const first = writer.allocate(chunkCells);
      expect(writer.cells(first, chunkCells).every((byte) => byte === 0)).toBe(true);
      writer.truncate();
      expect(writer.write(bytes.subarray(1))).toBe(8 + 2 * chunkCells - 1);
    });
  });

  test("a full storage opens full, for a writer and a reader", () => {
    const path = fresh();
    const full = StorageWriter.create(path, { maxIndex: 12 });
    full.allocate(4);
    full.close();
    using writer = StorageWriter.open(path);
    expect(errorOf(() => writer.allocate()).code).toBe("INDEX_OVERFLOW");
    using reader = StorageReader.open(path);
    expect([writer.length, reader.length, reader.cell(11).length]).toEqual([12, 12, 32]);
  });
}
