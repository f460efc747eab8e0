/** Arguments that answer for themselves, and calls that come in the middle of another: no wrong byte, no signal. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { gunzipSync, gzip } from "node:zlib";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { codeOf } from "../support/errors.ts";
import { reason, rejected } from "../support/outcomes.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder({ inMemory: true });
const pattern = (length: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length }, (_, i) => (i * 7) % 251);

/** Its subarrays, copies and species are always of 32 zeros. */
class AlwaysZeros extends Uint8Array {
  constructor() {
    super(32);
  }
}

/** Says another length than it has. */
function withLength(bytes: Uint8Array, length: number): Uint8Array {
  return Object.defineProperty(bytes.slice(), "length", { get: () => length });
}

describe("bytes whose methods are the caller's", () => {
  const bytes = pattern(200_000);
  const sources: readonly (readonly [string, (part: Uint8Array) => Uint8Array])[] = [
    ["a subclass with a constructor of its own", (part) => Object.setPrototypeOf(part.slice(), AlwaysZeros.prototype)],
    ["a length of its own, too long", (part) => withLength(part, 1_000_000)],
    ["a length of its own, too short", (part) => withLength(part, 1)],
    ["a subarray of its own", (part) => Object.assign(part.slice(), { subarray: () => new Uint8Array(9) })],
    [
      "a constructor of its own",
      (part) => Object.defineProperty(part.slice(), "constructor", { get: () => AlwaysZeros }),
    ],
    ["a Buffer", (part) => Buffer.from(part)],
  ];

  test.each(sources)("are stored as they lie in memory: %s", async (_what, make) => {
    using writer = StorageWriter.create(fresh());
    const whole = writer.write(make(bytes));
    const small = writer.write(make(bytes.subarray(0, 32)));
    const streamed = await writer.writeStream(
      (async function* () {
        for (let at = 0; at < bytes.length; at += 50_000) yield make(bytes.subarray(at, at + 50_000));
      })(),
    );
    const after = writer.write(bytes);
    for (const index of [whole, streamed, after]) expect(Buffer.compare(writer.read(index), bytes)).toBe(0);
    expect(writer.read(small)).toEqual(bytes.slice(0, 32));
    expect(writer.length).toBe(after + 1);
  });
});

describe("a storage that is closed while its arguments are looked at", () => {
  const key = new Uint8Array(32);
  /** An object whose property closes the storage. */
  const closing = (storage: Disposable, name: string): object =>
    Object.defineProperty({}, name, { get: () => storage[Symbol.dispose]() });

  test("checkWriterKey", () => {
    for (const storage of [StorageWriter.create(fresh()), StorageWriter.inMemory()]) {
      const closes = Object.defineProperty(key.slice(), "length", { get: () => (storage.close(), 32) });
      expect(codeOf(() => storage.checkWriterKey(closes))).toBe("CLOSED");
    }
  });

  test("truncate", () => {
    const writer = StorageWriter.create(fresh());
    expect(codeOf(() => writer.truncate(closing(writer, "capacityCells")))).toBe("CLOSED");
  });

  test("writeStream, whose source is told, and not waited for", async () => {
    for (const writer of [StorageWriter.create(fresh()), StorageWriter.inMemory()]) {
      const reasons: unknown[] = [];
      const source = new ReadableStream<Uint8Array>({ cancel: (why) => void reasons.push(why) });
      const stored = reason(writer.writeStream(source, closing(writer, "signal")));
      const turns = (async () => {
        for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
        return "it hangs";
      })();
      expect(await Promise.race([stored, turns])).toEqual(rejected("CLOSED"));
      expect(reasons).toEqual([await stored]);
    }
  });

  test("copyTo, which makes no file", async () => {
    const writer = StorageWriter.create(fresh());
    const to = fresh();
    const error: unknown = await writer.copyTo(to, closing(writer, "onProgress")).catch((thrown: unknown) => thrown);
    expect([(error as { code: string }).code, fs.existsSync(to)]).toEqual(["CLOSED", false]);
  });
});

test.each([
  ["done", false],
  ["done", true],
  ["value", false],
] as const)("a stream's piece whose %s truncates the storage, last: %p, is not in it", async (name, isLast) => {
  for (const look of [1, 2, 3]) {
    using writer = StorageWriter.create(fresh());
    const [first, second] = [pattern(65535), pattern(65535)].map((value) => ({ done: false, value }));
    let looks = 0;
    const answer = name === "done" ? isLast : second?.value;
    const spoiled = Object.defineProperty({ ...second, done: isLast }, name, {
      get: () => {
        if (++looks === look) writer.truncate();
        return answer;
      },
    });
    const pieces: unknown[] = [first, spoiled, { done: true }];
    const next = async (): Promise<IteratorResult<Uint8Array>> => pieces.shift() as IteratorResult<Uint8Array>;
    const stored = await writer
      .writeStream({ [Symbol.asyncIterator]: () => ({ next }) })
      .catch((error: unknown) => error);
    // What is looked at once does nothing at a second look.
    if (typeof stored === "number") expect(writer.blobLength(stored)).toBe(isLast ? 65535 : 2 * 65535);
    else expect([stored, writer.length]).toEqual([rejected("TRUNCATED"), writer.startIndex]);
    expect([look, typeof stored]).toEqual([look, look === 1 ? "object" : "number"]);
  }
});

test("a copy to a relative path is where that was at the call", async () => {
  const path = fresh();
  const here = process.cwd();
  using writer = StorageWriter.create(path);
  writer.root = writer.write(pattern(5_000_000));
  writer.commit();
  const to = fresh();
  const elsewhere = join(dirname(path), "elsewhere");
  fs.mkdirSync(elsewhere);
  try {
    const copy = writer.copyTo(relative(here, to));
    process.chdir(elsewhere);
    await copy;
  } finally {
    process.chdir(here);
  }
  expect(fs.readdirSync(elsewhere)).toEqual([]);
  using reader = StorageReader.open(to);
  expect(reader.read(writer.root)).toEqual(pattern(5_000_000));
});

test("a view that is made after the file was cut has a buffer that ends with it", () => {
  const path = fresh();
  {
    using writer = StorageWriter.create(path);
    writer.root = writer.write(pattern(500_000));
  }
  using reader = StorageReader.open(path);
  const before = reader.cell(8).buffer.byteLength;
  fs.truncateSync(path, 8192);
  // Whatever makes the reader look at the size: here a header that has moved.
  const fd = fs.openSync(path, "r+");
  const copy = Buffer.alloc(32);
  fs.readSync(fd, copy, 0, 32, 64);
  fs.writeSync(fd, Buffer.from([copy[0]! ^ 1]), 0, 1, 64);
  fs.closeSync(fd);
  expect(codeOf(() => reader.refresh())).toBe("FILE_CUT");
  const view = reader.cell(8);
  expect([before > 500_000, view.buffer.byteLength]).toEqual([true, 8192]);
  expect(structuredClone(view)).toEqual(pattern(32));
  fs.rmSync(path);
});

test("a view that lives on, for a native job has its buffer, stores nothing into the next writer's file", async () => {
  const path = fresh();
  const writer = StorageWriter.create(path);
  writer.root = writer.write(pattern(900_000));
  const first = writer.allocate(2);
  // Both are cut from the first MiB: the job has the buffer of both.
  const [busy, left] = [writer.bytes(writer.startIndex, 800_000), writer.cell(first)];
  const expected = busy.slice();
  const job = promisify(gzip)(busy);
  writer.close();
  using next = StorageWriter.open(path);
  // It is detached where the job was done before close, and filling it would throw.
  if (left.length > 0) left.fill(77);
  expect(next.u8(first, 0)).toBe(0);
  expect(Buffer.compare(gunzipSync(await job), expected)).toBe(0);
});
