/** Parts of blobs: the bytes that `slice` has of the whole, by every method that takes a part, and the caller's buffers. */

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { useFolder } from "../support/folder.ts";
import { pattern, reason, rejected } from "../support/outcomes.ts";

const seed = process.env["SEED"];
fc.configureGlobal({ includeErrorInReport: true, ...(seed === undefined ? {} : { seed: Number(seed) }) });
const file = useFolder();
const CHUNK_BYTES = 65535;
const nearEdges = fc
  .tuple(fc.constantFrom(0, 1, 2, 5, 6), fc.integer({ min: -2, max: 2 }))
  .map(([chunks, off]) => Math.max(0, chunks * CHUNK_BYTES + off));
const anyPart = fc.record(
  { offset: fc.oneof(nearEdges, fc.nat(500_000)), length: fc.oneof(nearEdges, fc.nat(500_000)) },
  { requiredKeys: [] },
);

describe("a part of a blob", () => {
  test("is what slice has of the whole", async () => {
    using writer = StorageWriter.create(file());
    const blobs = [0, 1, 100, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES, 5 * CHUNK_BYTES + 20_000].map(
      (size, i) => {
        const bytes = pattern(size, i);
        return { bytes, index: writer.write(bytes) };
      },
    );
    writer.flushSync();
    using reader = StorageReader.open(writer.path);
    const property = fc.asyncProperty(
      fc.nat(blobs.length - 1),
      anyPart,
      fc.nat(400_000),
      async (chosen, part, room) => {
        const blob = blobs[chosen] ?? expect.unreachable();
        const { offset = 0, length = Infinity } = part;
        const expected = blob.bytes.slice(offset, offset + length);
        for (const storage of [writer, reader]) {
          expect(Buffer.compare(storage.read(blob.index, part), expected)).toBe(0);
          expect(Buffer.compare(await new Response(storage.stream(blob.index, part)).bytes(), expected)).toBe(0);
          const target = new Uint8Array(room + 2).fill(0xa5);
          const copied = storage.readInto(blob.index, target.subarray(1, -1), part);
          expect(copied).toBe(Math.min(room, expected.length));
          expect(Buffer.compare(target.subarray(1, 1 + copied), expected.subarray(0, copied))).toBe(0);
          expect([target[0], target.subarray(1 + copied).every((byte) => byte === 0xa5)]).toEqual([0xa5, true]);
        }
      },
    );
    await fc.assert(property, { numRuns: 150 });
  });

  test("is refused if it is no count of bytes", () => {
    using writer = StorageWriter.inMemory();
    const index = writer.write(pattern(100, 1));
    for (const wrong of [-1, 1.5, Number.NaN, Infinity, "1", null, 1n, {}]) {
      for (const part of [{ offset: wrong }, { length: wrong === Infinity ? -1 : wrong }]) {
        expect(() => writer.read(index, part as never)).toThrow(TypeError);
        expect(() => writer.stream(index, part as never)).toThrow(TypeError);
        expect(() => writer.readInto(index, new Uint8Array(9), part as never)).toThrow(TypeError);
      }
    }
    expect(() => writer.read(index, null as never)).toThrow(TypeError);
    expect(writer.read(index, {})).toHaveLength(100);
    expect(writer.read(index, { offset: undefined, length: undefined })).toHaveLength(100);
  });
});

describe("readInto", () => {
  test("takes whatever holds bytes, and refuses what does not, or is gone", () => {
    using writer = StorageWriter.inMemory();
    const bytes = pattern(100_000, 3);
    const index = writer.write(bytes);
    const buffer = new ArrayBuffer(100_010);
    for (const target of [buffer, new DataView(buffer), new Uint16Array(buffer), Buffer.alloc(100_010)]) {
      expect(writer.readInto(index, target)).toBe(100_000);
    }
    expect(Buffer.compare(new Uint8Array(buffer, 0, 100_000), bytes)).toBe(0);
    const gone = new Uint8Array(100);
    structuredClone(0, { transfer: [gone.buffer] });
    for (const target of [gone, null, "text", {}, 7]) {
      expect(() => writer.readInto(index, target as never)).toThrow(TypeError);
    }
    expect(writer.readInto(index, new Uint8Array(0))).toBe(0);
  });

  test("makes no garbage", () => {
    using writer = StorageWriter.inMemory();
    const index = writer.write(pattern(50_000, 1));
    const target = new Uint8Array(50_000);
    for (let i = 0; i < 1000; i++) writer.readInto(index, target);
    Bun.gc(true);
    const before = process.memoryUsage();
    for (let i = 0; i < 20_000; i++) writer.readInto(index, target);
    const { external } = process.memoryUsage();
    // A copy of each would be 1 GB.
    expect(external - before.external).toBeLessThan(10_000_000);
  });
});

test("streams of parts error as those of whole blobs", async () => {
  using writer = StorageWriter.create(file());
  const index = writer.write(pattern(3 * CHUNK_BYTES, 1));
  expect(await reason(new Response(writer.stream(index - 1, { offset: 5 })).bytes())).toEqual(
    rejected("CHUNK_CORRUPT"),
  );
});
