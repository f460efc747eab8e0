/** Hot backups: what is in a copy, beside what it is made, and that nothing is left of one that was not finished. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { check, StorageReader, type StorageState, StorageWriter } from "../src/index.ts";
import { writerSnapshot } from "../src/store/snapshot.ts";
import * as image from "./fixtures/image.ts";
import { run } from "./fixtures/process-run.ts";
import { stubbed } from "./fixtures/process-stub-store.ts";
import { useFolder } from "./support/folder.ts";

const file = useFolder();
const child = join(import.meta.dir, "fixtures/copy-child.ts");
const MIB = 1024 * 1024;
const rejected = (code: string): unknown => expect.objectContaining({ code });
const reason = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "fulfilled",
    (error: unknown) => error,
  );

/** A folder of its own: what a copy leaves is what is in it. */
function folder(): { readonly at: (name: string) => string; readonly names: () => string[] } {
  const path = file(`folder-${Math.random()}`);
  fs.mkdirSync(path);
  return { at: (name) => join(path, name), names: () => fs.readdirSync(path).sort() };
}

function pattern(lengthBytes: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: lengthBytes }, (_, i) => (i * 31 + seed * 17 + (i >>> 8)) & 0xff);
}

/** A writer with a root of so many bytes, committed. */
function writerOf(path: string, rootBytes: number, options = {}): StorageWriter {
  const writer = StorageWriter.create(path, options);
  writer.root = writer.write(pattern(rootBytes, 1));
  writer.commit();
  return writer;
}

const state = (next: number): image.State => ({ next, root: 0 });
const record = (next: number, sequence: number): image.Proof => {
  return { next, root: 0, base: next, cellsCrc: 0, sequence, truncations: 1 };
};

/** The whole of a copy is right: its findings, its size, and that a writer opens it at the state. */
function expectCopy(path: string, { root, length }: StorageState, rootBytes: Uint8Array | null): void {
  const findings = check(path, root === null ? [] : [root]);
  expect(findings.filter(({ level }) => level !== "ok")).toEqual([]);
  using writer = StorageWriter.open(path);
  expect(writer.recovery).toEqual({ state: "clean", skippedCells: 0, tornCopies: 0 });
  expect({ root: writer.root, length: writer.length }).toEqual({ root, length });
  if (root !== null) expect(writer.read(root)).toEqual(rootBytes as Uint8Array<ArrayBuffer>);
}

describe("a copy", () => {
  test.each([4, 7, 32, 256, 65535])(
    "with cells of %i bytes has the cells that are used, and no more",
    async (bytesPerCell) => {
      const { at, names } = folder();
      using writer = writerOf(at("a"), 3 * MIB + 5, { bytesPerCell, headString: "copied", maxIndex: 2 ** 24 });
      writer.overrideVersion(7);
      const state = await writer.copyTo(at("b"));
      expect(state).toEqual({ root: writer.root, length: writer.length });
      expect(fs.statSync(at("b")).size).toBe(writer.byteLength);
      expectCopy(at("b"), state, pattern(3 * MIB + 5, 1));
      using reader = StorageReader.open(at("b"));
      expect(reader.config).toEqual(writer.config);
      expect(reader.config.version).toBe(7);
      const cells = writer.length - writer.startIndex;
      expect(Buffer.compare(reader.cells(reader.startIndex, cells), writer.cells(writer.startIndex, cells))).toBe(0);
      expect(names()).toEqual(["a", "b"]);
    },
  );

  test("of a storage of no cells, and of one in memory", async () => {
    const { at, names } = folder();
    using writer = StorageWriter.inMemory({ bytesPerCell: 100 });
    expectCopy(at("empty"), await writer.copyTo(at("empty")), null);
    expect(fs.statSync(at("empty")).size).toBe(300);
    writer.root = writer.write(pattern(2 * MIB, 3));
    writer.commit();
    const state = await writer.copyTo(at("full"));
    expect(state).toEqual({ root: writer.root, length: writer.length });
    expectCopy(at("full"), state, pattern(2 * MIB, 3));
    expect(names()).toEqual(["empty", "full"]);
  });

  test("of a writer is what it has committed", async () => {
    const { at } = folder();
    using writer = writerOf(at("a"), 100);
    const committed = { root: writer.root, length: writer.length };
    writer.root = writer.write(pattern(5, 2));
    expect(await writer.copyTo(at("b"))).toEqual(committed);
    expectCopy(at("b"), committed, pattern(100, 1));
  });

  test("of a reader is what it shows, with the version of now", async () => {
    const { at } = folder();
    using writer = writerOf(at("a"), 2 * MIB);
    using reader = StorageReader.open(at("a"), { follow: "commits" });
    const shown = { root: reader.root, length: reader.length };
    writer.root = writer.write(pattern(5, 2));
    writer.overrideVersion(9);
    writer.flushSync();
    expect(await reader.copyTo(at("b"))).toEqual(shown);
    expectCopy(at("b"), shown, pattern(2 * MIB, 1));
    using copy = StorageReader.open(at("b"));
    expect(copy.config.version).toBe(9);
  });

  test("is of one state, whatever is written, committed and refreshed meanwhile", async () => {
    const { at } = folder();
    using writer = writerOf(at("a"), 4 * MIB);
    using reader = StorageReader.open(at("a"), { follow: "commits" });
    const shown = { root: reader.root, length: reader.length };
    let calls = 0;
    const onProgress = (): void => {
      writer.root = writer.write(pattern(MIB, ++calls));
      writer.flushSync();
      expect(reader.refresh()).toBe(true);
    };
    const both = [reader.copyTo(at("b"), { onProgress }), writer.copyTo(at("c"))];
    expect(await Promise.all(both)).toEqual([shown, shown]);
    expect(calls).toBe(6);
    expectCopy(at("b"), shown, pattern(4 * MIB, 1));
    expectCopy(at("c"), shown, pattern(4 * MIB, 1));
  });

  test("of a file that the original wrote after a truncation has its state, though no record tells of it", async () => {
    const { at } = folder();
    const writer = StorageWriter.create(at("a"), { capacityCells: 500 });
    writer.truncate();
    writer.close();
    const headers = [image.OFFSET.disk1, image.OFFSET.disk2];
    let bytes: Uint8Array = fs.readFileSync(at("a"));
    for (const offset of headers) bytes = image.withBytes(bytes, offset, image.headerCopy(state(400)));
    fs.writeFileSync(at("a"), bytes);
    using reader = StorageReader.open(at("a"));
    expectCopy(at("b"), await reader.copyTo(at("b")), null);
    expect(fs.statSync(at("b")).size).toBe(400 * 32);
  });

  test("tells how far it is, and lets the event loop turn", async () => {
    const { at } = folder();
    using writer = writerOf(at("a"), 8 * MIB);
    let turns = 0;
    let turning = setImmediate(function turn() {
      turns++;
      turning = setImmediate(turn);
    });
    const seen: number[] = [];
    const turnsAt: number[] = [];
    await writer.copyTo(at("b"), {
      onProgress: ({ copiedBytes, totalBytes }) => {
        expect(totalBytes).toBe(writer.byteLength);
        seen.push(copiedBytes);
        turnsAt.push(turns);
      },
    });
    clearImmediate(turning);
    expect(seen[0]).toBe(256);
    expect(seen.at(-1)).toBe(writer.byteLength);
    expect(seen.toSorted((a, b) => a - b)).toEqual(seen);
    expect(Math.max(...seen.map((bytes, i) => bytes - (seen[i - 1] ?? 0)))).toBeLessThanOrEqual(MIB);
    expect(new Set(turnsAt.slice(1)).size).toBe(turnsAt.length - 1);
  });

  test("may be read by no one else than the storage", async () => {
    const { at } = folder();
    using writer = writerOf(at("a"), 10);
    fs.chmodSync(at("a"), 0o600);
    await writer.copyTo(at("b"));
    expect(fs.statSync(at("b")).mode & 0o777).toBe(0o600);
  });
});

describe("a copy that cannot be made leaves nothing:", () => {
  test("the path is taken, before or meanwhile", async () => {
    const { at, names } = folder();
    using writer = writerOf(at("a"), 2 * MIB);
    fs.writeFileSync(at("b"), "mine");
    expect(await reason(writer.copyTo(at("b")))).toEqual(rejected("ALREADY_EXISTS"));
    expect(await reason(writer.copyTo(at("a")))).toEqual(rejected("ALREADY_EXISTS"));
    const onProgress = (): void => fs.writeFileSync(at("c"), "mine too");
    expect(await reason(writer.copyTo(at("c"), { onProgress }))).toEqual(rejected("ALREADY_EXISTS"));
    expect(fs.readFileSync(at("b"), "utf8") + fs.readFileSync(at("c"), "utf8")).toBe("minemine too");
    expect(names()).toEqual(["a", "b", "c"]);
  });

  test("the directory is missing, or the arguments are wrong", async () => {
    const { at, names } = folder();
    using writer = writerOf(at("a"), 10);
    expect(await reason(writer.copyTo(at("none/b")))).toEqual(rejected("NO_SUCH_FILE"));
    for (const wrong of [{ signal: {} }, { onProgress: 1 }]) {
      expect(await reason(writer.copyTo(at("b"), wrong as never))).toBeInstanceOf(TypeError);
    }
    expect(await reason(writer.copyTo(7 as never))).toBeInstanceOf(TypeError);
    expect(names()).toEqual(["a"]);
  });

  test("it is cancelled, before, in the middle, and after the last cell", async () => {
    const { at, names } = folder();
    using writer = writerOf(at("a"), 3 * MIB);
    expect(await reason(writer.copyTo(at("b"), { signal: AbortSignal.abort("early") }))).toBe("early");
    for (const steps of [1, 2, 4, 5]) {
      const stop = new AbortController();
      let calls = 0;
      const onProgress = (): void => void (++calls === steps && stop.abort(`at ${steps}`));
      expect(await reason(writer.copyTo(at("b"), { signal: stop.signal, onProgress }))).toBe(`at ${steps}`);
      expect(calls).toBe(steps);
    }
    expect(names()).toEqual(["a"]);
  });

  test("onProgress throws, or closes the storage", async () => {
    const { at, names } = folder();
    const writer = writerOf(at("a"), 2 * MIB);
    writer.flushSync();
    const error = new Error("enough");
    const thrower = (): never => {
      throw error;
    };
    expect(await reason(writer.copyTo(at("b"), { onProgress: thrower }))).toBe(error);
    for (const steps of [1, 2, 3]) {
      using reader = StorageReader.open(at("a"));
      let calls = 0;
      const onProgress = (): void => void (++calls === steps && reader.close());
      expect(await reason(reader.copyTo(at("b"), { onProgress }))).toEqual(rejected("CLOSED"));
    }
    expect(await reason(writer.copyTo(at("b"), { onProgress: () => writer.close() }))).toEqual(rejected("CLOSED"));
    expect(await reason(writer.copyTo(at("b")))).toEqual(rejected("CLOSED"));
    expect(names()).toEqual(["a"]);
  });

  test.each(["writer", "reader", "reader that refreshes"])(
    "the storage is truncated meanwhile, of a %s",
    async (kind) => {
      for (const steps of [1, 2, 3, 4]) {
        const { at, names } = folder();
        using writer = writerOf(at("a"), 2 * MIB);
        using reader = StorageReader.open(at("a"), { follow: "commits" });
        let calls = 0;
        const onProgress = (): void => {
          if (++calls !== steps) return;
          writer.truncate();
          writer.root = writer.write(pattern(2 * MIB, 2));
          writer.flushSync();
          if (kind === "reader that refreshes") expect(reader.refresh()).toBe(true);
        };
        const source = kind === "writer" ? writer : reader;
        expect(await reason(source.copyTo(at("b"), { onProgress }))).toEqual(rejected("TRUNCATED"));
        expect(calls).toBe(steps);
        expect(names()).toEqual(["a"]);
      }
    },
  );

  test("the storage was truncated since the reader's last refresh, until the next", async () => {
    const { at, names } = folder();
    using writer = writerOf(at("a"), 100);
    for (const follow of ["commits", "flushes"] as const) {
      writer.flushSync();
      using reader = StorageReader.open(at("a"), { follow });
      writer.truncate();
      writer.root = writer.write(pattern(100, 2));
      writer.flushSync();
      expect(await reason(reader.copyTo(at("b")))).toEqual(rejected("TRUNCATED"));
      expect(names()).toEqual(["a"]);
      reader.refresh();
      expectCopy(at("b"), await reader.copyTo(at("b")), pattern(100, 2));
      fs.rmSync(at("b"));
    }
  });

  test("a truncation was under way when the reader opened, which no word tells when it is done", async () => {
    const { at, names } = folder();
    const states = { disk: [state(500), state(500)], process: [state(8), state(8)] } as const;
    const records = [record(8, 4), record(8, 5)] as const;
    fs.writeFileSync(at("a"), image.fileOf({ ...states, records }, 500));
    using reader = StorageReader.open(at("a"));
    expect(reader.length).toBe(500);
    expect(await reason(reader.copyTo(at("b")))).toEqual(rejected("TRUNCATED"));
    expect(names()).toEqual(["a"]);
  });

  test("the file is cut by another program: an error, no signal", async () => {
    const { at, names } = folder();
    writerOf(at("a"), 3 * MIB).close();
    expect(await run(child, "cut", at("a"), at("b"))).toEqual({ error: "TRUNCATED", calls: 2 });
    expect(names()).toEqual(["a"]);
  });

  test("it would be larger than the process may make files: an error before a byte is written", async () => {
    if (process.platform !== "linux") return console.warn("skipped: the shell's unit of ulimit -f is another");
    const { at, names } = folder();
    writerOf(at("a"), 3 * MIB).close();
    const command = `ulimit -f 2048; exec "$0" "$@"`;
    const { stdout, exitCode } = Bun.spawnSync([
      "bash",
      "-c",
      command,
      process.execPath,
      child,
      "limited",
      at("a"),
      at("b"),
    ]);
    expect({ said: JSON.parse(stdout.toString()) as unknown, exitCode }).toEqual({
      said: { error: "DISK_FULL", calls: 0 },
      exitCode: 0,
    });
    expect(names()).toEqual(["a"]);
  });

  test("a sync of the writer has failed", async () => {
    const { region, publisher, header } = stubbed();
    publisher.commit(header(1));
    const snapshot = writerSnapshot(publisher, region.path);
    expect(snapshot.header).toEqual(header(1));
    snapshot.checkTrust();
    region.failAt = 1;
    expect(() => publisher.flushSync(header(2))).toThrow(rejected("FAILED") as Error);
    expect(() => snapshot.checkTrust()).toThrow(rejected("FAILED") as Error);
    snapshot.check();
    region.close();
  });
});

test("a killed copy leaves the name that nothing looks for, and the next one is made", async () => {
  const { at, names } = folder();
  using writer = writerOf(at("a"), 3 * MIB);
  writer.flushSync();
  const killed = Bun.spawn([process.execPath, child, "killed", at("a"), at("b")], { stdout: "pipe" });
  expect([await killed.exited, killed.signalCode, await killed.stdout.text()]).toEqual([137, "SIGKILL", ""]);
  expect(names()).toEqual([expect.stringMatching(new RegExp(`^\\.cellar-${killed.pid}-[0-9a-f]{16}\\.new$`)), "a"]);
  expectCopy(at("b"), await writer.copyTo(at("b")), pattern(3 * MIB, 1));
});
