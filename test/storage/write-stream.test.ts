/** Blobs that are stored while their bytes come: the same file as at once, and what its source may be. */

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { StorageWriter } from "../../src/index.ts";
import { pattern, reason } from "../support/outcomes.ts";
import { stateOf } from "../support/state.ts";
import { useFolder } from "../support/folder.ts";
import { Random, seedFromEnvironment } from "../support/random.ts";

const file = useFolder();
const CHUNK_BYTES = 65535;
const lengths = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7];
const seed = seedFromEnvironment();
console.log(`streams: SEED=${seed}`);
const random = new Random(seed);

/** The bytes in pieces of any size, also of none. Each is spoiled when the next is asked for: it is the source's. */
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
