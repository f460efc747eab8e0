/** A truncation that fails has taken nothing: the writer goes on where it was, if it goes on, and tells of none. */

import { afterEach, describe, expect, mock, spyOn, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { StorageError } from "../../src/error.ts";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { decodeArea } from "../../src/format/area.ts";
import { FILE } from "../../src/format/layout.ts";
import { FileRegion } from "../../src/region/file.ts";
import type { HeaderStore } from "../../src/region/region.ts";
import { sourceOf } from "../support/chunk-source.ts";
import { codeOf } from "../support/errors.ts";
import { pattern, reason, rejected } from "../support/outcomes.ts";
import { releaseAll, stubbed } from "../support/process-stub-store.ts";
import { stateOf } from "../support/state.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder({ inMemory: true });
const CHUNK_BYTES = 65535;
/** Some pieces of a stream. */
const blob = pattern(12 * CHUNK_BYTES, 1);
const { store, sync } = FileRegion.prototype;
/** A truncation of what is flushed stores three commits and both disk-sync copies, and syncs twice. */
const STORES = 5;
const SYNCS = 2;

afterEach(() => mock.restore());

/** The n-th store from now on throws, before it has stored or after. */
function refuseStore(n: number, isStored: boolean): void {
  let stores = 0;
  spyOn(FileRegion.prototype, "store").mockImplementation(function (this: FileRegion, ...given: HeaderStore[]) {
    const isRefused = ++stores === n;
    if (isStored || !isRefused) store.apply(this, given);
    if (isRefused) throw new StorageError("SYSTEM", "told to fail", { errno: 37, syscall: "lockf" });
  });
}

/** The n-th sync from now on fails. */
function failSync(n: number): void {
  let syncs = 0;
  spyOn(FileRegion.prototype, "sync").mockImplementation(function (this: FileRegion, toBytes: number) {
    if (++syncs === n) throw new StorageError("SYSTEM", "told to fail", { errno: 5, syscall: "msync" });
    sync.call(this, toBytes);
  });
}

/** A flushed storage whose root is the blob. */
function flushed(): StorageWriter & { readonly root: number } {
  const writer = StorageWriter.create(fresh());
  writer.root = writer.write(blob);
  writer.flushSync();
  return writer as StorageWriter & { readonly root: number };
}

/** What a writer would find if this one were killed now. */
function afterKill(path: string): StorageWriter {
  const copy = fresh();
  copyFileSync(path, copy);
  return StorageWriter.open(copy);
}

/** The bytes that are left of a stream. */
async function rest(read: () => Promise<{ readonly value?: Uint8Array | undefined }>): Promise<number> {
  let lengthBytes = 0;
  for (let { value } = await read(); value !== undefined; { value } = await read()) lengthBytes += value.length;
  return lengthBytes;
}

test.each(Array.from({ length: SYNCS }, (_, i) => i + 1))(
  "by its sync %i: the failed writer tells of none, and its streams go on",
  async (n) => {
    const writer = flushed();
    const before = stateOf(writer);
    const pieces = writer.stream(writer.root).getReader();
    const first = (await pieces.read()).value?.length ?? 0;
    failSync(n);
    expect(codeOf(() => writer.truncate())).toBe("FAILED");
    expect([writer.stats().truncations, stateOf(writer)]).toEqual([0, before]);
    expect([first < blob.length, await rest(() => pieces.read())]).toEqual([true, blob.length - first]);
    expect(codeOf(() => writer.truncate())).toBe("FAILED");
    writer.close();
  },
);

const refusals = [false, true].flatMap((isStored) =>
  Array.from({ length: STORES }, (_, i) => [isStored ? "after" : "before", i + 1] as const),
);

describe.each(refusals)("by what is refused %s store %i", (moment, n) => {
  const fail = (writer: StorageWriter): void => {
    refuseStore(n, moment === "after");
    expect(codeOf(() => writer.truncate())).toBe("SYSTEM");
    mock.restore();
  };

  test("the writer tells of none, and its streams, copies and commits go on", async () => {
    using writer = flushed();
    const before = stateOf(writer);
    const pieces = writer.stream(writer.root).getReader();
    const first = (await pieces.read()).value?.length ?? 0;
    fail(writer);
    expect([writer.stats().truncations, stateOf(writer)]).toEqual([0, before]);
    expect([first < blob.length, await rest(() => pieces.read())]).toEqual([true, blob.length - first]);
    const copy = fresh();
    expect(await writer.copyTo(copy)).toEqual(before);
    await writer.flush();
    using next = afterKill(writer.path);
    expect([next.recovery.state, stateOf(next)]).toEqual(["clean", before]);
    expect(next.read(next.root ?? 0)).toEqual(blob);
  });

  test("a later one is told, by a number that no reader has seen before", async () => {
    using writer = flushed();
    using reader = StorageReader.open(writer.path, { follow: "commits" });
    fail(writer);
    reader.refresh();
    const seen = reader.truncations;
    const pieces = writer.stream(writer.root).getReader();
    writer.truncate();
    expect(await reason(pieces.read())).toEqual(rejected("TRUNCATED"));
    reader.refresh();
    expect(reader.truncations).toBeGreaterThan(seen);
    expect([reader.truncations, stateOf(reader)]).toEqual([writer.stats().truncations, stateOf(writer)]);
  });

  test("what is stored while it comes goes on, and gives back no more than its own if its source fails", async () => {
    using writer = flushed();
    const error = new Error("no more");
    for (const commits of [false, true]) {
      const { length } = writer;
      const stored = writer.writeStream(
        sourceOf(3, () => {
          if (commits) writer.commit();
          fail(writer);
          throw error;
        }).source,
      );
      expect(await reason(stored)).toBe(error);
      expect(writer.length).toBe(commits ? length + 3 * 2049 : length);
    }
    const index = await writer.writeStream(sourceOf(3, () => fail(writer)).source);
    expect(writer.blobLength(index)).toBe(3 * CHUNK_BYTES);
    writer.root = index;
    writer.commit();
    using next = afterKill(writer.path);
    expect([next.recovery.state, stateOf(next)]).toEqual(["resumedAtCommit", stateOf(writer)]);
  });
});

test("a flush under way does not go on past what a refused truncation has left in disk-sync copy 1", async () => {
  const { region, publisher, header } = stubbed();
  publisher.flushSync(header(5));
  region.gated = true;
  const flush = publisher.flush(header(5));
  expect(region.release()).toBe(true);
  await new Promise<void>((resolve) => setImmediate(resolve));
  const stored = region.store.bind(region);
  spyOn(region, "store").mockImplementation((...given) => {
    stored(...given);
    if (given[0]?.offset === FILE.disk1.offset) throw new StorageError("SYSTEM", "told to fail", {});
  });
  expect(() => publisher.truncate({ next: 8, root: 0 })).toThrow("told to fail");
  mock.restore();
  await releaseAll(region, [flush]);
  expect(await flush).toEqual(header(5));
  publisher.commit(header(6));
  const headers = decodeArea(region.headers());
  expect(headers.records[0]?.base).toBeLessThanOrEqual(headers.copy("disk1")?.next ?? 0);
});
