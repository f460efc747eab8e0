/** A writer and its readers, each in a process of its own: what readers see, and when. */

import { describe, expect, test } from "bun:test";
import { chmodSync, readFileSync } from "node:fs";
import type { Agent, ReaderOpening } from "../support/process-agent.ts";
import { useAgents } from "../support/process-agents.ts";
import { until } from "../support/process-until.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ inMemory: true });
const { start, startReader, startWriter: startWriterOf } = useAgents();
const key = "11".repeat(32);
const otherKey = "22".repeat(32);
/** Growth in steps of a page: it happens all the time. */
const SMALL_STEP = 4096;
/** The header lock is waited for so long, and then done without. */
const LOCK_WAIT_MS = 50;

/** A new file with its writer, and one blob that is flushed. */
async function startWriter(): Promise<{ readonly path: string; readonly writer: Agent; readonly first: number }> {
  const path = file();
  return { path, ...(await startWriterOf({ path, key, resizeStepBytes: SMALL_STEP })) };
}

describe("a reader", () => {
  test("sees flushes and no commits, unless it asks for them", async () => {
    const { path, writer, first } = await startWriter();
    const reader = await startReader({ path });
    expect(await reader.tell("look")).toEqual({ root: first, length: first + 1, follows: "flushes", truncations: 0 });
    expect(await reader.tell("read", first)).toBe("first");

    const second = await writer.tell("put", "second");
    await writer.tell("commit");
    expect(await reader.tell("refresh")).toBe(false);
    expect(await reader.tell("look")).toMatchObject({ root: first, length: first + 1 });
    await expect(reader.tell("read", second)).rejects.toMatchObject({ code: "INDEX_OUT_OF_RANGE" });

    await writer.tell("flush");
    await writer.tell("put", "third");
    await writer.tell("commit");
    expect(await reader.tell("refresh")).toBe(true);
    expect(await reader.tell("look")).toMatchObject({ root: second, length: second + 1, follows: "flushes" });
    expect(await reader.tell("read", second)).toBe("second");
    expect(await reader.tell("refresh")).toBe(false);
  });

  test.each<[string, Partial<ReaderOpening>]>([
    ['that follows "commits"', { follow: "commits" }],
    ["that has the writer's key", { key }],
    ["that has both", { follow: "commits", key }],
  ])("%s sees commits, and nothing before them", async (_what, opening) => {
    const { path, writer, first } = await startWriter();
    await writer.tell("put", "second");
    await writer.tell("commit");
    const reader = await startReader({ path, ...opening });
    expect(await reader.tell("look")).toMatchObject({ length: first + 2, follows: "commits" });

    const third = await writer.tell("put", "third");
    expect(await reader.tell("refresh")).toBe(false);
    await writer.tell("commit");
    expect(await reader.tell("refresh")).toBe(true);
    expect(await reader.tell("look")).toMatchObject({ root: third, length: third + 1, follows: "commits" });
    expect(await reader.tell("read", third)).toBe("third");
    expect(await reader.tell("refresh")).toBe(false);
  });

  test("believes a commit that cannot prove itself while its writer lives, and only then", async () => {
    const { path, writer, first } = await startWriter();
    const index = await writer.tell("put", "committed");
    await writer.tell("commit");
    await writer.tell("spoil", index);
    const reader = await startReader({ path, follow: "commits" });
    expect(await reader.tell("look")).toMatchObject({ root: index, length: index + 1, follows: "commits" });
    await writer.kill();
    const later = await startReader({ path, follow: "commits" });
    expect(await later.tell("look")).toMatchObject({ root: first, length: first + 1, follows: "flushes" });
  });

  test("is told that a key is wrong, and goes on as before", async () => {
    const { path, writer } = await startWriter();
    const reader = start();
    await expect(reader.tell("openReader", { path, key: otherKey })).rejects.toMatchObject({
      code: "INVALID_WRITER_KEY",
    });
    await reader.tell("openReader", { path });
    await expect(reader.tell("enableProcessSync", otherKey)).rejects.toMatchObject({ code: "INVALID_WRITER_KEY" });
    expect(await reader.tell("look")).toMatchObject({ follows: "flushes" });

    const index = await writer.tell("put", "committed");
    await writer.tell("commit");
    expect(await reader.tell("refresh")).toBe(false);
    await reader.tell("enableProcessSync", key);
    expect(await reader.tell("refresh")).toBe(true);
    expect(await reader.tell("look")).toMatchObject({ root: index, follows: "commits" });
  });

  test("need not be alone: two see the same, each when it looks", async () => {
    const { path, writer } = await startWriter();
    const [a, b] = [await startReader({ path, follow: "commits" }), await startReader({ path, follow: "commits" })];
    const index = await writer.tell("put", "for both");
    await writer.tell("commit");
    expect(await a.tell("refresh")).toBe(true);
    expect(await a.tell("read", index)).toBe("for both");
    expect(await b.tell("look")).toMatchObject({ length: index });
    expect(await b.tell("refresh")).toBe(true);
    expect(await b.tell("read", index)).toBe("for both");
  });

  test("follows the file as it grows", async () => {
    const { path, writer } = await startWriter();
    const reader = await startReader({ path, follow: "commits" });
    const sizeBytes = Bun.file(path).size;
    const text = (i: number): string => `${i} `.repeat(400);
    const indices: number[] = [];
    for (let i = 0; i < 50; i++) {
      indices.push(await writer.tell("put", text(i)));
      await writer.tell("commit");
      expect(await reader.tell("refresh")).toBe(true);
      expect(await reader.tell("read", indices[i] ?? 0)).toBe(text(i));
    }
    expect(Bun.file(path).size).toBeGreaterThan(sizeBytes + 10 * SMALL_STEP);
    for (const [i, index] of indices.entries()) expect(await reader.tell("read", index)).toBe(text(i));
  });

  test("reads a new version when it opens", async () => {
    const { path, writer } = await startWriter();
    await writer.tell("overrideVersion", 4294967295);
    const reader = await startReader({ path });
    expect(await reader.tell("version")).toBe(4294967295);
    await writer.tell("flushSync");
    await writer.kill();
    await reader.tell("openReader", { path, expect: { version: 4294967295 } });
    await expect(reader.tell("openReader", { path, expect: { version: 1 } })).rejects.toMatchObject({
      code: "CONFIG_MISMATCH",
    });
  });

  test("needs no more than to read the file, and changes nothing", async () => {
    const { path, writer, first } = await startWriter();
    await writer.tell("close");
    const before = readFileSync(path);
    chmodSync(path, 0o444);
    const reader = await startReader({ path, follow: "commits" });
    expect(await reader.tell("read", first)).toBe("first");
    expect(await reader.tell("refresh")).toBe(false);
    const { modes, mappings } = await reader.tell("access", path);
    expect(modes).toEqual([0]);
    expect(mappings.length).toBeGreaterThan(0);
    for (const permissions of mappings) expect(permissions).not.toMatch(/w.s/);
    await reader.tell("close");
    expect(await reader.tell("access", path)).toEqual({ modes: [], mappings: [] });
    expect(readFileSync(path)).toEqual(before);
  });
});

describe("a writer is not held up", () => {
  /** Waiting for a lock at each would take COMMITS * LOCK_WAIT_MS. */
  const COMMITS = 50;

  test("by a reader that is stopped at any moment", async () => {
    const { path, writer } = await startWriter();
    const reader = await startReader({ path, follow: "commits" });
    await reader.tell("keepRefreshing");
    for (let round = 0; round < 10; round++) {
      reader.signal("SIGSTOP");
      await until("the reader has stopped", () => / T /.test(readFileSync(`/proc/${reader.pid}/stat`, "utf8")));
      expect(await millisecondsOf(writer.tell("longestCommit", COMMITS))).toBeLessThan(COMMITS * LOCK_WAIT_MS);
      reader.signal("SIGCONT");
    }
    const { root } = await writer.tell("look");
    await until("the reader sees the last commit", async () => (await reader.tell("look")).root === root);
  });

  test("for more than a moment by a foreign process that holds the header lock", async () => {
    const { path, writer } = await startWriter();
    const [foreigner, reader] = [start(), await startReader({ path, follow: "commits" })];
    await foreigner.tell("holdHeaderLock", path);
    const waitedMs = await writer.tell("longestCommit", 1);
    expect(waitedMs).toBeGreaterThan(LOCK_WAIT_MS - 1);
    expect(waitedMs).toBeLessThan(10 * LOCK_WAIT_MS);
    expect(await reader.tell("refresh")).toBe(true);

    await foreigner.tell("releaseHeaderLock");
    expect(await millisecondsOf(writer.tell("longestCommit", COMMITS))).toBeLessThan(COMMITS * LOCK_WAIT_MS);
  });
});

async function millisecondsOf(work: Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work;
  return performance.now() - start;
}
