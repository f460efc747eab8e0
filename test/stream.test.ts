/** Blobs as streams, in and out: the same bytes and the same chunks as at once, and every way for them to fail. */

import { describe, expect, test } from "bun:test";
import { readFileSync, truncateSync } from "node:fs";
import { Readable } from "node:stream";
import { StorageReader, type StorageState, StorageWriter } from "../src/index.ts";
import { until } from "./fixtures/process-until.ts";
import { useFolder } from "./support/folder.ts";
import { Random, seedFromEnvironment } from "./support/random.ts";

const file = useFolder();
const CHUNK_BYTES = 65535;
const MIB = 1024 * 1024;
const seed = seedFromEnvironment();
console.log(`streams: SEED=${seed}`);
const random = new Random(seed);
const rejected = (code: string): unknown => expect.objectContaining({ code });
const reason = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "fulfilled",
    (error: unknown) => error,
  );
const stateOf = ({ root, length }: StorageState): StorageState => ({ root, length });

function pattern(lengthBytes: number, seedByte: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: lengthBytes }, (_, i) => (i * 31 + seedByte * 17 + (i >>> 8)) & 0xff);
}

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

const all = (stream: ReadableStream<Uint8Array>): Promise<Uint8Array> => new Response(stream).bytes();
const lengths = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7];

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

/** A source that yields so many chunks and then does something; tells whether it was told to stop. */
function sourceOf(chunks: number, then: () => unknown): { readonly source: AsyncIterable<Uint8Array>; stops: number } {
  const told = {
    stops: 0,
    source: {
      [Symbol.asyncIterator]: () => {
        let left = chunks;
        return {
          next: async (): Promise<IteratorResult<Uint8Array>> => {
            if (left-- > 0) return { done: false, value: pattern(CHUNK_BYTES, left) };
            await then();
            return { done: true, value: undefined };
          },
          return: async (): Promise<IteratorResult<Uint8Array>> => {
            told.stops++;
            return { done: true, value: undefined };
          },
        };
      },
    },
  };
  return told;
}

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
    const actions: readonly (readonly [what: string, act: () => void, keeps: number])[] = [
      ["nothing", () => undefined, 0],
      ["an allocation", () => void writer.allocate(3), 4 * 2049 + 3],
      ["a commit", () => writer.commit(), 4 * 2049],
      ["a root", () => void (writer.root = writer.length - 1), 4 * 2049],
    ];
    for (const [what, act, keeps] of actions) {
      const { length } = writer;
      const source = async function* () {
        yield* sourceOf(4, () => undefined).source;
        act();
        yield* sourceOf(3, fail).source;
      };
      expect([what, await reason(writer.writeStream(source()))]).toEqual([what, error]);
      expect([what, writer.length - length]).toEqual([what, keeps]);
      writer.root = null;
      writer.commit();
      reader.refresh();
      expect([what, reader.length]).toEqual([what, writer.length]);
    }
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
    const truncating = sourceOf(2, () => {
      writer.truncate();
      // As long as it was: the same indices, another's cells.
      writer.root = writer.write(pattern(2 * CHUNK_BYTES, 9));
    });
    expect(await reason(writer.writeStream(truncating.source))).toEqual(rejected("TRUNCATED"));
    expect(writer.read(writer.root ?? 0)).toEqual(pattern(2 * CHUNK_BYTES, 9));
    const closing = sourceOf(2, () => writer.close());
    expect(await reason(writer.writeStream(closing.source))).toEqual(rejected("CLOSED"));
    expect(await reason(writer.writeStream(sourceOf(1, fail).source))).toEqual(rejected("CLOSED"));
  });
});

describe("stream", () => {
  test("has the bytes of the blob, chunk by chunk, as the caller's own", async () => {
    using writer = writerAt(file());
    for (const [i, lengthBytes] of lengths.entries()) {
      const bytes = pattern(lengthBytes, i);
      const index = writer.write(bytes);
      const pieces = await Array.fromAsync(writer.stream(index));
      expect(pieces.map((piece) => piece.length)).toEqual(
        writer
          .chunks(index)
          .map((c) => c.length)
          .filter((n) => n > 0),
      );
      expect(new Uint8Array(Buffer.concat(pieces))).toEqual(bytes);
      for (const piece of pieces) piece.fill(0);
      expect(writer.read(index)).toEqual(bytes);
      expect(await all(writer.stream(index))).toEqual(bytes);
    }
  });

  test("reads into the buffers that its reader brings", async () => {
    using writer = writerAt(file());
    const bytes = pattern(CHUNK_BYTES + 100, 1);
    const reader = writer.stream(writer.write(bytes)).getReader({ mode: "byob" });
    const pieces: Uint8Array[] = [];
    for (let piece = await reader.read(new Uint8Array(10_000)); !piece.done;) {
      pieces.push(piece.value);
      piece = await reader.read(new Uint8Array(10_000));
    }
    expect(new Uint8Array(Buffer.concat(pieces))).toEqual(bytes);
  });

  test("is what an HTTP server may answer", async () => {
    using writer = writerAt(file());
    const bytes = pattern(3 * MIB, 1);
    const index = writer.write(bytes);
    const server = Bun.serve({ port: 0, fetch: () => new Response(writer.stream(index)) });
    try {
      const response = await fetch(server.url);
      expect(await response.bytes()).toEqual(bytes);
    } finally {
      await server.stop(true);
    }
  });

  test("of many chunks lets the event loop turn before the first", async () => {
    using writer = StorageWriter.inMemory();
    const index = writer.write(new Uint8Array(2100 * CHUNK_BYTES));
    let turned = false;
    setImmediate(() => (turned = true));
    const reader = writer.stream(index).getReader();
    expect((await reader.read()).value).toHaveLength(CHUNK_BYTES);
    expect(turned).toBe(true);
    await reader.cancel();
    const closing = writer.stream(index).getReader().read();
    writer.close();
    expect(await reason(closing)).toEqual(rejected("CLOSED"));
  });

  test("may be cancelled, and left", async () => {
    using writer = writerAt(file());
    const index = writer.write(pattern(4 * CHUNK_BYTES, 1));
    for await (const piece of writer.stream(index)) {
      expect(piece).toHaveLength(CHUNK_BYTES);
      break;
    }
    await writer.stream(index).cancel("never mind");
    writer.stream(index);
  });

  test.each(["writer", "reader"])("errors when its %s is closed between two chunks", async (kind) => {
    using writer = writerAt(file());
    const index = writer.write(pattern(4 * CHUNK_BYTES, 1));
    writer.flushSync();
    using reader = StorageReader.open(writer.path);
    const storage = kind === "writer" ? writer : reader;
    const pieces = storage.stream(index).getReader();
    const { value } = await pieces.read();
    storage.close();
    expect(await reason(pieces.read())).toEqual(rejected("CLOSED"));
    expect(value).toEqual(pattern(4 * CHUNK_BYTES, 1).subarray(0, CHUNK_BYTES));
  });

  test("errors when the storage is truncated, though another blob has taken the place", async () => {
    using writer = writerAt(file());
    const options = { follow: "commits" } as const;
    for (const kind of ["writer", "reader", "stale reader"]) {
      const index = writer.write(pattern(4 * CHUNK_BYTES, 1));
      writer.commit();
      using reader = StorageReader.open(writer.path, options);
      const storage = kind === "writer" ? writer : reader;
      const pieces = storage.stream(index).getReader();
      if (kind !== "stale reader") expect((await pieces.read()).done).toBe(false);
      writer.truncate();
      expect(writer.write(pattern(4 * CHUNK_BYTES, 2))).toBe(index);
      writer.commit();
      expect([kind, await reason(pieces.read())]).toEqual([kind, rejected("TRUNCATED")]);
      writer.truncate();
    }
  });

  test("errors where no blob is, or its chunks change", async () => {
    using writer = writerAt(file());
    const index = writer.write(pattern(3 * CHUNK_BYTES, 1));
    const footerOf = (last: number): Uint8Array => writer.cell(last).subarray(26);
    expect(await reason(all(writer.stream(index - 1)))).toEqual(rejected("CHUNK_CORRUPT"));
    const middle = index - 2049;
    footerOf(middle).fill(0xff);
    expect(await reason(writer.stream(index).getReader().read())).toEqual(rejected("CHUNK_CORRUPT"));
    footerOf(middle).set(Uint8Array.of(255, 255, 0, 0, 0, 0));
    const pieces = writer.stream(index).getReader();
    expect((await pieces.read()).value).toHaveLength(CHUNK_BYTES);
    // Whole, but no longer after what was read.
    footerOf(index).set(Uint8Array.of(1, 0, 0, 0, 0, 0));
    expect(await reason(pieces.read())).toEqual(rejected("CHUNK_CORRUPT"));
    for (const wrong of [0, 7, -1, 1.5, Number.NaN, writer.length]) {
      expect(() => writer.stream(wrong)).toThrow(rejected("INDEX_OUT_OF_RANGE") as Error);
    }
    expect(() => writer.stream("8" as never)).toThrow(TypeError);
  });

  test("errors when another program has cut the file", async () => {
    const path = file("cut.bin");
    const writer = writerAt(path);
    const index = writer.write(pattern(4 * CHUNK_BYTES, 1));
    writer.close();
    using reader = StorageReader.open(path);
    const pieces = reader.stream(index).getReader();
    expect((await pieces.read()).done).toBe(false);
    truncateSync(path, 4096);
    expect(await reason(pieces.read())).toEqual(rejected("TRUNCATED"));
    expect(() => reader.cell(index)).toThrow(rejected("INDEX_OUT_OF_RANGE") as Error);
  });
});
