/** How a file may be named: a path or a URL, through symbolic links, and while another program has a lease of it. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { check, StorageReader, StorageWriter } from "../../src/index.ts";
import { requires } from "../crash/survive/requires.ts";
import { linesOf } from "../support/child.ts";
import { codeOf, errorOf } from "../support/errors.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder();

/** A folder of its own. */
function folder(): string {
  const path = fresh();
  fs.mkdirSync(path);
  return path;
}

test("a file: URL names a file wherever a path does", async () => {
  const at = folder();
  const url = pathToFileURL(join(at, "a b %41 ä.cellar"));
  using writer = StorageWriter.create(url);
  writer.root = writer.write(Uint8Array.of(1));
  writer.close();
  expect(writer.path).toBe(join(at, "a b %41 ä.cellar"));
  StorageWriter.open(url).close();
  StorageWriter.openOrCreate(url).close();
  using reader = StorageReader.open(url);
  await reader.copyTo(pathToFileURL(join(at, "copy")));
  expect(fs.readdirSync(at).sort()).toEqual(["a b %41 ä.cellar", "copy"]);
  expect(check(url, ["root"]).every(({ level }) => level !== "damage")).toBe(true);
});

test("another URL, or something else, is a TypeError", async () => {
  for (const path of [new URL("https://example.com/a"), new URL("file:///a%00b"), "a\0b", "", 3, null, { href: "a" }]) {
    const open = path as string;
    expect(() => StorageReader.open(open)).toThrow(TypeError);
    expect(() => StorageWriter.open(open)).toThrow(TypeError);
    expect(() => StorageWriter.create(open)).toThrow(TypeError);
    expect(() => StorageWriter.openOrCreate(open)).toThrow(TypeError);
    expect(() => check(open)).toThrow(TypeError);
    await expect(StorageWriter.inMemory().copyTo(open)).rejects.toThrow(TypeError);
  }
});

describe("openOrCreate through a symbolic link to nothing", () => {
  test("makes what the link means, and keeps the link", () => {
    const at = folder();
    fs.symlinkSync("second", join(at, "first"));
    fs.symlinkSync(join(at, "target"), join(at, "second"));
    const writer = StorageWriter.openOrCreate(join(at, "first"));
    expect(writer.path).toBe(join(at, "first"));
    writer.close();
    expect(fs.lstatSync(join(at, "target")).isFile()).toBe(true);
    expect(fs.readdirSync(at).sort()).toEqual(["first", "second", "target"]);
    StorageWriter.openOrCreate(join(at, "first")).close();
  });

  test("takes a link's `..` from the directory that the link's own path means", () => {
    const at = folder();
    fs.mkdirSync(join(at, "real/deep"), { recursive: true });
    fs.symlinkSync("real/deep", join(at, "short"));
    fs.symlinkSync("../target", join(at, "real/deep/link"));
    StorageWriter.openOrCreate(join(at, "short/link")).close();
    expect(fs.readdirSync(join(at, "real")).sort()).toEqual(["deep", "target"]);
    expect(fs.readdirSync(at).sort()).toEqual(["real", "short"]);
  });

  test("without the directory there is NO_SUCH_FILE, and a loop is named as one", () => {
    const at = folder();
    fs.symlinkSync("no/target", join(at, "nowhere"));
    fs.symlinkSync("loop", join(at, "loop"));
    expect(codeOf(() => StorageWriter.openOrCreate(join(at, "nowhere")))).toBe("NO_SUCH_FILE");
    expect(errorOf(() => StorageWriter.openOrCreate(join(at, "loop")))).toMatchObject({
      code: "SYSTEM",
      message: expect.stringContaining("loop of them"),
    });
    expect(codeOf(() => StorageWriter.create(join(at, "nowhere")))).toBe("ALREADY_EXISTS");
  });
});

test("a copy into a directory behind a link and `..` lands where the kernel finds it", async () => {
  const at = folder();
  fs.mkdirSync(join(at, "real/deep"), { recursive: true });
  fs.symlinkSync("real/deep", join(at, "short"));
  using writer = StorageWriter.inMemory();
  await writer.copyTo(`${at}/short/../copy`);
  StorageReader.open(join(at, "real/copy")).close();
  StorageWriter.create(`${at}/short/../made`).close();
  expect(fs.readdirSync(join(at, "real")).sort()).toEqual(["copy", "deep", "made"]);
});

describe("a file under another program's lease", () => {
  const { met, fails, note } = requires("linux", "python3");
  // A lease is refused while anything else has the file open, and the kernel may close it late.
  const program = `
import fcntl, os, signal, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
if sys.argv[2] == "polite": signal.signal(signal.SIGIO, lambda *_: fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK))
else: signal.signal(signal.SIGIO, signal.SIG_IGN)
while True:
    try: fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK); break
    except BlockingIOError: time.sleep(0.01)
print("leased", flush=True)
while True: signal.pause()
`;

  /** Runs `use` while another process has a lease of a storage. */
  async function whileLeased(manner: "polite" | "stubborn", use: (path: string) => void): Promise<void> {
    const path = fresh();
    StorageWriter.create(path).close();
    const holder = Bun.spawn(["python3", "-c", program, path, manner], { stdin: "ignore", stdout: "pipe" });
    try {
      expect((await linesOf(holder.stdout).next()).value).toBe("leased");
      use(path);
    } finally {
      holder.kill("SIGKILL");
      await holder.exited;
    }
  }

  test.skipIf(!met && !fails)(`opens when that program gives the lease up${note}`, async () => {
    await whileLeased("polite", (path) => StorageReader.open(path).close());
  });

  test.skipIf(!met && !fails)(`is refused by a sentence that names the lease${note}`, async () => {
    await whileLeased("stubborn", (path) => {
      const error = errorOf(() => StorageWriter.open(path));
      expect([error.code, error.path]).toEqual(["SYSTEM", path]);
      expect(error.message).toContain("holds a lease of this file");
    });
  });
});
