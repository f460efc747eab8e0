/** Complete or not there: how a new file gets its path, on systems that offer more and less for it. */

import { afterEach, describe, expect, mock, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { constants } from "node:os";
import { basename, dirname, join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { libc } from "../../src/os/libc.ts";
import { NewFile } from "../../src/os/new-file.ts";
import { codeOf } from "../support/errors.ts";
import { useFolder } from "../support/folder.ts";

const newName = useFolder({ spoiled: true });
const linux = process.platform === "linux";
afterEach(() => mock.restore());

/** A path in a folder of its own. */
function fresh(): string {
  const folder = newName();
  fs.mkdirSync(folder);
  return join(folder, "a");
}

const siblings = (path: string): string[] => fs.readdirSync(dirname(path)).sort();

/** As on a file system whose driver takes no flags for a rename: the kernel answers EINVAL. */
function refuseRename(): void {
  const { syscall } = libc();
  spyOn(libc(), "syscall").mockImplementation((number, ...rest) => syscall(number, ...spoiled(rest)));
}

type RenameArguments = Parameters<ReturnType<typeof libc>["syscall"]> extends [number, ...infer Rest] ? Rest : never;

function spoiled([fromDirectory, from, toDirectory, to]: RenameArguments): RenameArguments {
  return [fromDirectory, from, toDirectory, to, 0x7fff0000];
}

function failWith(errno: number, code: string, syscall: string): never {
  throw Object.assign(new Error(code), { errno: -errno, code, syscall });
}

/** As on exFAT. */
function refuseLinks(): void {
  spyOn(fs, "linkSync").mockImplementation(() => failWith(constants.errno.EPERM, "EPERM", "link"));
}

describe.skipIf(!linux)(`a storage that is created${linux ? "" : " (skipped: Linux only)"}`, () => {
  test("is shown under its own name by its descriptors", () => {
    const path = fresh();
    using writer = StorageWriter.create(path);
    writer.flushSync();
    const names = fs.readdirSync("/proc/self/fd").map((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return "closed by now";
      }
    });
    const folder = fs.realpathSync(dirname(path));
    expect([...new Set(names.filter((name) => name.startsWith(folder)))]).toEqual([`${folder}/${basename(path)}`]);
  });

  test("gets its name without hard links", () => {
    refuseLinks();
    const path = fresh();
    StorageWriter.create(path).close();
    expect(siblings(path)).toEqual([basename(path)]);
  });

  test("gets its name by a link where a rename takes no flags", () => {
    refuseRename();
    const path = fresh();
    StorageWriter.create(path).close();
    StorageReader.open(path).close();
    expect(siblings(path)).toEqual([basename(path)]);
    expect(codeOf(() => StorageWriter.create(path))).toBe("ALREADY_EXISTS");
  });

  test("is refused, and leaves nothing, where neither works", () => {
    refuseRename();
    refuseLinks();
    const path = fresh();
    expect(codeOf(() => StorageWriter.create(path))).toBe("UNSUPPORTED");
    expect(siblings(path)).toEqual([]);
  });

  test("leaves nothing if its other name cannot be removed", () => {
    refuseRename();
    const path = fresh();
    spyOn(fs, "rmSync").mockImplementationOnce(() => failWith(constants.errno.EIO, "EIO", "unlink"));
    expect(codeOf(() => StorageWriter.create(path))).toBe("SYSTEM");
    expect(siblings(path)).toEqual([]);
  });

  test("leaves nothing if its directory cannot be synced", () => {
    const path = fresh();
    const { fsyncSync } = fs;
    spyOn(fs, "fsyncSync").mockImplementation((fd) =>
      fs.fstatSync(fd).isDirectory() ? failWith(constants.errno.EIO, "EIO", "fsync") : fsyncSync(fd),
    );
    expect(codeOf(() => StorageWriter.create(path))).toBe("SYSTEM");
    expect(siblings(path)).toEqual([]);
  });

  test("does not replace a file that appears meanwhile", () => {
    const path = fresh();
    const { syscall } = libc();
    spyOn(libc(), "syscall").mockImplementation((...call) => {
      fs.writeFileSync(path, "another");
      return syscall(...call);
    });
    expect(codeOf(() => StorageWriter.create(path))).toBe("ALREADY_EXISTS");
    expect(siblings(path)).toEqual([basename(path)]);
    expect(fs.readFileSync(path, "utf8")).toBe("another");
  });
});

describe.skipIf(!linux)(`a file without a name${linux ? "" : " (skipped: Linux only)"}`, () => {
  const encoder = new TextEncoder();

  async function place(path: string): Promise<void> {
    const file = NewFile.unnamed(path, 3, 0o600);
    try {
      await file.write(encoder.encode("abc"), 0);
      await file.sync();
      await file.place();
    } finally {
      file.close();
    }
  }

  test("is nowhere until it is placed, and has at most the permissions that were asked for", async () => {
    const path = fresh();
    const file = NewFile.unnamed(path, 3, 0o600);
    await file.write(encoder.encode("abc"), 0);
    expect(siblings(path)).toEqual([]);
    await file.place();
    file.close();
    expect(siblings(path)).toEqual([basename(path)]);
    expect([fs.readFileSync(path, "utf8"), fs.statSync(path).mode & 0o777]).toEqual(["abc", 0o600]);
  });

  test("does not replace a file that appears meanwhile", async () => {
    const path = fresh();
    const file = NewFile.unnamed(path, 0, 0o644);
    fs.writeFileSync(path, "another");
    await expect(file.place()).rejects.toMatchObject({ code: "ALREADY_EXISTS", path });
    file.discard();
    file.close();
    expect(fs.readFileSync(path, "utf8")).toBe("another");
  });

  test("has one beside its path where the file system knows no files without", async () => {
    const { openSync } = fs;
    const asked: unknown[] = [];
    spyOn(fs, "openSync").mockImplementation((path, flags, mode) => {
      asked.push(path);
      if (
        typeof path === "string" &&
        fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() &&
        asked.length === 1
      ) {
        failWith(constants.errno.EOPNOTSUPP, "EOPNOTSUPP", "open");
      }
      return openSync(path, flags, mode);
    });
    const path = fresh();
    await place(path);
    expect(asked).toHaveLength(3);
    expect(asked[1]).toMatch(/\.cellar-\d+-[0-9a-f]{16}\.new$/);
    expect(siblings(path)).toEqual([basename(path)]);
  });
});
