/** The command among other programs: pipes that close, terminals, signals, full disks. */

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { useAgents } from "../support/process-agents.ts";
import { CLI, cellar, cellarJson, errorCodeOf, plainEnvironment } from "../support/cli.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ inMemory: true });
const { startWriter } = useAgents();
const ESCAPE = "\x1b[";
const script = Bun.which("script");
/** More than a pipe holds. */
const large = new Uint8Array(1_000_000).map((_, i) => (i * 11 + (i >> 9)) % 256);

function made(): string {
  const path = file();
  using writer = StorageWriter.create(path);
  writer.root = writer.write(large);
  return path;
}

interface Shell {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

/** Runs a line of shell, in which `cellar` is the command. */
async function shell(line: string, env: Readonly<Record<string, string>> = {}): Promise<Shell> {
  const whole = `cellar() { "${process.execPath}" "${CLI}" "$@"; }; ${line}`;
  const child = Bun.spawn(["bash", "-c", whole], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...plainEnvironment(), ...env },
  });
  const [stdout, stderr, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { stdout, stderr, status };
}

describe("a reader of its output that goes away is no error", () => {
  test.each(["cat", "cat --json", "cells 8 20000"])("%s", async (words) => {
    const [name = "", ...more] = words.split(" ");
    const options = more.filter((word) => word.startsWith("--"));
    const rest = more.filter((word) => !word.startsWith("--"));
    const args = [name, made(), ...rest, ...options].join(" ");
    const { stdout, stderr } = await shell(`{ cellar ${args}; echo "ended with $?" >&2; } | head -c 7 | wc -c`);
    expect({ taken: Number(stdout), stderr }).toEqual({ taken: 7, stderr: "ended with 0\n" });
  });

  test("tail, at its next line", async () => {
    const path = file();
    const { writer } = await startWriter({ path });
    const child = shell(`{ cellar tail ${path}; echo "ended with $?" >&2; } | head -n 1`);
    let ended = false;
    void child.finally(() => {
      ended = true;
    });
    // Commits until it has noticed; the test's time-out ends one that does not.
    while (!ended) {
      await writer.tell("put", "more");
      await writer.tell("commit");
    }
    expect(await child).toMatchObject({ status: 0, stderr: "ended with 0\n" });
  });
});

test("an output that cannot be written is an error", async () => {
  const { status, stderr } = await shell(`cellar cat ${made()} > /dev/full`);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^cellar: .*ENOSPC[^\n]*\n$/);
});

test("what is read slowly arrives whole", async () => {
  const path = made();
  const { stdout } = await shell(`cellar cat ${path} | { sleep 0.3; cat; } | cksum; cellar cat ${path} root | cksum`);
  const [slowly, atOnce] = stdout.trim().split("\n");
  expect(slowly).toEndWith(` ${large.length}`);
  expect(slowly).toBe(atOnce ?? "");
});

describe("colours", () => {
  const path = made;

  test("are not for pipes and files", async () => {
    for (const name of ["info", "check", "recover"]) {
      expect((await cellar([name, path()])).stdout).not.toContain(ESCAPE);
    }
    expect((await cellar(["nonsense"])).stderr).not.toContain(ESCAPE);
  });

  test.skipIf(script === null)(`are for terminals${script === null ? " (skipped: no script(1))" : ""}`, async () => {
    const one = path();
    const inTerminal = (env: Record<string, string>): Promise<Shell> =>
      shell(`script -qec '"${process.execPath}" "${CLI}" info ${one}' /dev/null`, env);
    const { stdout, stderr, status } = await inTerminal({});
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain(ESCAPE);
    for (const env of [{ NO_COLOR: "1" }, { TERM: "dumb" }]) {
      const plain = await inTerminal(env);
      expect(plain.stdout).not.toContain(ESCAPE);
      expect(plain.stdout).toContain("opening");
    }
    const words = Bun.stripANSI(stdout).replaceAll("\r", "");
    expect(words).toBe((await cellar(["info", one])).stdout);
    expect(words.split("\n").filter((line) => line.length > 80 && !line.startsWith("/"))).toEqual([]);
  });

  test("and blocks are not for locales without them", async () => {
    const plain = await cellar(["info", path()], { env: { LC_ALL: "C" } });
    expect(plain.stdout).toMatch(/file +#+\.*/);
    expect(/^[\x20-\x7e\n]*$/.test(plain.stdout)).toBe(true);
  });
});

describe("put", () => {
  test("stores standard input, as a whole, and says where", async () => {
    const path = file();
    const { status, stdout } = await cellar(["put", path, "-", "--create"], { stdin: large });
    expect(status).toBe(0);
    using reader = StorageReader.open(path);
    expect(Buffer.compare(reader.read(Number(stdout)), large)).toBe(0);
    expect(reader.root).toBe(null);
  });

  test("stores a file, and makes it the root only if told to", async () => {
    const path = made();
    const source = file("source.bin");
    writeFileSync(source, large.subarray(0, 5000));
    const rootBefore = Number((await shell(`cellar info ${path} --json`)).stdout.match(/"root":(\d+)/)?.[1]);
    expect((await shell(`cellar put ${path} ${source}`)).status).toBe(0);
    using reader = StorageReader.open(path);
    expect(reader.root).toBe(rootBefore);
    const { stdout } = await shell(`cellar put ${path} ${source} --root`);
    reader.refresh();
    expect(reader.root).toBe(Number(stdout));
    expect(reader.read(Number(stdout))).toEqual(large.slice(0, 5000));
  });

  // Opens, and fails at the first read: nothing is mapped at address 0.
  const failing = "/proc/self/mem";
  const hasFailing = existsSync(failing);
  test.skipIf(!hasFailing)(
    `keeps the state if its input fails${hasFailing ? "" : " (skipped: no /proc)"}`,
    async () => {
      const path = made();
      const state = async (): Promise<object> => (await cellarJson("info", path))["opening"] as object;
      const before = await state();
      expect(await errorCodeOf("put", path, failing, "--root")).toBe("INPUT");
      const { stderr } = await shell(`cellar put ${path} - --root --json < ${failing}`);
      expect(stderr).toContain('{"error":{"code":"INPUT"');
      expect(await state()).toEqual(before);
    },
  );

  test("stores standard input from where it stands, and leaves nothing of it for the next program", async () => {
    const path = made();
    const source = file("source.txt");
    writeFileSync(source, "read before\nthe rest\n");
    const { stdout } = await shell(
      `{ read -r; index=$(cellar put ${path} -); echo "$index $(cat | wc -c)"; } < ${source}`,
    );
    const [index, left] = stdout.trim().split(" ").map(Number);
    expect(left).toBe(0);
    expect((await cellar(["cat", path, String(index)])).stdout).toBe("the rest\n");
    // A descriptor that may only be written.
    expect((await shell(`cellar put ${path} - --json 0> ${file("out")}`)).stderr).toContain('{"error":{"code":"INPUT"');
  });

  test("says in the error what it could not print, since it is stored", async () => {
    const path = made();
    for (const options of ["", "--json"]) {
      const { status, stderr } = await shell(`cellar put ${path} ${CLI} ${options} > /dev/full`);
      expect(status).toBe(1);
      expect(stderr).toMatch(/ENOSPC/);
      const index = /index (\d+)/.exec(stderr)?.[1] ?? "";
      expect((await cellar(["cat", path, index])).stdout).toBe(readFileSync(CLI, "utf8"));
    }
  });

  test("refuses what it cannot store, and changes nothing", async () => {
    const path = made();
    const before = readFileSync(path);
    for (const [source, redirect] of [
      ["/nowhere", ""],
      ["/tmp", ""],
      [path, ""],
      ["-", `< ${path}`],
    ]) {
      const { status, stderr } = await shell(`cellar put ${path} ${source} --json ${redirect}`);
      expect(status).toBe(1);
      expect((JSON.parse(stderr) as { error: { code: string } }).error.code).toBe("INPUT");
      expect(readFileSync(path).equals(before)).toBe(true);
    }
    const missing = file();
    expect((await shell(`cellar put ${missing} /nowhere --create`)).status).toBe(1);
    expect(await Bun.file(missing).exists()).toBe(false);
  });
});

test("what names a file, or stands in one, does not steer the terminal", async () => {
  const controls = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/;
  const path = file();
  const headString = "a\u009b31mRED";
  expect((await cellar(["create", path, "--head-string", headString])).status).toBe(0);
  for (const args of [["info"], ["info", "--json"], ["check"], ["check", "--json"]]) {
    const { stdout } = await cellar([...args, path]);
    expect(stdout).toContain("\\u009b31mRED");
    expect(stdout).not.toMatch(controls);
  }
  expect(await cellarJson("info", path)).toMatchObject({ config: { headString } });
  const missing = file("line\none\x1b[31m\u009b0m");
  for (const options of [[], ["--json"]]) {
    const { stderr } = await cellar(["info", missing, ...options]);
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr).not.toMatch(controls);
  }
});
