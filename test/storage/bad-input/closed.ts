/** Use after close, of everything that is public. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { nullStorage, Storage, StorageError, StorageReader, StorageWriter } from "../../../src/index.ts";
import { codeOf } from "../../support/errors.ts";
import { kinds, subjectOf } from "./storages.ts";

type Calls<T> = Readonly<Record<string, (storage: T) => unknown>>;

/** A call of every public method, right but for the storage being closed. */
const shared: Calls<Storage> = {
  cell: (storage) => storage.cell(8),
  cells: (storage) => storage.cells(8, 1),
  bytes: (storage) => storage.bytes(8, 1),
  u8: (storage) => storage.u8(8, 0),
  u16: (storage) => storage.u16(8, 0),
  u32: (storage) => storage.u32(8, 0),
  u64: (storage) => storage.u64(8, 0),
  read: (storage) => storage.read(8),
  readInto: (storage) => storage.readInto(8, new Uint8Array(1)),
  chunks: (storage) => storage.chunks(8),
  blobLength: (storage) => storage.blobLength(8),
  stream: (storage) => storage.stream(8),
  copyTo: (storage) => storage.copyTo("/nowhere/at-all.cellar"),
  checkWriterKey: (storage) => storage.checkWriterKey(new Uint8Array(32)),
};
const writers: Calls<StorageWriter> = {
  allocate: (writer) => writer.allocate(),
  setU8: (writer) => writer.setU8(8, 0, 1),
  setU16: (writer) => writer.setU16(8, 0, 1),
  setU32: (writer) => writer.setU32(8, 0, 1),
  setU64: (writer) => writer.setU64(8, 0, 1n),
  write: (writer) => writer.write(new Uint8Array(1)),
  writeStream: (writer) => writer.writeStream(new ReadableStream()),
  commit: (writer) => writer.commit(),
  flush: (writer) => writer.flush(),
  flushSync: (writer) => writer.flushSync(),
  truncate: (writer) => writer.truncate(),
  stats: (writer) => writer.stats(),
  overrideVersion: (writer) => writer.overrideVersion(2),
};
const readers: Calls<StorageReader> = {
  refresh: (reader) => reader.refresh(),
  stats: (reader) => reader.stats(),
  watch: (reader) => reader.watch(),
  enableProcessSync: (reader) => reader.enableProcessSync(new Uint8Array(32)),
};
/** What may be called again, and what is no one else's to call. */
const others = ["constructor", "close", "setConfig"];

/** Methods and getters of a class by their names. */
function membersOf(prototype: object): { readonly methods: string[]; readonly getters: string[] } {
  const members = Object.entries(Object.getOwnPropertyDescriptors(prototype));
  const methods = members.filter(([, { value }]) => typeof value === "function").map(([name]) => name);
  const getters = members.filter(([, { get }]) => get !== undefined).map(([name]) => name);
  return { methods: methods.filter((name) => !others.includes(name)).sort(), getters };
}

async function codeOfEither(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    if (error instanceof StorageError) return error.code;
    throw error;
  }
  return "nothing was thrown";
}

export function closedTests(fresh: () => string): void {
  test("the tables name every public method", () => {
    expect(Object.keys(shared).sort()).toEqual(membersOf(Storage.prototype).methods);
    expect(Object.keys(writers).sort()).toEqual(membersOf(StorageWriter.prototype).methods);
    expect(Object.keys(readers).sort()).toEqual(membersOf(StorageReader.prototype).methods);
  });

  describe.each([...kinds])("%s", (kind) => {
    test("after close every method throws CLOSED, and every getter tells what it told", async () => {
      using subject = subjectOf(kind, fresh(), (writer) => (writer.root = writer.write(new Uint8Array(100))));
      const { storage } = subject;
      const { getters } = membersOf(Object.getPrototypeOf(storage) as object);
      const names = [...getters, ...membersOf(Storage.prototype).getters, "mode"] as (keyof typeof storage)[];
      const told = (): unknown[] => names.filter((name) => name !== "closed").map((name) => [name, storage[name]]);
      const before = told();
      expect(before).toContainEqual(["length", 12]);
      expect(before).toContainEqual(["root", 11]);
      const views = [storage.cell(8), storage.bytes(8, 100), ...storage.chunks(11)];
      const copy = storage.read(11);

      storage.close();
      expect(storage.closed).toBe(true);
      expect(told()).toEqual(before);
      const own = storage instanceof StorageWriter ? { ...writers, root: setRoot } : readers;
      for (const [name, call] of Object.entries({ ...shared, ...own } as Calls<Storage>)) {
        expect([name, await codeOfEither(() => call(storage))]).toEqual([name, "CLOSED"]);
      }
      expect(views.map((view) => view.length)).toEqual([0, 0, 0]);
      expect(copy.length).toBe(100);
      storage.close();
      storage[Symbol.dispose]();
      if (storage instanceof StorageWriter) await storage[Symbol.asyncDispose]();
      expect(told()).toEqual(before);
    });

    test("using and await using close it", async () => {
      using subject = subjectOf(kind, fresh(), (writer) => writer.write(new Uint8Array(100)));
      const { storage } = subject;
      const open = (): StorageReader | StorageWriter => {
        if (kind === "in memory") return StorageWriter.inMemory();
        if (kind === "reader") return StorageReader.open(storage.path);
        storage.close();
        return StorageWriter.open(storage.path);
      };
      const used: Storage[] = [];
      {
        using one = open();
        used.push(one);
      }
      {
        await using one = open();
        used.push(one);
        if (one instanceof StorageWriter) one.write(new Uint8Array(1000));
      }
      expect(used.map(({ closed }) => closed)).toEqual([true, true]);
      expect(used.map(({ length }) => length)).toEqual(lengthsAfterUse[kind]);
      if (kind !== "writer") return;
      using reader = StorageReader.open(storage.path);
      expect(reader.length).toBe(44);
    });
  });

  test("wrong arguments to a closed storage are CLOSED all the same", () => {
    const writer = StorageWriter.inMemory();
    writer.close();
    for (const call of [() => writer.cell(-1), () => writer.allocate(0), () => writer.write("x" as never)]) {
      expect(codeOf(call)).toBe("CLOSED");
    }
  });

  test("opening and closing leaves no descriptor and no mapping", () => {
    if (process.platform !== "linux") return console.warn("skipped: only Linux lists descriptors and mappings");
    const path = fresh();
    StorageWriter.create(path).close();
    /** Descriptors and mapped areas of the process: others may go meanwhile, but none may come. */
    const count = (): number =>
      fs.readdirSync("/proc/self/fd").length + fs.readFileSync("/proc/self/maps", "utf8").split("cellar-").length;
    const before = count();
    for (let round = 0; round < 20; round++) {
      StorageWriter.open(path).close();
      StorageReader.open(path).close();
      expect(codeOf(() => StorageReader.open(path, { expect: { version: 2 } }))).toBe("CONFIG_MISMATCH");
      expect(codeOf(() => StorageReader.open(path, { writerKey: new Uint8Array(32) }))).toBe("INVALID_WRITER_KEY");
      expect(codeOf(() => StorageWriter.create(path))).toBe("ALREADY_EXISTS");
    }
    expect(count()).toBeLessThan(before + 10);
  });

  test("nullStorage is closed, of no cells, and stays so", async () => {
    const { closed, length, byteLength, path, mode, config } = nullStorage;
    expect({ closed, length, byteLength, mode }).toEqual({ closed: true, length: 0, byteLength: 0, mode: "reader" });
    expect(nullStorage).toHaveProperty("root", null);
    expect([typeof path, config.headString, config.version]).toEqual(["string", "", 0]);
    for (const [name, call] of Object.entries({ ...shared, stats: (storage: Storage) => storage.stats() }))
      expect([name, await codeOfEither(() => call(nullStorage))]).toEqual([name, "CLOSED"]);
    nullStorage.close();
    nullStorage[Symbol.dispose]();
    expect(nullStorage.closed).toBe(true);
  });
}

const lengthsAfterUse = { writer: [12, 44], reader: [12, 12], "in memory": [8, 40] };

function setRoot(storage: Storage): void {
  if (storage instanceof StorageWriter) storage.root = null;
}
