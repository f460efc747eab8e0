/** The commands of replication: what they print, what their JSON has, and how they end. */

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { linesOf } from "../support/child.ts";
import { CLI, cellar, cellarInTerminal, errorCodeOf, plainEnvironment } from "../support/cli.ts";
import { fingerprint } from "../replicate/life.ts";
import { useFolder } from "../support/folder.ts";

const path = useFolder();
const docs = readFileSync(join(import.meta.dir, "../../docs/cli.md"), "utf8");

function fieldsOf(label: string): string[] {
  const row = docs.split("\n").find((line) => line.startsWith(`| \`${label}\` `)) ?? "";
  return [...(row.split("|")[2] ?? "").matchAll(/`(\w+)`/g)].map(([, name]) => name ?? "");
}

/** A file, and a replica of it with two states. */
async function made(): Promise<{ file: string; target: string }> {
  const [file, target] = [path(), path(`replica-${crypto.randomUUID()}`)];
  using writer = StorageWriter.create(file);
  for (const size of [100, 20_000]) {
    writer.root = writer.write(new Uint8Array(size).fill(size));
    writer.flushSync();
    expect(await cellar(["replicate", file, target, "--once"])).toMatchObject({ status: 0, stderr: "" });
  }
  return { file, target };
}

test("replicate, states, restore, follow, verify, prune and status do what they say", async () => {
  const { file, target } = await made();
  const { stdout } = await cellar(["replica", "states", target]);
  const lines = stdout.trimEnd().split("\n");
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/^\S+Z {2}state 2 {2}epoch 1 {2}length 12 {2}root 11$/);
  for (const [at, to] of [
    ["2", path()],
    [new Date().toISOString(), path()],
    [undefined, path()],
  ] as const) {
    const { status, stdout: said } = await cellar(["restore", target, to, ...(at === undefined ? [] : ["--at", at])]);
    expect(status).toBe(0);
    expect(said).toContain(at === "2" ? "state 2 " : "state 4 ");
    if (at !== "2") expect(fingerprint(to)).toBe(fingerprint(file));
  }
  const followed = path();
  expect((await cellar(["follow", target, followed, "--once"])).stdout).toContain("state 4 ");
  expect(fingerprint(followed)).toBe(fingerprint(file));
  expect(await cellar(["replica", "verify", target, "--download", "--against", file])).toMatchObject({ status: 0 });
  expect((await cellar(["replica", "prune", target, "--dry-run"])).stdout).toStartWith("would delete 0 records");
  expect(await cellar(["replica", "status", target, "--against", file, "--max-age", "0"])).toMatchObject({ status: 0 });
  {
    using writer = StorageWriter.open(file);
    writer.root = writer.write(new Uint8Array(10));
  }
  const late = await cellar(["replica", "status", target, "--against", file, "--max-age", "0"]);
  expect(late).toMatchObject({ status: 1, stderr: "" });
  expect(late.stdout).toContain("the file has a newer state");
  expect(await cellar(["replica", "verify", target, "--against", followed])).toMatchObject({ status: 0 });
});

test("verify has exit status 1 for damage, and names it", async () => {
  const { target } = await made();
  const other = path();
  StorageWriter.create(other).close();
  const { status, stdout } = await cellar(["replica", "verify", target, "--against", other]);
  expect(status).toBe(1);
  expect(stdout).toMatch(/^damage {2}file: /m);
});

test("JSON has the fields that are documented", async () => {
  const { file, target } = await made();
  const commands: readonly (readonly [label: string, ...args: string[]])[] = [
    ["replicate", "replicate", file, target, "--once"],
    ["restore", "restore", target, path()],
    ["follow", "follow", target, path(), "--once"],
    ["replica states", "replica", "states", target],
    ["replica status", "replica", "status", target],
    ["replica verify", "replica", "verify", target],
    ["replica prune", "replica", "prune", target],
  ];
  for (const [label, ...args] of commands) {
    const { stdout } = await cellar([...args, "--json"]);
    const [first = ""] = stdout.split("\n");
    expect({ label, fields: Object.keys(JSON.parse(first) as object) }).toEqual({ label, fields: fieldsOf(label) });
  }
});

test("errors are told by their code, and nothing is left", async () => {
  const { file, target } = await made();
  const to = path();
  expect(await errorCodeOf("restore", path("nothing"), to)).toBe("NOT_A_REPLICA");
  expect(await errorCodeOf("restore", target, to, "--at", "1")).toBe("NO_SUCH_STATE");
  expect(await errorCodeOf("restore", target, to, "--at", "yesterday")).toBe("USAGE");
  expect(await errorCodeOf("restore", target, file)).toBe("ALREADY_EXISTS");
  expect(existsSync(to)).toBeFalse();
  expect(await errorCodeOf("replicate", to, target, "--once")).toBe("NO_SUCH_FILE");
  StorageWriter.create(to).close();
  expect(await errorCodeOf("replicate", to, target, "--once")).toBe("DIVERGED");
  expect((await cellar(["replicate", to, target, "--once"])).stderr).toContain("--new-epoch");
  expect(await errorCodeOf("follow", target, to, "--once")).toBe("DIVERGED");
  expect(await errorCodeOf("replica", "states", target, "--dry-run")).toBe("USAGE");
  expect(await errorCodeOf("replica", "mend", target)).toBe("USAGE");
  expect(await errorCodeOf("replica", "states", "gopher://x/y")).toBe("UNSUPPORTED");
});

describe("Ctrl-C", () => {
  test.each(["replicate", "follow"])("ends %s cleanly; a later start goes on", async (name) => {
    const { file, target } = await made();
    const followed = path();
    using writer = StorageWriter.open(file);
    const args = name === "replicate" ? [file, target] : [target, followed];
    const beside =
      name === "replicate"
        ? null
        : Bun.spawn([process.execPath, CLI, "replicate", file, target, "--interval", "10"], { stdout: "ignore" });
    const child = Bun.spawn([process.execPath, CLI, name, ...args, "--interval", "10"], {
      stdout: "pipe",
      stderr: "pipe",
      env: plainEnvironment(),
    });
    const lines = linesOf(child.stdout);
    for (let i = 0; i < 3; i++) {
      writer.root = writer.write(new Uint8Array(1000 + i));
      const { length } = writer.flushSync();
      for (let line = await lines.next(); !line.done; line = await lines.next()) {
        if (line.value.includes(`length ${length} `)) break;
      }
    }
    child.kill("SIGINT");
    expect(await child.exited).toBe(0);
    expect(await child.stderr.text()).toBe("");
    beside?.kill("SIGINT");
    await beside?.exited;
    writer.root = writer.write(new Uint8Array(7));
    writer.flushSync();
    await cellar(["replicate", file, target, "--once"]);
    await cellar(["follow", target, followed, "--once"]);
    expect(fingerprint(followed)).toBe(fingerprint(file));
  });
});

test("replicate says when its store does not answer, and when it does again", async () => {
  const { file, target } = await made();
  const child = Bun.spawn([process.execPath, CLI, "replicate", file, target, "--interval", "10"], {
    stdout: "pipe",
    stderr: "pipe",
    env: plainEnvironment(),
  });
  const lines = linesOf(child.stdout);
  const errors = linesOf(child.stderr);
  const flush = (): void => {
    using writer = StorageWriter.open(file);
    writer.root = writer.write(new Uint8Array(10));
  };
  flush();
  expect((await lines.next()).value).toContain("state 6");
  renameSync(target, `${target}.away`);
  flush();
  expect((await errors.next()).value).toMatch(/^cellar: .*asking again until it answers$/);
  renameSync(`${target}.away`, target);
  expect((await errors.next()).value).toBe("cellar: the store answers again");
  expect((await lines.next()).value).toContain("state 7");
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
});

test("a terminal shows the newest state at the end, and what happens before it", async () => {
  const { file, target } = await made();
  const { status, lines } = await cellarInTerminal(["replicate", file, target, "--once"], 100);
  expect(status).toBe(0);
  expect(lines.at(-1)).toContain("state 4");
});
