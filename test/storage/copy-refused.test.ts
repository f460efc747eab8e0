/** Hot backups that cannot be made: the error says why, and nothing is left of them. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { StorageReader } from "../../src/index.ts";
import { writerSnapshot } from "../../src/state/snapshot.ts";
import { expectCopy, folderAt, MIB, writerOf } from "../support/copies.ts";
import * as image from "../support/image.ts";
import { pattern, reason, rejected } from "../support/outcomes.ts";
import { run } from "../support/process-run.ts";
import { stubbed } from "../support/process-stub-store.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder();
let folders = 0;
const folder = (): ReturnType<typeof folderAt> => folderAt(file(`folder-${++folders}`));
const child = join(import.meta.dir, "../support/copy-child.ts");
const state = (next: number): image.State => ({ next, root: 0 });
/** An odd count: a truncation is under way. */
const record = (next: number, sequence: number, truncations: number): image.Proof => {
  return { next, root: 0, base: next, cellsCrc: 0, sequence, truncations };
};

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

  test("a truncation was under way when the reader opened, and goes on meanwhile", async () => {
    const begun = [record(8, 4, 1), record(8, 5, 1)] as const;
    const before: image.Area = { disk: [state(500), state(500)], process: [state(8), state(8)], records: begun };
    // Killed there, or behind its disk-sync copies, it has given no cell out again: what it left is whole.
    const underWay: readonly image.Area[] = [before, { ...before, disk: [state(8), state(8)] }];
    const done: image.Area = { ...before, disk: [state(8), state(8)], records: [record(8, 6, 2), record(8, 5, 1)] };
    for (const next of [...underWay, done]) {
      const { at, names } = folder();
      fs.writeFileSync(at("a"), image.fileOf(before, 500));
      using reader = StorageReader.open(at("a"));
      expect(reader.length).toBe(500);
      const onProgress = (): void => {
        const fd = fs.openSync(at("a"), "r+");
        fs.writeSync(fd, image.headerArea(next), 0, image.AREA_BYTES, 0);
        fs.closeSync(fd);
      };
      const copied = await reason(reader.copyTo(at("b"), { onProgress }));
      if (next === done) expect([copied, names()]).toEqual([rejected("TRUNCATED"), ["a"]]);
      else expect([copied, names()]).toEqual(["fulfilled", ["a", "b"]]);
    }
  });

  test("the file is cut by another program: an error, no signal", async () => {
    const { at, names } = folder();
    writerOf(at("a"), 3 * MIB).close();
    expect(await run(child, "cut", at("a"), at("b"))).toEqual({ error: "FILE_CUT", calls: 2 });
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
