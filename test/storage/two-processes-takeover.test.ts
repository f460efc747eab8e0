/** What readers and the next writer find after a writer was killed, has closed, truncated, or was the original. */

import { describe, expect, test } from "bun:test";
import type { Follows } from "../../src/index.ts";
import type { Agent } from "../support/process-agent.ts";
import { useAgents } from "../support/process-agents.ts";
import { FORGED_KEY, removeAnnex, storeHeaders } from "../support/process-forge.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ inMemory: true });
const { start, startReader, startWriter: startWriterOf } = useAgents();
const key = "11".repeat(32);
const otherKey = "22".repeat(32);
/** Growth in steps of a page: it happens all the time. */
const SMALL_STEP = 4096;

/** A new file with its writer, and one blob that is flushed. */
async function startWriter(): Promise<{ readonly path: string; readonly writer: Agent; readonly first: number }> {
  const path = file();
  return { path, ...(await startWriterOf({ path, key, resizeStepBytes: SMALL_STEP })) };
}

describe("a writer that is killed", () => {
  test("loses nothing that it committed, and its readers keep what they see", async () => {
    const { path, writer, first } = await startWriter();
    const reader = await startReader({ path, follow: "commits" });
    const indices: number[] = [];
    for (let i = 0; i < 20; i++) {
      indices.push(await writer.tell("put", `blob ${i} `.repeat(i)));
      await writer.tell("commit");
    }
    const root = indices.at(-1) ?? 0;
    await reader.tell("refresh");
    const lost = await writer.tell("put", "not committed");
    await writer.kill();

    expect(await reader.tell("refresh")).toBe(false);
    expect(await reader.tell("look")).toMatchObject({ root, length: root + 1, follows: "commits" });
    const next = start();
    expect(await next.tell("openWriter", { path, key })).toEqual({
      state: "resumedAtCommit",
      skippedCells: 0,
      tornCopies: 0,
    });
    expect(await next.tell("look")).toMatchObject({ root, length: root + 1 });
    await expect(next.tell("read", lost)).rejects.toMatchObject({ code: "INDEX_OUT_OF_RANGE" });
    for (const agent of [next, reader]) {
      expect(await agent.tell("read", first)).toBe("first");
      for (const [i, index] of indices.entries()) expect(await agent.tell("read", index)).toBe(`blob ${i} `.repeat(i));
    }
  });

  test("is followed by one with another key, and readers follow that one, with the old key or with none", async () => {
    const { path, writer } = await startWriter();
    const withKey = await startReader({ path, key });
    const without = await startReader({ path, follow: "commits" });
    const ofFlushes = await startReader({ path });
    await writer.tell("put", "committed");
    await writer.tell("commit");
    await writer.kill();

    const next = start();
    await next.tell("openWriter", { path, key: otherKey });
    const index = await next.tell("put", "by the next writer");
    await next.tell("commit");
    for (const reader of [withKey, without]) {
      expect(await reader.tell("refresh")).toBe(true);
      expect(await reader.tell("look")).toMatchObject({ root: index, length: index + 1, follows: "commits" });
      expect(await reader.tell("read", index)).toBe("by the next writer");
    }
    // Opening flushes what the killed writer committed.
    expect(await ofFlushes.tell("refresh")).toBe(true);
    expect(await ofFlushes.tell("look")).toMatchObject({ length: index, follows: "flushes" });
    await expect(withKey.tell("openReader", { path, key })).rejects.toMatchObject({ code: "INVALID_WRITER_KEY" });
  });

  test("may be dead when a reader opens: its commits prove themselves", async () => {
    const { path, writer, first } = await startWriter();
    const index = await writer.tell("put", "committed");
    await writer.tell("commit");
    await writer.kill();
    const reader = await startReader({ path, follow: "commits" });
    expect(await reader.tell("look")).toEqual({ root: index, length: index + 1, follows: "commits", truncations: 0 });
    expect(await reader.tell("read", index)).toBe("committed");
    const ofFlushes = await startReader({ path });
    expect(await ofFlushes.tell("look")).toMatchObject({ root: first, length: first + 1, follows: "flushes" });
  });
});

test("a reader opens a file that was closed, and goes on when a writer comes", async () => {
  const { path, writer, first } = await startWriter();
  await writer.tell("close");
  const reader = await startReader({ path, follow: "commits" });
  expect(await reader.tell("look")).toMatchObject({ root: first, length: first + 1, follows: "commits" });
  const next = start();
  expect(await next.tell("openWriter", { path })).toMatchObject({ state: "clean" });
  expect(await reader.tell("refresh")).toBe(false);
  const index = await next.tell("put", "more");
  await next.tell("commit");
  expect(await reader.tell("refresh")).toBe(true);
  expect(await reader.tell("read", index)).toBe("more");
});

describe("in a file without annex, as the original leaves it,", () => {
  /** A commit after a flush, by a writer that is dead, and nothing to prove it with. */
  async function leaveFile(): Promise<{ readonly path: string; readonly flushed: number; readonly committed: number }> {
    const { path, writer, first } = await startWriter();
    const committed = await writer.tell("put", "committed");
    await writer.tell("commit");
    await writer.kill();
    removeAnnex(path);
    return { path, flushed: first, committed };
  }

  test("commits are seen once the header moves, without the key", async () => {
    const { path, flushed, committed } = await leaveFile();
    const reader = await startReader({ path, follow: "commits" });
    expect(await reader.tell("look")).toMatchObject({ root: flushed, length: flushed + 1, follows: "flushes" });
    expect(await reader.tell("refresh")).toBe(false);
    expect(await reader.tell("look")).toMatchObject({ length: flushed + 1, follows: "flushes" });

    storeHeaders(path, { next: committed + 1, root: flushed }, FORGED_KEY);
    expect(await reader.tell("refresh")).toBe(true);
    expect(await reader.tell("look")).toMatchObject({ root: flushed, length: committed + 1, follows: "commits" });
    expect(await reader.tell("read", committed)).toBe("committed");
  });

  test("commits are seen at once with the key", async () => {
    const { path, committed } = await leaveFile();
    const reader = await startReader({ path, key });
    expect(await reader.tell("look")).toMatchObject({ root: committed, length: committed + 1, follows: "commits" });
    const later = await startReader({ path });
    await later.tell("enableProcessSync", key);
    await later.tell("refresh");
    expect(await later.tell("look")).toMatchObject({ root: committed, length: committed + 1, follows: "commits" });
  });
});

describe("a truncation", () => {
  test.each<[Follows]>([["flushes"], ["commits"]])("is seen by a reader of %s", async (follow) => {
    const { path, writer, first } = await startWriter();
    const reader = await startReader({ path, follow });
    await writer.tell("truncate");
    // Cells that are gone may hold anything by now: whatever they say, it is no signal.
    await Promise.allSettled([reader.tell("read", first)]);
    expect(await reader.tell("look")).toMatchObject({ length: first + 1, truncations: 0 });
    expect(await reader.tell("refresh")).toBe(true);
    expect(await reader.tell("look")).toMatchObject({ root: null, length: first, truncations: 1 });
    await expect(reader.tell("read", first)).rejects.toMatchObject({ code: "INDEX_OUT_OF_RANGE" });
    expect(await reader.tell("refresh")).toBe(false);
  });

  test.each<[Follows]>([["flushes"], ["commits"]])(
    "is noticed by a reader of %s although root and length are the same again",
    async (follow) => {
      const { path, writer, first } = await startWriter();
      const reader = await startReader({ path, follow });
      const before = await reader.tell("look");
      await writer.tell("truncate");
      expect(await writer.tell("put", "other")).toBe(first);
      await writer.tell("flushSync");
      expect(await reader.tell("refresh")).toBe(true);
      expect(await reader.tell("look")).toEqual({ ...before, truncations: 1 });
      expect(await reader.tell("read", first)).toBe("other");
    },
  );

  test("is counted on by the next writer", async () => {
    const { path, writer } = await startWriter();
    await writer.tell("truncate");
    await writer.kill();
    const next = start();
    await next.tell("openWriter", { path });
    const reader = await startReader({ path });
    expect(await reader.tell("look")).toMatchObject({ truncations: 1 });
    await next.tell("truncate");
    expect(await reader.tell("refresh")).toBe(true);
    expect(await reader.tell("look")).toMatchObject({ truncations: 2 });
  });
});
