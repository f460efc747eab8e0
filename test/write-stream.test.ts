/** Blobs that are stored while their bytes come: the same file as at once, and every way for the source to fail. */

import { describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { StorageReader, type StorageState, StorageWriter } from "../src/index.ts";
import { pattern, reason, rejected } from "./fixtures/outcomes.ts";
import { sourceOf } from "./fixtures/chunk-source.ts";
import { until } from "./fixtures/process-until.ts";
import { useFolder } from "./support/folder.ts";
import { Random, seedFromEnvironment } from "./support/random.ts";

const file = useFolder();
const CHUNK_BYTES = 65535;
const lengths = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7];
const seed = seedFromEnvironment();
console.log(`streams: SEED=${seed}`);
const random = new Random(seed);
const stateOf = ({ root, length }: StorageState): StorageState => ({ root, length });

/** The bytes in pieces of any size, also of none. Each is spoilt when the next is asked for: it is the source's. */
async function* inPieces(bytes: Uint8Array, mostBytes: number): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < bytes.length;) {
    const piece = bytes.slice(done, done + random.below(mostBytes + 1));
    done += piece.length;
    yield piece;
    piece.fill(0xee);
  }
}

/** A storage whose content depends on nothing but what is done. */
function writerAt(path: string, bytesPerCell = 32): StorageWriter {
  return StorageWriter.create(path, { bytesPerCell, writerKey: new Uint8Array(32) });
}

describe("writeStream", () => {
  test.each([4, 32, 4096, 65535])("makes the same file as write, with cells of %i bytes", async (bytesPerCell) => {
    using one = writerAt(file(), bytesPerCell);
    using other = writerAt(file(), bytesPerCell);
    for (const [i, lengthBytes] of lengths.entries()) {
      for (const mostBytes of [lengthBytes + 1, CHUNK_BYTES, 5 * CHUNK_BYTES, 10_000]) {
        const bytes = pattern(lengthBytes, i);
        one.root = one.write(bytes);
        other.root = await other.writeStream(inPieces(bytes, mostBytes));
        expect([other.root, other.length]).toEqual([one.root, one.length]);
      }
    }
    one.flushSync();
    other.flushSync();
    const [left, right] = [readFileSync(one.path), readFileSync(other.path)];
    expect(Buffer.compare(left.subarray(0, one.byteLength), right.subarray(0, one.byteLength))).toBe(0);
  });

  test("takes web streams, Node's streams, files and other storages", async () => {
    using writer = writerAt(file());
    const bytes = pattern(200_000, 1);
    const path = file("source.bin");
    await Bun.write(path, bytes);
    const index = writer.write(bytes);
    const sources = [
      new Response(bytes).body ?? new ReadableStream(),
      Readable.from([bytes.subarray(0, 70_000), bytes.subarray(70_000)]),
      Bun.file(path).stream(),
      writer.stream(index),
      (async function* views() {
        yield* writer.chunks(index);
      })(),
    ];
    for (const source of sources) expect(writer.read(await writer.writeStream(source))).toEqual(bytes);
  });

  test("lets anything else be written between", async () => {
    using writer = writerAt(file());
    const bytes = pattern(5 * CHUNK_BYTES + 3, 2);
    const others: number[] = [];
    const source = async function* () {
      for await (const piece of inPieces(bytes, 50_000)) {
        yield piece;
        others.push(writer.write(pattern(100, others.length)));
        if (others.length % 3 === 0) writer.commit();
        if (others.length % 4 === 0) void writer.flush();
      }
    };
    const [first, second] = await Promise.all([
      writer.writeStream(source()),
      writer.writeStream(inPieces(bytes, 9999)),
    ]);
    for (const index of [first, second]) expect(writer.read(index)).toEqual(bytes);
    for (const [i, index] of others.entries()) expect(writer.read(index)).toEqual(pattern(100, i));
    expect(writer.chunks(first)).toHaveLength(6);
  });

  test("stores while it reads, and lets the event loop turn", async () => {
    using writer = StorageWriter.inMemory();
    const piece = new Uint8Array(256 * 1024);
    let turns = 0;
    let turning = setImmediate(function turn() {
      turns++;
      turning = setImmediate(turn);
    });
    let most = 0;
    const source = async function* () {
      for (let i = 0; i < 128; i++) {
        yield piece;
        most = Math.max(most, (i + 1) * piece.length - (writer.byteLength - 256));
      }
    };
    const index = await writer.writeStream(source());
    clearImmediate(turning);
    expect(writer.blobLength(index)).toBe(128 * piece.length);
    expect(most).toBeLessThanOrEqual(CHUNK_BYTES);
    expect(turns).toBeGreaterThanOrEqual(7);
  });

  test("takes bytes only, from what can be waited for", async () => {
    using writer = writerAt(file());
    const before = stateOf(writer);
    const texts = (async function* () {
      yield "text";
    })();
    for (const wrong of [null, undefined, 7, "text", [], new Uint8Array(3), texts]) {
      expect(await reason(writer.writeStream(wrong as never))).toBeInstanceOf(TypeError);
    }
    const locked = new ReadableStream();
    locked.getReader();
    expect(await reason(writer.writeStream(locked))).toBeInstanceOf(TypeError);
    expect(await reason(writer.writeStream(inPieces(before as never, 1), { signal: 1 as never }))).toBeInstanceOf(
      TypeError,
    );
    expect(stateOf(writer)).toEqual(before);
  });
});

describe("a writeStream that fails", () => {
  const error = new Error("no more");
  const fail = (): never => {
    throw error;
  };

  test.each([0, 1, 5])(
    "after %i chunks of a source that throws leaves root and length as they were",
    async (chunks) => {
      using writer = writerAt(file());
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
    using writer = writerAt(file());
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
    using writer = writerAt(file());
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
    using writer = writerAt(file());
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

  test("because the storage was truncated or closed meanwhile takes nothing from it", async () => {
    using writer = writerAt(file());
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
