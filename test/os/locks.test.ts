/** One writer at a time, whatever the process, the name of the file, or the end of the one before. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { patienceMs } from "../support/emulated.ts";
import { errorOf } from "../support/errors.ts";
import { type Agent, AgentError } from "../support/process-agent.ts";
import type { Orders } from "../support/process-lock-worker.ts";
import { useAgents } from "../support/process-agents.ts";
import { until } from "../support/process-until.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ inMemory: true });
const { start, startReader, startWriter } = useAgents();
/** Longer than anything here takes: a wait that is not meant ends in a failure. */
const LONG_MS = patienceMs(20_000);
const linuxOnly = process.platform === "linux" ? "" : " (skipped: Linux only)";
const refused = expect.objectContaining({ code: "WRITER_LOCKED" });

/** The same file under other names. */
function namesOf(path: string): string[] {
  const [symbolic, hard] = [`${path}.symlink`, `${path}.hardlink`];
  fs.symlinkSync(path, symbolic);
  fs.linkSync(path, hard);
  return [path, symbolic, hard, relative(process.cwd(), path), join(dirname(path), ".", basename(path))];
}

/** Has an agent open a file that is locked; resolves when it waits. */
async function startWaiting(path: string): Promise<{ readonly waiter: Agent; readonly opened: Promise<unknown> }> {
  const waiter = start();
  const opened = waiter.tell("openWriter", { path, lockTimeoutMs: LONG_MS });
  const { ino } = fs.statSync(path);
  await until("the waiter has the file open", () => {
    const fds = fs.readdirSync(`/proc/${waiter.pid}/fd`).map((fd) => `/proc/${waiter.pid}/fd/${fd}`);
    return fds.some((fd) => fs.statSync(fd, { throwIfNoEntry: false })?.ino === ino);
  });
  return { waiter, opened };
}

function millisecondsSince(start: number): number {
  return performance.now() - start;
}

/** A Worker that opens files for writing, one order after the other. */
function startWorker(): { readonly worker: Worker; readonly ask: (orders: Orders) => Promise<unknown> } {
  const worker = new Worker(new URL("../support/process-lock-worker.ts", import.meta.url));
  const ask = (orders: Orders): Promise<unknown> =>
    new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.postMessage(orders);
    });
  return { worker, ask };
}

describe("a second writer is refused", () => {
  test("in the same process, by whatever name, and without waiting", () => {
    const path = file();
    using writer = StorageWriter.create(path);
    const begin = performance.now();
    for (const name of namesOf(path)) {
      expect(() => StorageWriter.open(name, { lockTimeoutMs: LONG_MS })).toThrow(refused);
      expect(() => StorageWriter.openOrCreate(name, { lockTimeoutMs: LONG_MS })).toThrow(refused);
    }
    expect(millisecondsSince(begin)).toBeLessThan(LONG_MS);
    writer.close();
    using again = StorageWriter.open(path);
    expect(again.recovery.state).toBe("clean");
  });

  test("in a Worker, without waiting", async () => {
    const path = file();
    using writer = StorageWriter.create(path);
    const { worker, ask } = startWorker();
    const answer = (lockTimeoutMs: number): Promise<unknown> => ask({ path, lockTimeoutMs });
    try {
      expect(await answer(0)).toBe("WRITER_LOCKED");
      const begin = performance.now();
      expect(await answer(LONG_MS)).toBe("WRITER_LOCKED");
      expect(millisecondsSince(begin)).toBeLessThan(LONG_MS);
      writer.close();
      expect(await answer(0)).toBe("opened");
    } finally {
      worker.terminate();
    }
  });

  test("in another process, by whatever name; the message names the writer's process", async () => {
    const path = file();
    const { writer } = await startWriter({ path });
    const other = start();
    for (const name of namesOf(path)) {
      const error: unknown = await other.tell("openWriter", { path: name }).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(AgentError);
      expect(error).toEqual(refused);
      expect(String(error)).toContain(String(writer.pid));
    }
    await writer.tell("close");
    expect(await other.tell("openWriter", { path })).toMatchObject({ state: "clean" });
  });

  test("after the file was opened, read and closed in the writer's process", async () => {
    const path = file();
    const { writer } = await startWriter({ path });
    await writer.tell("touch", path);
    fs.readFileSync(path);
    const other = start();
    await expect(other.tell("openWriter", { path })).rejects.toEqual(refused);
    await expect(other.tell("openOrCreate", { path })).rejects.toEqual(refused);
    await writer.tell("put", "still the writer");
    await writer.tell("commit");
  });
});

test("readers open and read whoever writes", async () => {
  const path = file();
  const { writer, first } = await startWriter({ path });
  const { waiter, opened } = await startWaiting(path);
  const reader = await startReader({ path });
  expect(await reader.tell("read", first)).toBe("first");
  using here = StorageReader.open(path);
  expect(here.root).toBe(first);
  await writer.tell("close");
  await opened;
  expect(await waiter.tell("look")).toMatchObject({ root: first });
});

describe("a writer that waits", () => {
  test("goes on when the holder closes", async () => {
    const path = file();
    const { writer, first } = await startWriter({ path });
    const { waiter, opened } = await startWaiting(path);
    await writer.tell("close");
    expect(await opened).toMatchObject({ state: "clean" });
    expect(await waiter.tell("read", first)).toBe("first");
  });

  test("goes on when the holder is killed, with what that one committed", async () => {
    const path = file();
    const { writer } = await startWriter({ path });
    const { waiter, opened } = await startWaiting(path);
    const index = await writer.tell("put", "committed");
    await writer.tell("commit");
    await writer.kill();
    expect(await opened).toMatchObject({ state: "resumedAtCommit" });
    expect(await waiter.tell("read", index)).toBe("committed");
  });

  test("gives up after its time", async () => {
    const path = file();
    await startWriter({ path });
    const other = start();
    await other.tell("reset");
    const begin = performance.now();
    await expect(other.tell("openWriter", { path, lockTimeoutMs: 200 })).rejects.toEqual(refused);
    expect(millisecondsSince(begin)).toBeWithin(199, 5000);
  });

  test("gets the file that has the name by then, not the one that it waited for", async () => {
    const path = file();
    const { writer } = await startWriter({ path });
    const { waiter, opened } = await startWaiting(path);
    const replacement = file();
    const next = StorageWriter.create(replacement);
    next.root = next.write(new TextEncoder().encode("the new file"));
    const { root } = next;
    next.close();
    fs.renameSync(replacement, path);

    // The writer of the old file goes on.
    expect(await opened).toMatchObject({ state: "clean" });
    await writer.kill();
    expect(await waiter.tell("read", root ?? 0)).toBe("the new file");
    const index = await waiter.tell("put", "more");
    await waiter.tell("flushSync");
    const reader = await startReader({ path });
    expect(await reader.tell("read", index)).toBe("more");
  });

  test("is told when the name is gone by then", async () => {
    const path = file();
    await startWriter({ path });
    const { opened } = await startWaiting(path);
    const error = opened.catch((thrown: unknown) => thrown);
    fs.unlinkSync(path);
    expect(await error).toEqual(expect.objectContaining({ code: "NO_SUCH_FILE" }));
  });

  test.each(["opening", "live"])(
    "waits for one of another process that is %s, though the annex names this one",
    async (which) => {
      const path = file();
      const failed = StorageWriter.create(path);
      const image = fs.readFileSync(path);
      failed.close();
      fs.writeFileSync(path, image);
      // With a reader, this process has the file open too: so do two containers, in both of which Cellar is process 1.
      using reader = StorageReader.open(path);
      const other = start();
      await other.tell("holdWriterLock", path, which === "live");
      const begin = performance.now();
      const error = errorOf(() => StorageWriter.open(path, { lockTimeoutMs: 200 }));
      expect(millisecondsSince(begin)).toBeWithin(199, 5000);
      expect(error.code).toBe("WRITER_LOCKED");
      expect(error.message).toContain(`${path}: another process`);
      await other.tell("releaseWriterLock");
      using writer = StorageWriter.open(path);
      expect(writer.length).toBe(reader.length);
    },
  );
});

describe.skipIf(process.platform !== "linux")(`a Worker's writer${linuxOnly}`, () => {
  test("is named as one of this process, while the Worker runs", async () => {
    const path = file();
    StorageWriter.create(path).close();
    const { worker, ask } = startWorker();
    try {
      expect(await ask({ path, lockTimeoutMs: 0, keep: "kept" })).toBe("kept");
      for (const lockTimeoutMs of [0, LONG_MS]) {
        const begin = performance.now();
        const error = errorOf(() => StorageWriter.open(path, { lockTimeoutMs }));
        expect(error).toEqual(refused);
        expect(error.message).toContain(`this process (${process.pid})`);
        expect(error.message).toContain("Worker");
        expect(millisecondsSince(begin)).toBeLessThan(LONG_MS);
      }
    } finally {
      worker.terminate();
    }
  });

  test("is gone when the Worker was terminated, and what it committed is there", async () => {
    const path = file();
    StorageWriter.create(path).close();
    for (const text of ["first", "second"]) {
      const { worker, ask } = startWorker();
      expect(await ask({ path, lockTimeoutMs: LONG_MS, keep: text })).toBe("kept");
      worker.terminate();
      const writer = await untilOpened(path);
      expect(writer.recovery.state).toBe("resumedAtCommit");
      expect(new TextDecoder().decode(writer.read(writer.root ?? 0))).toBe(text);
      writer.close();
    }
  });
});

/** Opens a file when its holder lets it go. */
async function untilOpened(path: string): Promise<StorageWriter> {
  let writer: StorageWriter | undefined;
  await until("the file can be opened", () => {
    try {
      writer = StorageWriter.open(path);
    } catch (error) {
      if ((error as { code?: string }).code !== "WRITER_LOCKED") throw error;
    }
    return writer !== undefined;
  });
  if (writer === undefined) throw new Error("not opened");
  return writer;
}
