/** What happens to the file while it is replicated: truncations, a writer that is killed, other files, changed cells. */

import { describe, expect, test } from "bun:test";
import { closeSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { encodeHeader } from "../../src/format/header.ts";
import { FILE } from "../../src/format/layout.ts";
import { states } from "../../src/replicate/states.ts";
import { verify } from "../../src/replicate/verify.ts";
import { useFolder } from "../support/folder.ts";
import { Flushed, smallReplica } from "./life.ts";
import { MemoryStore } from "./memory-store.ts";
import { codeOf, Primary } from "./primary.ts";

const path = useFolder({ inMemory: true, spoiled: true });

async function begun(): Promise<{ store: MemoryStore; flushed: Flushed; primary: Primary }> {
  const store = new MemoryStore();
  await smallReplica(store);
  const file = path();
  const flushed = new Flushed(file);
  const primary = new Primary(file, flushed);
  primary.start(store);
  for (const size of [100, 150_000, 7000]) await primary.replicate(size, size % 251);
  return { store, flushed, primary };
}

const ended = (primary: Primary): Promise<string> => codeOf(primary.replicator?.ended ?? Promise.resolve());

describe("a truncation", () => {
  test.each([1, 2, 3, 4])("between the copy of a block and its record leaves no mixture (at put %d)", async (nth) => {
    const { store, flushed, primary: made } = await begun();
    await using primary = made;
    let puts = 0;
    store.hook = ({ method, when }) => {
      if (method !== "put" || when !== "before" || ++puts !== nth) return;
      primary.writer.truncate();
      // The same number of cells, and of blocks.
      primary.append(157_000, 66);
      primary.append(200_000, 67);
    };
    primary.append(200_000, 68);
    while (puts < nth) await Bun.sleep(1);
    await primary.replicate(10, 69);
    await primary.stop();
    const found = await flushed.check(store, path());
    expect(found.at(-1)?.epoch).toBe(2);
  });

  test("during the first upload, when no record can tell what the cells were, leaves no mixture either", async () => {
    const store = new MemoryStore();
    await smallReplica(store);
    const file = path();
    const flushed = new Flushed(file);
    await using primary = new Primary(file, flushed);
    primary.append(150_000, 1);
    let blocks = 0;
    let isDone = false;
    store.hook = ({ method, key, when }) => {
      // Both blocks were copied; the tail is next.
      if (isDone || method !== "put" || !key.startsWith("block/") || when !== "after" || ++blocks < 2) return;
      isDone = true;
      primary.writer.truncate();
      primary.append(150_000, 2);
    };
    primary.start(store);
    while (!isDone) await Bun.sleep(1);
    await primary.replicate(10, 3);
    await primary.stop();
    await flushed.check(store, path());
  });

  test("rejects `replicated` of what was flushed before", async () => {
    const { store, primary: made } = await begun();
    await using primary = made;
    const reached = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    store.hook = async ({ method, key, when }) => {
      if (method !== "put" || !key.startsWith("block/") || when !== "before") return;
      reached.resolve();
      await release.promise;
    };
    primary.append(200_000, 1);
    const pending = codeOf(primary.replicator?.replicated() ?? Promise.resolve());
    await reached.promise;
    primary.writer.truncate();
    primary.append(10, 2);
    release.resolve();
    expect(await pending).toBe("TRUNCATED");
    await primary.replicate(10, 3);
  });

  test("while no replicator runs begins an epoch by itself; the states before still restore", async () => {
    const { store, flushed, primary: made } = await begun();
    await using primary = made;
    await primary.stop();
    primary.writer.truncate();
    primary.append(300_000, 5);
    primary.start(store);
    await primary.replicate(10, 6);
    await primary.stop();
    const found = await flushed.check(store, path());
    expect(found.map(({ epoch }) => epoch)).toEqual([1, 1, 1, 2]);
  });
});

describe("the writer", () => {
  test("whose sync fails has a state in copy 1 that is not replicated while it lives", async () => {
    const { store, flushed, primary: made } = await begun();
    await using primary = made;
    // What a flush stores before its last sync, which fails.
    primary.writer.write(new Uint8Array(1000).fill(9));
    primary.writer.commit();
    const next = primary.writer.length;
    const fd = openSync(primary.path, "r+");
    const before = new Uint8Array(FILE.disk1.sizeBytes);
    readSync(fd, before, 0, before.length, FILE.disk1.offset);
    writeSync(fd, encodeHeader({ next, root: 0 }, null), 0, before.length, FILE.disk1.offset);
    const puts = store.calls.length;
    await primary.replicator?.replicated();
    // A start sees the same file.
    await primary.stop();
    primary.start(store);
    await primary.replicator?.replicated();
    expect(store.calls.slice(puts).filter((call) => call.startsWith("put log/"))).toEqual([]);
    writeSync(fd, before, 0, before.length, FILE.disk1.offset);
    closeSync(fd);
    await primary.replicate(10, 1);
    await primary.stop();
    await flushed.check(store, path());
  });

  test("that was killed between the copies leaves its last flush in copy 1, which is synced and replicated", async () => {
    const { store, primary: made } = await begun();
    await using primary = made;
    primary.writer.write(new Uint8Array(1000).fill(9));
    primary.writer.commit();
    const next = primary.writer.length;
    // The image that the kill leaves, under another path: without a writer.
    const image = path();
    await Bun.write(image, Bun.file(primary.path));
    const fd = openSync(image, "r+");
    writeSync(fd, encodeHeader({ next, root: 0 }, null), 0, FILE.disk1.sizeBytes, FILE.disk1.offset);
    closeSync(fd);
    await primary.stop();
    primary.writer.close();
    renameSync(image, primary.path);
    const state = await primary.start(store).replicated();
    expect(state.length).toBe(next);
  });

  test("that finds a torn process-sync header counts as one that truncated: the same cells are the same epoch", async () => {
    const { store, flushed, primary: made } = await begun();
    await using primary = made;
    primary.writer.close();
    const fd = openSync(primary.path, "r+");
    for (const { offset } of [FILE.process1, FILE.process2]) writeSync(fd, new Uint8Array(32).fill(7), 0, 32, offset);
    closeSync(fd);
    primary.writer = StorageWriter.open(primary.path);
    expect(primary.writer.stats().truncations).toBe(1);
    await primary.replicate(70_000, 3);
    await primary.stop();
    await flushed.check(store, path());
    expect((await primary.start(store).replicated({ compared: true })).epoch).toBe(1);
  });

  test("of the original, which keeps no commit records, is UNSUPPORTED", async () => {
    const store = new MemoryStore();
    const file = path();
    const primary = new Primary(file, new Flushed(file));
    primary.append(100, 1);
    primary.writer.close();
    const fd = openSync(file, "r+");
    const { sizeBytes, offset } = FILE.annexHead;
    writeSync(fd, new Uint8Array(3 * sizeBytes), 0, 3 * sizeBytes, offset);
    closeSync(fd);
    primary.start(store);
    expect(await ended(primary)).toBe("UNSUPPORTED");
    expect(store.objects.size).toBe(1);
    StorageWriter.open(file).close();
    await primary.start(store).replicated();
    await primary.stop();
  });
});

describe("the path", () => {
  test("whose file is replaced by one that continues the replica is taken up", async () => {
    const { store, flushed, primary: made } = await begun();
    await using primary = made;
    const other = path();
    {
      using reader = StorageReader.open(primary.path);
      await reader.copyTo(other);
    }
    primary.writer.close();
    renameSync(other, primary.path);
    primary.writer = StorageWriter.open(primary.path);
    await primary.replicate(100_000, 4);
    await primary.stop();
    expect((await flushed.check(store, path())).every(({ epoch }) => epoch === 1)).toBeTrue();
  });

  test("whose file is gone is waited for; one that comes back older is DIVERGED", async () => {
    const { primary: made } = await begun();
    await using primary = made;
    const [old, away] = [path(), path()];
    {
      using reader = StorageReader.open(primary.path);
      await reader.copyTo(old);
    }
    await primary.replicate(5000, 3);
    renameSync(primary.path, away);
    while (primary.replicator?.stats().isFileMissing !== true) await Bun.sleep(1);
    renameSync(away, primary.path);
    await primary.replicate(5000, 4);
    primary.writer.close();
    renameSync(old, primary.path);
    expect(await ended(primary)).toBe("DIVERGED");
  });

  test("that never had a file is NO_SUCH_FILE", async () => {
    const store = new MemoryStore();
    const file = path();
    const primary = new Primary(file, new Flushed(file));
    primary.writer.close();
    rmSync(file);
    primary.start(store);
    expect(await ended(primary)).toBe("NO_SUCH_FILE");
  });
});

describe("cells that are changed in place", () => {
  test("in the tail, by a setter or by a view, are found before the next record, with their index", async () => {
    for (const isView of [false, true]) {
      const { store, flushed, primary: made } = await begun();
      await using primary = made;
      const index = primary.writer.length - 3;
      if (isView) primary.writer.cell(index)[5] = 99;
      else primary.writer.setU32(index, 4, 12345);
      primary.append(10, 1);
      expect(await ended(primary)).toBe("CHANGED_IN_PLACE");
      const error: unknown = await primary.replicator?.ended.catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ index });
      await primary.stop();
      // What the replica has, it keeps.
      expect(await flushed.check(store, path())).toHaveLength(3);
    }
  });

  test("in the tail that a block completes are found too", async () => {
    const { primary: made } = await begun();
    await using primary = made;
    primary.writer.setU32(primary.writer.length - 3, 4, 12345);
    primary.append(200_000, 1);
    expect(await ended(primary)).toBe("CHANGED_IN_PLACE");
  });

  test("in a finished block are found at the next start, and by verify", async () => {
    const { store, primary: made } = await begun();
    await using primary = made;
    await primary.replicate(200_000, 1);
    primary.writer.setU32(primary.writer.startIndex + 5, 0, 1);
    primary.writer.flushSync();
    const findings: string[] = [];
    for await (const { level, message } of verify(store, { against: primary.path })) {
      if (level === "damage") findings.push(message);
    }
    expect(findings).toEqual([expect.stringContaining("block 0")]);
    // This session has compared it already.
    await primary.replicate(10, 1);
    await primary.stop();
    primary.start(store);
    expect(await ended(primary)).toBe("CHANGED_IN_PLACE");
  });
});

describe("newEpoch", () => {
  test("begins an epoch over a file that does not continue the replica, once", async () => {
    const { store, flushed, primary: made } = await begun();
    await using primary = made;
    await primary.stop();
    await using other = new Primary(path(), flushed);
    other.append(300_000, 7);
    expect(await codeOf(other.start(store).replicated())).toBe("DIVERGED");
    const replicator = other.start(store, { newEpoch: true });
    expect((await replicator.replicated()).epoch).toBe(2);
    expect((await other.replicate(10, 1)).epoch).toBe(2);
    await other.stop();
    other.start(store, { newEpoch: true });
    expect((await other.replicate(10, 2)).epoch).toBe(2);
    await other.stop();
    const found = await flushed.check(store, path());
    expect(found.map(({ epoch }) => epoch)).toEqual([1, 1, 1, 2, 2, 2]);
    const listed: number[] = [];
    for await (const { sequence } of states(store, { from: found[1]?.sequence, to: found[4]?.sequence })) {
      listed.push(sequence);
    }
    expect(listed).toEqual(found.slice(1, 5).map(({ sequence }) => sequence));
  });
});

test("nothing new: no request", async () => {
  const { store, primary: made } = await begun();
  await using primary = made;
  await primary.replicator?.replicated({ compared: true });
  const before = store.calls.length;
  for (let i = 0; i < 20; i++) await primary.replicator?.replicated();
  expect(store.calls.length).toBe(before);
  await primary.replicate(10, 1);
  expect(store.calls.slice(before)).toEqual([expect.stringMatching(/^put log\//)]);
});

test("two iterations share the states, and both end", async () => {
  const { primary: made } = await begun();
  await using primary = made;
  const seen: number[] = [];
  const iterate = async (): Promise<void> => {
    for await (const { sequence } of primary.replicator ?? []) seen.push(sequence);
  };
  const both = Promise.all([iterate(), iterate()]);
  for (let i = 0; i < 5; i++) await primary.replicate(10, i);
  await primary.stop();
  await both;
  expect(seen.sort((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
});
