/** Another program deletes, replaces, moves, cuts or overwrites the file of a storage that is open. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { codeOf } from "../support/errors.ts";
import { pattern, reason, rejected } from "../support/outcomes.ts";
import { run } from "../support/process-run.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder();
const child = join(import.meta.dir, "../support/process-changed-file.ts");

function writerOf(path: string, bytes: Uint8Array): StorageWriter {
  const writer = StorageWriter.create(path);
  writer.root = writer.write(bytes);
  writer.flushSync();
  return writer;
}

describe.each(["deleted", "replaced"])("a file that is %s", (how) => {
  async function remove(writer: StorageWriter): Promise<void> {
    if (how === "deleted") return fs.rmSync(writer.path);
    const other = `${writer.path}.new`;
    writerOf(other, pattern(10, 9)).close();
    fs.renameSync(other, writer.path);
  }

  test("fails every flush, and its writer can save all that it has", async () => {
    const path = file();
    const writer = writerOf(path, pattern(100_000, 1));
    expect(writer.stats().fileGone).toBe(false);
    await remove(writer);
    writer.root = writer.write(pattern(3_000_000, 2));
    expect(writer.stats().fileGone).toBe(true);
    writer.commit();
    const message = expect.stringContaining("save its last commit with copyTo");
    expect(await reason(writer.flush())).toEqual(expect.objectContaining({ code: "FILE_GONE", path, message }));
    expect(codeOf(() => writer.flushSync())).toBe("FILE_GONE");
    expect(codeOf(() => writer.truncate())).toBe("FILE_GONE");
    const index = writer.write(pattern(100, 3));
    writer.root = index;
    // The flush that fails commits, so that the copy has it.
    expect(codeOf(() => writer.flushSync())).toBe("FILE_GONE");
    const saved = file();
    await writer.copyTo(saved);
    expect(codeOf(() => writer.close())).toBe("FILE_GONE");
    expect(writer.closed).toBe(true);
    using copy = StorageReader.open(saved);
    expect([copy.root, copy.read(index)]).toEqual([index, pattern(100, 3)]);
  });

  test("fails await using", async () => {
    const path = file();
    const scope = async (): Promise<void> => {
      await using writer = writerOf(path, pattern(10, 1));
      await remove(writer);
    };
    expect(await reason(scope())).toEqual(rejected("FILE_GONE"));
  });

  test("ends the watches of its readers, after the last state, and readers can save what they show", async () => {
    const path = file();
    using writer = writerOf(path, pattern(10, 1));
    using reader = StorageReader.open(path, { follow: "commits" });
    const states = reader.watch({ keepAlive: true });
    writer.root = writer.write(pattern(10, 2));
    writer.commit();
    const { root, length } = writer;
    await remove(writer);
    expect(await states.next()).toEqual({ done: false, value: { root, length } });
    expect(await reason(states.next())).toEqual(rejected("FILE_GONE"));
    expect([reader.refresh(), reader.stats().fileGone]).toEqual([false, true]);
    expect(await reader.copyTo(file())).toEqual({ root, length });
    expect(codeOf(() => writer.close())).toBe("FILE_GONE");
  });
});

test.each(["in its directory", "to another"])("a file that is moved %s is no error: it has a name", async (where) => {
  const path = file();
  const folder = where === "to another" ? `${file()}.folder` : undefined;
  if (folder !== undefined) fs.mkdirSync(folder);
  const moved = folder === undefined ? file() : join(folder, "moved.cellar");
  using reader = ((): StorageReader => {
    using writer = writerOf(path, pattern(10, 1));
    const reader = StorageReader.open(path);
    fs.renameSync(path, moved);
    writer.root = writer.write(pattern(200_000, 2));
    writer.flushSync();
    expect(writer.stats().fileGone).toBe(false);
    return reader;
  })();
  expect([reader.refresh(), reader.read(reader.root ?? 0)]).toEqual([true, pattern(200_000, 2)]);
  using again = StorageReader.open(moved);
  expect(again.read(again.root ?? 0)).toEqual(pattern(200_000, 2));
});

test("a file that has another name, or other permissions, is no error", async () => {
  const path = file();
  using writer = writerOf(path, pattern(10, 1));
  const link = file();
  fs.linkSync(path, link);
  fs.chmodSync(path, 0o600);
  fs.rmSync(path);
  writer.root = writer.write(pattern(10, 2));
  await writer.flush();
  writer.overrideVersion(7);
  writer.close();
  using reader = StorageReader.open(link);
  expect([reader.config.version, reader.read(reader.root ?? 0)]).toEqual([7, pattern(10, 2)]);
});

describe("a file that is changed", () => {
  const refused = (count: number): string[] => new Array<string>(count).fill("FILE_CHANGED");
  const open = [...refused(4), "FILE_CHANGED"];

  test.each(["cut", "cut in its header", "emptied", "copied over", "cut, then grown"])(
    "%s: the next call of each kind fails, all fail from then on, and nothing is stored in it",
    async (how) => {
      const backup = file();
      writerOf(backup, pattern(5_000_000, 1)).close();
      const { codes, stored } = await run(child, how, file(), backup);
      const { close, dispose, ...others } = codes as Record<string, string[]>;
      // The write that grew has returned. A second close does nothing.
      expect(close).toEqual(["FILE_CHANGED", "CLOSED", "no error"]);
      expect(dispose).toEqual(["FILE_CHANGED", "CLOSED", "no error"]);
      for (const [name, each] of Object.entries(others)) expect([name, each]).toEqual([name, open]);
      expect([Object.keys(others).length, stored]).toEqual([6, 0]);
    },
  );

  test("cut, then written up to the end that it had: no call takes it for whole", async () => {
    const { codes } = await run(child, "cut, then filled", file(), "");
    expect(Object.values(codes as Record<string, string[]>).map(([first]) => first)).toEqual(refused(8));
  });

  test("by a storage of other cells: its readers stop", () => {
    const path = file();
    writerOf(path, pattern(10, 1)).close();
    using reader = StorageReader.open(path);
    const other = file();
    {
      using writer = StorageWriter.create(other, { bytesPerCell: 64 });
      writer.root = writer.write(pattern(100, 2));
    }
    fs.copyFileSync(other, path);
    expect(codeOf(() => reader.refresh())).toBe("FILE_CHANGED");
  });
});

describe("a backup that is copied over the file stays whole", () => {
  /** A longer storage, closed. */
  function backupOf(bytes: number): { readonly path: string; readonly content: Buffer } {
    const path = file();
    const writer = StorageWriter.create(path);
    writer.write(pattern(bytes, 5));
    writer.flushSync();
    writer.root = writer.write(pattern(1000, 6));
    writer.close();
    return { path, content: fs.readFileSync(path) };
  }

  /** What `cp` does: the same file, other bytes. */
  function copyOver(backup: { readonly path: string }, path: string): void {
    fs.writeFileSync(path, fs.readFileSync(backup.path), { flag: "r+" });
  }

  test("by an upload that is given up: no space of it is given back", async () => {
    const path = file();
    const writer = writerOf(path, pattern(10, 1));
    const backup = backupOf(9_000_000);
    const stop = new AbortController();
    const upload = async function* (): AsyncGenerator<Uint8Array> {
      for (let piece = 0; piece < 8; piece++) yield pattern(1_000_000, piece);
      copyOver(backup, path);
      stop.abort(new Error("given up"));
      yield pattern(10, 1);
    };
    await expect(writer.writeStream(upload(), { signal: stop.signal })).rejects.toThrow("given up");
    expect(codeOf(() => writer.close())).toBe("FILE_CHANGED");
    expect(Buffer.compare(fs.readFileSync(path), backup.content)).toBe(0);
  });

  test("by a flush whose first sync is under way: no header is stored", async () => {
    const path = file();
    const writer = writerOf(path, pattern(10, 1));
    const backup = backupOf(300_000);
    writer.root = writer.write(pattern(100, 2));
    const flush = reason(writer.flush());
    // The sync runs on another thread; its answer is taken in a later turn of the event loop.
    copyOver(backup, path);
    expect(await flush).toEqual(rejected("FILE_CHANGED"));
    expect(codeOf(() => writer.close())).toBe("FILE_CHANGED");
    expect(Buffer.compare(fs.readFileSync(path), backup.content)).toBe(0);
  });
});
