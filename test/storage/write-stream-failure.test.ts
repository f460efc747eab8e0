/** Every way for the source of a `writeStream` to fail, and what is left of the blob then. */

import { describe, expect, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { sourceOf } from "../support/chunk-source.ts";
import { emulatedBy } from "../support/emulated.ts";
import { pattern, reason, rejected } from "../support/outcomes.ts";
import { until } from "../support/process-until.ts";
import { stateOf } from "../support/state.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder();
const CHUNK_BYTES = 65535;

describe("a writeStream that fails", () => {
  const error = new Error("no more");
  const fail = (): never => {
    throw error;
  };

  test.each([0, 1, 5])(
    "after %i chunks of a source that throws leaves root and length as they were",
    async (chunks) => {
      using writer = StorageWriter.create(file());
      writer.root = writer.write(pattern(100, 1));
      writer.commit();
      const before = stateOf(writer);
      const told = sourceOf(chunks, fail);
      expect(await reason(writer.writeStream(told.source))).toBe(error);
      expect([stateOf(writer), told.stops]).toEqual([before, 0]);
      expect(Buffer.compare(writer.cells(writer.allocate(5000), 5000), new Uint8Array(160_000))).toBe(0);
    },
  );

  test("by its signal does not wait for a source that hangs, and tells it to stop", async () => {
    using writer = StorageWriter.create(file());
    const before = stateOf(writer);
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const chunks of [0, 3]) {
      const stop = new AbortController();
      const told = sourceOf(chunks, () => promise);
      const index = reason(writer.writeStream(told.source, { signal: stop.signal }));
      await until("all is stored", () => writer.length === before.length + chunks * 2049);
      stop.abort(error);
      expect(await index).toBe(error);
      await until("the source was told", () => told.stops === 1);
      expect(stateOf(writer)).toEqual(before);
    }
    resolve();
    let cancelled: unknown;
    const stream = new ReadableStream<Uint8Array>({ cancel: (why) => void (cancelled = why) });
    expect(await reason(writer.writeStream(stream, { signal: AbortSignal.abort(error) }))).toBe(error);
    expect(cancelled).toBe(error);
    const stop = new AbortController();
    const hanging = new ReadableStream<Uint8Array>({ pull: () => promise.then(() => new Promise(() => undefined)) });
    const index = reason(writer.writeStream(hanging, { signal: stop.signal }));
    await until("it is being read", () => hanging.locked);
    stop.abort(error);
    expect(await index).toBe(error);
  });

  test("keeps what was allocated or committed meanwhile, and what is behind it", async () => {
    using writer = StorageWriter.create(file());
    using reader = StorageReader.open(writer.path, { follow: "commits" });
    let allocateAtEnd = false;
    const actions: readonly (readonly [what: string, act: () => void, keeps: number])[] = [
      ["nothing", () => undefined, 0],
      ["an allocation", () => void writer.allocate(3), 4 * 2049 + 3],
      ["a commit", () => writer.commit(), 4 * 2049],
      ["an allocation at the end", () => void (allocateAtEnd = true), 7 * 2049 + 3],
      ["a root", () => void (writer.root = writer.length - 1), 4 * 2049],
    ];
    for (const [what, act, keeps] of actions) {
      allocateAtEnd = false;
      const { length } = writer;
      const source = async function* () {
        yield* sourceOf(4, () => undefined).source;
        act();
        yield* sourceOf(3, () => undefined).source;
        if (allocateAtEnd) writer.allocate(3);
        fail();
      };
      expect([what, await reason(writer.writeStream(source()))]).toEqual([what, error]);
      expect([what, writer.length - length]).toEqual([what, keeps]);
      writer.root = null;
      writer.commit();
      reader.refresh();
      expect([what, reader.length]).toEqual([what, writer.length]);
    }
  });

  test("leaves no trace in the proof of the next commit, though its cells were in the file", async () => {
    using writer = StorageWriter.create(file());
    expect(await reason(writer.writeStream(sourceOf(20, fail).source))).toBe(error);
    writer.root = writer.write(pattern(40 * CHUNK_BYTES, 1));
    writer.commit();
    const copy = file();
    copyFileSync(writer.path, copy);
    using recovered = StorageWriter.open(copy);
    expect(recovered.recovery.state).toBe("resumedAtCommit");
    expect(recovered.read(recovered.root ?? 0)).toEqual(pattern(40 * CHUNK_BYTES, 1));
  });

  test("on a full storage leaves it as it was", async () => {
    using writer = StorageWriter.create(file(), { maxIndex: 10_000 });
    const before = stateOf(writer);
    const told = sourceOf(100, () => undefined);
    expect(await reason(writer.writeStream(told.source))).toEqual(rejected("INDEX_OVERFLOW"));
    expect([stateOf(writer), told.stops]).toEqual([before, 1]);
    expect(writer.allocate(10_000 - before.length)).toBe(before.length);
  });

  const noResizing = emulatedBy("under QEMU, Bun ends at the first ArrayBuffer that can be resized");
  const skipped = noResizing === undefined ? "" : ` (skipped: ${noResizing})`;
  const title = `by a piece whose memory is gone stores nothing, as write does, and tells the source to stop${skipped}`;
  test.skipIf(noResizing !== undefined)(title, async () => {
    using writer = StorageWriter.create(file());
    const shrinking = new ArrayBuffer(100, { maxByteLength: 100 });
    const transferred = new Uint8Array(500);
    const buffer = new ArrayBuffer(500);
    const numbers = new Uint32Array(100);
    const field = new DataView(new ArrayBuffer(100));
    structuredClone(0, { transfer: [transferred.buffer, buffer, numbers.buffer, field.buffer] });
    const other = StorageWriter.inMemory();
    const [ofClosed = expect.unreachable()] = other.chunks(other.write(pattern(300, 1)));
    other.close();
    const gone = [
      transferred,
      buffer,
      numbers,
      field,
      ofClosed,
      new Uint8Array(shrinking, 40, 60),
      new Uint8Array(shrinking, 40),
      new Uint32Array(shrinking, 40, 10),
      new DataView(shrinking, 40, 60),
    ];
    shrinking.resize(10);
    const before = stateOf(writer);
    for (const piece of gone) {
      let stopped = false;
      const source = async function* (): AsyncGenerator<Uint8Array> {
        try {
          yield pattern(100_000, 1);
          yield piece as Uint8Array;
        } finally {
          stopped = true;
        }
      };
      expect(await reason(writer.writeStream(source()))).toBeInstanceOf(TypeError);
      expect(() => writer.write(piece)).toThrow(TypeError);
      await until("the source was told", () => stopped);
      expect(stateOf(writer)).toEqual(before);
    }
    // No bytes are not gone.
    expect(writer.read(writer.write(new Uint8Array(shrinking, 10, 0)))).toHaveLength(0);
  });

  test("because the storage was truncated or closed meanwhile takes nothing from it", async () => {
    using writer = StorageWriter.create(file());
    let index = 0;
    const truncating = sourceOf(2, () => {
      writer.truncate();
      // As long as it was: the same indices, another's cells.
      index = writer.write(pattern(2 * CHUNK_BYTES, 9));
    });
    expect(await reason(writer.writeStream(truncating.source))).toEqual(rejected("TRUNCATED"));
    expect(writer.read(index)).toEqual(pattern(2 * CHUNK_BYTES, 9));
    const closing = sourceOf(2, () => writer.close());
    expect(await reason(writer.writeStream(closing.source))).toEqual(rejected("CLOSED"));
    expect(await reason(writer.writeStream(sourceOf(1, fail).source))).toEqual(rejected("CLOSED"));
  });
});

test("a source that hangs is told, and the call rejected, when the storage is closed", async () => {
  for (const wait of [0, 2]) {
    const writer = StorageWriter.inMemory();
    let stopped = false;
    const source = {
      async *[Symbol.asyncIterator]() {
        try {
          for (let piece = 0; piece < wait; piece++) yield new Uint8Array(70_000);
          await new Promise(() => {});
        } finally {
          stopped = true;
        }
      },
    };
    const stored = writer.writeStream(source).catch((error: unknown) => (error as { code?: unknown }).code);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    writer.close();
    expect(await stored).toBe("CLOSED");
    // A generator that hangs cannot be ended; a stream can.
    expect(stopped).toBe(false);
  }
  const writer = StorageWriter.inMemory();
  const reasons: unknown[] = [];
  const stream = new ReadableStream<Uint8Array>({ cancel: (reason) => void reasons.push(reason) });
  const stored = writer.writeStream(stream).catch((error: unknown) => error);
  writer.close();
  const error = await stored;
  expect(error).toEqual(expect.objectContaining({ code: "CLOSED" }));
  expect(reasons).toEqual([error]);
});
