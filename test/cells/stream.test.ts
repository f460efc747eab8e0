/** Blobs as streams of bytes: as `read` has them, chunk by chunk, and every way for the storage to go away meanwhile. */

import { describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { checkConfig } from "../../src/format/config.ts";
import { StreamedBlob } from "../../src/cells/streamed-blob.ts";
import { Space } from "../../src/cells/space.ts";
import { WritableCells } from "../../src/cells/writable.ts";
import { blobStream } from "../../src/cells/blob-stream.ts";
import { yieldToEventLoop } from "../../src/os/event-loop.ts";
import { pattern, reason, rejected } from "../support/outcomes.ts";
import { run } from "../support/process-run.ts";
import { stubbed } from "../support/process-stub-store.ts";
import { useFolder } from "../support/folder.ts";
import { until } from "../support/process-until.ts";

const file = useFolder();
const child = join(import.meta.dir, "../support/stream-child.ts");
const stubConfig = checkConfig({ headString: "", version: 1, bytesPerCell: 32, maxIndex: 1000 });
const CHUNK_BYTES = 65535;
/** What a stream yields at once, at most. */
const PIECE_BYTES = 4 * CHUNK_BYTES;
const lengths = [
  0,
  1,
  CHUNK_BYTES - 1,
  CHUNK_BYTES,
  CHUNK_BYTES + 1,
  2 * CHUNK_BYTES,
  3 * CHUNK_BYTES + 7,
  9 * CHUNK_BYTES,
];

const all = (stream: ReadableStream<Uint8Array>): Promise<Uint8Array> => new Response(stream).bytes();

/** Pipes a stream to a slow writer that keeps the pieces. */
async function piped(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const write = (piece: Uint8Array): Promise<void> => (pieces.push(piece), yieldToEventLoop());
  await stream.pipeTo(new WritableStream({ write }));
  return Buffer.concat(pieces);
}

async function written(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const path = file("written.bin");
  await Bun.write(path, new Response(stream));
  return Bun.file(path).bytes();
}

async function served(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const server = Bun.serve({ port: 0, fetch: () => new Response(stream) });
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of (await fetch(server.url)).body ?? expect.unreachable()) {
      pieces.push(piece);
      await Bun.sleep(1);
    }
  } finally {
    await server.stop(true);
  }
  return Buffer.concat(pieces);
}

async function echoed(body: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const server = Bun.serve({ port: 0, fetch: async (request) => new Response(await request.bytes()) });
  try {
    return await (await fetch(server.url, { method: "POST", body })).bytes();
  } finally {
    await server.stop(true);
  }
}

describe("stream", () => {
  test("has the bytes of the blob, a few chunks at a time, as the caller's own", async () => {
    using writer = StorageWriter.create(file());
    for (const [i, lengthBytes] of lengths.entries()) {
      const bytes = pattern(lengthBytes, i);
      const index = writer.write(bytes);
      const pieces = await Array.fromAsync(writer.stream(index));
      const sizes = Array.from({ length: Math.ceil(lengthBytes / PIECE_BYTES) }, (_, piece) =>
        Math.min(PIECE_BYTES, lengthBytes - piece * PIECE_BYTES),
      );
      expect(pieces.map((piece) => piece.length)).toEqual(sizes);
      expect(new Uint8Array(Buffer.concat(pieces))).toEqual(bytes);
      for (const piece of pieces) piece.fill(0);
      expect(writer.read(index)).toEqual(bytes);
      expect(await all(writer.stream(index))).toEqual(bytes);
    }
  });

  test.each<[string, (stream: ReadableStream<Uint8Array>) => Promise<Uint8Array>]>([
    ["Response.bytes", all],
    ["Response.blob", async (stream) => (await new Response(stream).blob()).bytes()],
    ["an array", async (stream) => Buffer.concat(await Bun.readableStreamToArray(stream))],
    ["a stream from Node", async (stream) => Buffer.concat(await Array.fromAsync(Readable.fromWeb(stream as never)))],
    ["tee", async (stream) => (await Promise.all(stream.tee().map(all)))[1] ?? expect.unreachable()],
    ["pipeThrough", (stream) => all(stream.pipeThrough(new TransformStream()))],
    ["pipeTo", (stream) => piped(stream)],
    ["a file", (stream) => written(stream)],
    ["a slow process", (stream) => Bun.spawn(["sh", "-c", "sleep 0.1; cat"], { stdin: stream }).stdout.bytes()],
    ["the body of a request", (stream) => echoed(stream)],
    ["a slow HTTP client", (stream) => served(stream)],
  ])("gives its bytes to %s", async (_consumer, read) => {
    using writer = StorageWriter.create(file());
    const bytes = crypto.getRandomValues(new Uint8Array(CHUNK_BYTES));
    const whole = Buffer.concat(Array.from({ length: 20 }, (_, i) => bytes.with(0, i)));
    const index = writer.write(whole);
    const got = await read(writer.stream(index));
    expect(Buffer.compare(got, whole)).toBe(0);
    expect(
      Buffer.compare(await read(writer.stream(index, { offset: 7, length: 1e6 })), whole.subarray(7, 1e6 + 7)),
    ).toBe(0);
  });

  test("is what an HTTP server may answer", async () => {
    using writer = StorageWriter.create(file());
    const bytes = pattern(3_000_000, 1);
    const index = writer.write(bytes);
    const server = Bun.serve({ port: 0, fetch: () => new Response(writer.stream(index)) });
    try {
      const response = await fetch(server.url);
      expect(await response.bytes()).toEqual(bytes);
    } finally {
      await server.stop(true);
    }
  });

  test("to HTTP clients that stop reading costs little memory, and nothing when they have gone", async () => {
    using writer = StorageWriter.inMemory();
    const MIB = 2 ** 20;
    const index = writer.write(new Uint8Array(128 * MIB).fill(1));
    const server = Bun.serve({ port: 0, idleTimeout: 0, fetch: () => new Response(writer.stream(index)) });
    try {
      const ask = (): Promise<Socket> =>
        new Promise((resolve, reject) => {
          const socket = connect({ port: server.port ?? 0, host: "localhost" });
          socket.once("error", reject);
          // One piece, and no more.
          socket.once("data", () => resolve(socket.pause()));
          socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        });
      const read = async (): Promise<number> => {
        let lengthBytes = 0;
        for await (const piece of (await fetch(server.url)).body ?? expect.unreachable()) lengthBytes += piece.length;
        return lengthBytes;
      };
      await read();
      Bun.gc(true);
      const before = process.memoryUsage.rss();
      const clients = await Promise.all(Array.from({ length: 8 }, ask));
      // Meanwhile the others would have had all of it.
      expect(await read()).toBe(128 * MIB);
      Bun.gc(true);
      expect(process.memoryUsage.rss() - before).toBeLessThan(256 * MIB);
      expect(server.pendingRequests).toBe(clients.length);
      for (const client of clients) client.destroy();
      await until("the downloads have ended", () => server.pendingRequests === 0);
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
    expect((await reader.read()).value).toHaveLength(PIECE_BYTES);
    expect(turned).toBe(true);
    await reader.cancel();
    const closing = writer.stream(index).getReader().read();
    writer.close();
    expect(await reason(closing)).toEqual(rejected("CLOSED"));
  });

  test("may be cancelled, and left", async () => {
    using writer = StorageWriter.create(file());
    const index = writer.write(pattern(5 * CHUNK_BYTES, 1));
    for await (const piece of writer.stream(index)) {
      expect(piece).toHaveLength(PIECE_BYTES);
      break;
    }
    await writer.stream(index).cancel("never mind");
    writer.stream(index);
  });

  test.each([
    ["its writer is closed", "writer", { stream: "CLOSED", cell: "nothing" }],
    ["its reader is closed", "reader", { stream: "CLOSED", cell: "CLOSED" }],
    ["another program cuts the file", "cut", { stream: "FILE_CUT", cell: "INDEX_OUT_OF_RANGE" }],
  ])("errors when %s between two chunks, and what was read is kept", async (_what, scenario, codes) => {
    expect(await run(child, scenario, file(`${scenario}.bin`))).toEqual({ ...codes, kept: true });
  });

  test("errors when its cells are given out again while a chunk is copied", async () => {
    const { region, publisher } = stubbed();
    const space = new Space(region, stubConfig, null, 208, () => undefined);
    const cells = new WritableCells(region, 32, space, publisher, { next: 208, root: 0 });
    const blob = new StreamedBlob(cells, publisher);
    blob.append(pattern(100, 1));
    const index = blob.end();
    for (const last of [1, 2, 3, 4]) {
      let checks = 0;
      const check = (): void => {
        if (++checks === last) throw new Error("given out");
      };
      const header = { next: cells.length, root: 0 };
      const stream = blobStream(cells, { header, check, checkTrust: check }, index, { from: 0, to: Infinity });
      // One before the chain, and one on either side of the copy.
      expect(await reason(all(stream))).toEqual(last < 4 ? expect.any(Error) : "fulfilled");
      expect(checks).toBe(Math.min(last, 3));
    }
    region.close();
  });

  test("errors when the storage is truncated, though another blob has taken the place", async () => {
    using writer = StorageWriter.create(file());
    const options = { follow: "commits" } as const;
    for (const kind of ["writer", "reader", "stale reader"]) {
      const index = writer.write(pattern(12 * CHUNK_BYTES, 1));
      writer.commit();
      using reader = StorageReader.open(writer.path, options);
      const storage = kind === "writer" ? writer : reader;
      const pieces = storage.stream(index).getReader();
      if (kind !== "stale reader") expect((await pieces.read()).done).toBe(false);
      writer.truncate();
      expect(writer.write(pattern(12 * CHUNK_BYTES, 2))).toBe(index);
      writer.commit();
      expect([kind, await reason(pieces.read())]).toEqual([kind, rejected("TRUNCATED")]);
      writer.truncate();
    }
  });

  test("errors where no blob is, or its chunks change", async () => {
    using writer = StorageWriter.create(file());
    const index = writer.write(pattern(6 * CHUNK_BYTES, 1));
    const footerOf = (last: number): Uint8Array => writer.cell(last).subarray(26);
    expect(await reason(all(writer.stream(index - 1)))).toEqual(rejected("CHUNK_CORRUPT"));
    const middle = index - 2049;
    const before = footerOf(middle).slice();
    footerOf(middle).fill(0xff);
    expect(await reason(writer.stream(index).getReader().read())).toEqual(rejected("CHUNK_CORRUPT"));
    footerOf(middle).set(before);
    const pieces = writer.stream(index).getReader();
    expect((await pieces.read()).value).toHaveLength(PIECE_BYTES);
    // A whole blob, but no longer after what was read.
    footerOf(index).set(Uint8Array.of(1, 0, 0, 0, 0, 0));
    expect(await reason(pieces.read())).toEqual(rejected("CHUNK_CORRUPT"));
    for (const wrong of [0, 7, -1, 1.5, Number.NaN, writer.length]) {
      expect(() => writer.stream(wrong)).toThrow(rejected("INDEX_OUT_OF_RANGE") as Error);
    }
    expect(() => writer.stream("8" as never)).toThrow(TypeError);
  });
});
