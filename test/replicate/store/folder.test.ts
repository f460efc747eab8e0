/** The folder store: its layout, the order of its syncs, and what it says when the file system cannot. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openStore } from "../../../src/replicate/index.ts";
import { requires } from "../../crash/survive/requires.ts";
import { useFolder } from "../../support/folder.ts";
import { describeContract, recordKey } from "./contract.ts";

const path = useFolder();
const bytes = new TextEncoder().encode("an object");

{
  let folder = "";
  const empty = (): void => void (folder = path());
  describeContract("a folder", { open: () => openStore(folder), empty, rounds: 50 });
}

/** All names below a folder. */
function treeOf(folder: string): string[] {
  return (fs.readdirSync(folder, { recursive: true }) as string[]).sort();
}

describe("the folder", () => {
  test("keeps records in subfolders, and removes those that are empty", async () => {
    const folder = path();
    const store = openStore(pathToFileURL(folder));
    expect(store.url).toBe(pathToFileURL(folder).href);
    await store.put(recordKey(1), bytes);
    await store.put(recordKey(4096), bytes);
    await store.put("block/0-0-ab", bytes);
    expect(treeOf(folder)).toEqual([
      ".new",
      "block",
      "block/0-0-ab",
      "log",
      "log/ffffffffff",
      "log/ffffffffff/ffe",
      "log/ffffffffff/ffe/ffffffffffffefff",
      "log/ffffffffff/fff",
      "log/ffffffffff/fff/fffffffffffffffe",
    ]);
    await store.delete(recordKey(1));
    expect(treeOf(folder)).not.toContain("log/ffffffffff/fff");
    await store.put(recordKey(1), bytes, { ifAbsent: true });
    expect(await store.list("log/")).toEqual([recordKey(4096), recordKey(1)]);
  });

  test("passes over what is no object", async () => {
    const folder = path();
    const store = openStore(folder);
    await store.put(recordKey(1), bytes);
    for (const name of ["lost+found", "log/ffffffffff/.nfs0001", "log/fffffffffffffffd", "log/aaaaaaaaaa/bbb/cccc"]) {
      fs.mkdirSync(join(folder, name, ".."), { recursive: true });
      fs.writeFileSync(join(folder, name), "x");
    }
    expect(await store.list("")).toEqual([recordKey(1)]);
    fs.mkdirSync(join(folder, "replica"));
    fs.symlinkSync("/etc/passwd", join(folder, "link"));
    await expect(store.get("replica")).rejects.toMatchObject({ code: "STORE_REFUSED" });
    await expect(store.get("link")).rejects.toMatchObject({ code: "STORE_REFUSED" });
    fs.writeFileSync(join(folder, "long"), "");
    fs.truncateSync(join(folder, "long"), 2 ** 40);
    await expect(store.get("long")).rejects.toMatchObject({ code: "REPLICA_CORRUPT" });
    expect(await store.get("long", { firstBytes: 3 })).toEqual(new Uint8Array(3));
  });

  test("keys of the log are records", async () => {
    const store = openStore(path());
    for (const key of ["log", "log/1", "log/fffffffffffffffg", "log/ffffffffff/fff/fffffffffffffffe"])
      await expect(store.get(key)).rejects.toThrow("16 hexadecimal digits");
  });

  test("removes old temp files, and no new ones", async () => {
    const folder = path();
    fs.mkdirSync(join(folder, ".new"), { recursive: true });
    for (const name of ["old", "young"]) fs.writeFileSync(join(folder, ".new", name), "x");
    const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 3600;
    fs.utimesSync(join(folder, ".new/old"), twoDaysAgo, twoDaysAgo);
    await openStore(folder).put("replica", bytes);
    expect(fs.readdirSync(join(folder, ".new"))).toEqual(["young"]);
  });

  test("makes the folder of temp files again when it is gone", async () => {
    const folder = path();
    const store = openStore(folder);
    await store.put(recordKey(1), bytes);
    fs.rmdirSync(join(folder, ".new"));
    expect(await store.put(recordKey(2), bytes, { ifAbsent: true })).toBe("created");
    expect(await store.get(recordKey(2))).toEqual(bytes);
    expect(fs.readdirSync(join(folder, ".new"))).toEqual([]);
  });

  test("is created, but not the folder around it", async () => {
    const folder = path();
    const store = openStore(join(folder, "replica"));
    await expect(store.put("replica", bytes)).rejects.toMatchObject({ code: "STORE_REFUSED" });
    expect(await store.get("replica")).toBeNull();
    fs.mkdirSync(folder);
    expect(await store.put("replica", bytes)).toBe("created");
  });

  test("is missed when it is gone or another one, and never made anew meanwhile", async () => {
    const folder = path();
    const store = openStore(folder);
    await store.put("replica", bytes);
    const gone = { code: "STORE_UNREACHABLE", message: expect.stringContaining("unmounted") };
    const expectMissed = async (): Promise<void> => {
      const calls = [
        () => store.get("none"),
        () => store.put(recordKey(1), bytes),
        () => store.list(""),
        () => store.delete("replica"),
      ];
      for (const call of calls) await expect(call()).rejects.toMatchObject(gone);
    };
    fs.renameSync(folder, `${folder}.away`);
    await expectMissed();
    expect(fs.existsSync(folder)).toBe(false);
    fs.mkdirSync(folder);
    await expectMissed();
    expect(treeOf(folder)).toEqual([]);
    // The temporary file is written before it is clear that this is another folder.
    fs.mkdirSync(join(folder, ".new"));
    await expectMissed();
    expect(treeOf(folder)).toEqual([".new"]);
    fs.rmdirSync(join(folder, ".new"));
    fs.rmdirSync(folder);
    fs.renameSync(`${folder}.away`, folder);
    expect(await store.list("")).toEqual(["replica"]);
  });

  test("is a folder", async () => {
    const file = path("file");
    fs.writeFileSync(file, "x");
    const store = openStore(file);
    const calls = [() => store.get("replica"), () => store.put("replica", bytes), () => store.list("")];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: "STORE_REFUSED" });
  });
});

describe("the calls of the system", () => {
  const { met, fails, note } = requires("linux", "strace");

  /** Runs the calls in a process under strace: what they printed, and the calls of the system in their order. */
  function trace(
    folder: string,
    calls: readonly string[],
    inject?: string,
    only?: string,
  ): { printed: string[]; log: string[] } {
    if (!met) throw new Error(note);
    const logPath = path("trace.log");
    const traced =
      "trace=linkat,link,rename,renameat,renameat2,fsync,openat,mkdir,mkdirat,unlink,unlinkat,rmdir,write,pwrite64";
    const faults = inject === undefined ? [] : ["-e", `inject=${inject}`];
    if (only !== undefined) faults.push("-P", only);
    const command = ["strace", "-f", "-qq", "-y", "-o", logPath, "-e", traced, ...faults, process.execPath];
    const program = join(import.meta.dir, "process-folder.ts");
    const { stdout, exitCode } = Bun.spawnSync([...command, program, folder, ...calls], { stderr: "inherit" });
    expect(exitCode).toBe(0);
    const log = fs.readFileSync(logPath, "utf8").split("\n");
    return { printed: stdout.toString().trim().split("\n"), log };
  }

  test.skipIf(!met && !fails)(`sync the object before its name, and then every folder${note}`, () => {
    const folder = path();
    const { printed, log } = trace(folder, ["put"]);
    expect(printed).toEqual(["created"]);
    const at = (pattern: RegExp): number => log.findIndex((line) => pattern.test(line));
    // The end of a call is on a line of its own where another thread's call comes between.
    const synced = at(/fsync\(\d+<[^>]*\/\.new\/[^>]*>(\)| <unfinished)/);
    const linked = at(/link(at)?\(.*fffffffffffffffe/);
    expect(synced).toBeGreaterThan(0);
    expect(linked).toBeGreaterThan(synced);
    const shown = "/log/ffffffffff/fff,/log/ffffffffff,/log,".split(",").map((name) => join(folder, name));
    for (const name of shown)
      expect([name, at(new RegExp(`fsync\\(\\d+<${name}>(\\)| <unfinished)`)) > linked]).toEqual([name, true]);
  });

  test.skipIf(!met && !fails)(`open the folder around the store's only to create that${note}`, () => {
    const folder = path();
    fs.mkdirSync(folder);
    expect(trace(folder, ["put"], "openat,open:error=EACCES", join(folder, "..")).printed).toEqual(["created"]);
    const created = trace(path(), ["put"]);
    expect(created.log.some((line) => line.includes(`fsync(`) && line.includes(`<${join(folder, "..")}>`))).toBe(true);
  });

  test.skipIf(!met && !fails)(`of a deletion are synced, also by the call after one that failed${note}`, () => {
    const folder = path();
    const { printed } = trace(folder, ["put"]);
    expect(printed).toEqual(["created"]);
    const failing = join(folder, "log/ffffffffff/fff");
    const after = trace(folder, ["delete", "delete", "get"], "fsync:error=EIO", failing);
    expect(after.printed.map((line) => line.split(":")[0])).toEqual(["STORE_UNREACHABLE", "STORE_UNREACHABLE", "none"]);
  });

  test.skipIf(!met && !fails)(`that fail leave nothing, and are named${note}`, () => {
    const refused: readonly (readonly [inject: string, answer: string])[] = [
      ["linkat,link:error=EPERM", "FENCING_UNSUPPORTED"],
      ["linkat,link:error=EOPNOTSUPP", "FENCING_UNSUPPORTED"],
      ["linkat,link:error=EXDEV", "FENCING_UNSUPPORTED"],
      ["linkat,link:error=EACCES", "STORE_REFUSED"],
      ["linkat,link:error=EIO", "STORE_UNREACHABLE"],
      ["linkat,link:error=ENOSPC", "STORE_UNREACHABLE"],
      ["fsync:error=EIO:when=1", "STORE_UNREACHABLE"],
    ];
    for (const [inject, code] of refused) {
      const folder = path();
      fs.mkdirSync(folder);
      const { printed } = trace(folder, ["put", "get"], inject);
      expect([inject, printed[0]?.split(":")[0], printed[1]]).toEqual([inject, code, "none"]);
      expect(fs.readdirSync(join(folder, ".new"))).toEqual([]);
    }
  });

  test.skipIf(!met && !fails)(`answer "exists" only when the name is durable${note}`, () => {
    const folder = path();
    // Only the syncs of the name's own folder fail.
    const { printed } = trace(folder, ["put", "put", "get"], "fsync:error=EIO", join(folder, "log/ffffffffff/fff"));
    expect(printed.map((line) => line.split(":")[0])).toEqual(["STORE_UNREACHABLE", "STORE_UNREACHABLE", "8"]);
  });
});
