/** The command beside a writer that is at work: it sees it, follows it, copies it, and does not disturb it. */

import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import type { Agent } from "../support/process-agent.ts";
import { useAgents } from "../support/process-agents.ts";
import { CLI, cellar, cellarJson, errorCodeOf, plainEnvironment } from "../support/cli.ts";
import { linesOf } from "../support/child.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ inMemory: true });
const { startWriter, start } = useAgents();

/** A new storage with its writer, and a committed blob after the flushed one. */
async function live(): Promise<{ path: string; writer: Agent; first: number; committed: number }> {
  const path = file();
  const { writer, first } = await startWriter({ path });
  const committed = await writer.tell("put", "committed");
  await writer.tell("commit");
  return { path, writer, first, committed };
}

/** Long enough to tell a process that sleeps from one that spins, on a busy machine too. */
const IDLE_MS = 400;
const MOST_IDLE_SHARE = 0.4;

interface Line {
  readonly length: number;
  readonly root: number | null;
}

/** `cellar tail PATH --json` as it runs. */
class Tail implements AsyncDisposable {
  readonly #process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #lines: AsyncIterator<string>;

  constructor(path: string, ...options: readonly string[]) {
    this.#process = Bun.spawn([process.execPath, CLI, "tail", path, "--json", ...options], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: plainEnvironment(),
    });
    this.#lines = linesOf(this.#process.stdout);
  }

  get pid(): number {
    return this.#process.pid;
  }

  async next(): Promise<Line> {
    const line = await this.#lines.next();
    if (line.done) throw new Error(`tail ended: ${await this.#process.stderr.text()}`);
    return JSON.parse(line.value) as Line;
  }

  /** Lines until one has this root. */
  async until(root: number): Promise<Line> {
    for (;;) {
      const line = await this.next();
      if (line.root === root) return line;
    }
  }

  /** Waits for its end, which a signal may bring about. */
  async end(signal?: NodeJS.Signals): Promise<{ status: number; rest: string | undefined; stderr: string }> {
    if (signal !== undefined) this.#process.kill(signal);
    const { value } = await this.#lines.next();
    return { status: await this.#process.exited, rest: value, stderr: await this.#process.stderr.text() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}

test("info names the writer, and what would be left if it were killed", async () => {
  const { path, writer, committed } = await live();
  const state = { state: "resumedAtCommit", root: committed, length: committed + 1 };
  const printed = await cellarJson("info", path);
  expect(printed).toMatchObject({ writer: "live", annex: { processId: writer.pid }, opening: state });
  const { status, stdout } = await cellar(["info", path]);
  expect(status).toBe(0);
  expect(stdout).toContain(`process ${writer.pid} writes it now`);
  expect(stdout).toContain("if killed");
  await writer.kill();
  expect(await cellarJson("info", path)).toMatchObject({ ...printed, writer: "none" });
  const next = start();
  await next.tell("openWriter", { path });
  expect(await next.tell("look")).toMatchObject({ root: committed, length: committed + 1 });
});

test("commits are seen, and only flushes where that is asked for", async () => {
  const { path, first, committed } = await live();
  expect((await cellar(["cat", path])).stdout).toBe("committed");
  expect((await cellar(["cat", path, "root", "--follow", "flushes"])).stdout).toBe("first");
  expect(await errorCodeOf("cat", path, String(committed), "--follow", "flushes")).toBe("INDEX_OUT_OF_RANGE");
  const [byCommits, byFlushes] = [file(), file()];
  expect(await cellarJson("copy", path, byCommits)).toMatchObject({ root: committed });
  expect(await cellarJson("copy", path, byFlushes, "--follow", "flushes")).toMatchObject({ root: first });
  expect((await cellar(["cat", byCommits])).stdout).toBe("committed");
});

test("what only looks changes nothing in the file, and what writes is refused", async () => {
  const { path, writer, committed } = await live();
  const look = (): object => {
    const { size, mtimeMs, blocks } = statSync(path);
    return { size, mtimeMs, blocks, hash: createHash("sha256").update(readFileSync(path)).digest("hex") };
  };
  // Nothing but us can touch the file while it stands still, and none of these may wait for it.
  process.kill(writer.pid, "SIGSTOP");
  try {
    const before = look();
    for (const args of [["info"], ["check"], ["cat"], ["cells", "8"], ["chain"], ["tail", "--count", "1"]]) {
      const [name = "", ...rest] = args;
      expect({ args, ...(await cellar([name, path, ...rest])) }).toMatchObject({ args, status: 0, stderr: "" });
    }
    expect((await cellar(["copy", path, file()])).status).toBe(0);
    expect(await errorCodeOf("put", path, CLI)).toBe("WRITER_LOCKED");
    expect(await errorCodeOf("put", path, CLI, "--lock-timeout-ms", "50")).toBe("WRITER_LOCKED");
    expect(await errorCodeOf("recover", path, "--yes")).toBe("WRITER_LOCKED");
    expect(look()).toEqual(before);
  } finally {
    process.kill(writer.pid, "SIGCONT");
  }
  expect(await writer.tell("put", "goes on")).toBeGreaterThan(committed);
  expect(await writer.tell("flushSync")).toMatchObject({ root: committed + 1 });
});

describe("tail", () => {
  test.each(["deleted", "replaced"])("ends with an error when the file is %s", async (how) => {
    const { path, committed } = await live();
    await using tail = new Tail(path);
    await tail.until(committed);
    const other = file();
    expect((await cellar(["copy", path, other])).status).toBe(0);
    if (how === "deleted") rmSync(path);
    else renameSync(other, path);
    const { status, rest, stderr } = await tail.end();
    expect([status, rest, stderr.includes("FILE_GONE")]).toEqual([1, undefined, true]);
  });

  test("shows the state now, then those that come, until Ctrl-C", async () => {
    const { path, writer, committed } = await live();
    await using tail = new Tail(path);
    expect(await tail.next()).toMatchObject({ root: committed, length: committed + 1 });
    for (let i = 0; i < 5; i++) {
      const root = await writer.tell("put", `blob ${i}`);
      await writer.tell("commit");
      expect(await tail.until(root)).toMatchObject({ root, length: root + 1 });
    }
    expect(await tail.end("SIGINT")).toEqual({ status: 0, rest: undefined, stderr: "" });
  });

  test("of flushes shows no commit", async () => {
    const { path, writer, first } = await live();
    await using tail = new Tail(path, "--follow", "flushes");
    expect(await tail.next()).toMatchObject({ root: first });
    await writer.tell("put", "committed again");
    await writer.tell("commit");
    const flushed = await writer.tell("put", "flushed");
    await writer.tell("flushSync");
    expect(await tail.next()).toMatchObject({ root: flushed, length: flushed + 1 });
    expect(await tail.end("SIGTERM")).toEqual({ status: 0, rest: undefined, stderr: "" });
  });

  const schedstat = (pid: number): string => `/proc/${pid}/schedstat`;
  const measurable = existsSync(schedstat(process.pid));
  test.skipIf(!measurable)(`sleeps while nothing comes${measurable ? "" : " (skipped: no /proc)"}`, async () => {
    const { path } = await live();
    await using tail = new Tail(path);
    await tail.next();
    // Of its main thread, in nanoseconds.
    const busyMs = (): number => Number(readFileSync(schedstat(tail.pid), "utf8").split(" ")[0]) / 1e6;
    const before = { busyMs: busyMs(), atMs: performance.now() };
    await Bun.sleep(IDLE_MS);
    expect((busyMs() - before.busyMs) / (performance.now() - before.atMs)).toBeLessThan(MOST_IDLE_SHARE);
    expect(await tail.end("SIGINT")).toEqual({ status: 0, rest: undefined, stderr: "" });
  });

  test("ends after as many lines as it was told to", async () => {
    const { path, writer } = await live();
    await using tail = new Tail(path, "--count", "2");
    await tail.next();
    const root = await writer.tell("put", "the second line");
    await writer.tell("commit");
    expect(await tail.next()).toMatchObject({ root });
    expect(await tail.end()).toEqual({ status: 0, rest: undefined, stderr: "" });
  });
});
