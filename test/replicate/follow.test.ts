/** Following: the local file is at a whole state of the replica, whatever happens to it, to the log, or to the follower. */

import { describe, expect, test } from "bun:test";
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { encodeHeader } from "../../src/format/header.ts";
import { FILE } from "../../src/format/layout.ts";
import { follow, type FollowOptions } from "../../src/replicate/follow.ts";
import { followerKey } from "../../src/replicate/follower-file.ts";
import type { ReplicaState } from "../../src/replicate/history.ts";
import { openLog } from "../../src/replicate/log.ts";
import { prune } from "../../src/replicate/prune.ts";
import { restore } from "../../src/replicate/restore.ts";
import type { Target } from "../../src/replicate/store/open.ts";
import { useFolder } from "../support/folder.ts";
import { Random, seedFromEnvironment } from "../support/random.ts";
import { fingerprint, Flushed, smallReplica } from "./life.ts";
import { MemoryStore, silence, unreachable } from "./memory-store.ts";
import { codeOf, Primary } from "./primary.ts";

const path = useFolder({ inMemory: true });

async function begun(sizes: readonly number[] = [100, 150_000, 7000]) {
  const store = new MemoryStore();
  await smallReplica(store);
  const file = path();
  const flushed = new Flushed(file);
  const primary = new Primary(file, flushed);
  primary.start(store);
  for (const size of sizes) await primary.replicate(size, size % 251);
  return { store, flushed, primary };
}

/** Follows to the newest state, and returns the states that came. */
async function catchUp(target: Target, to: string, options: FollowOptions = {}): Promise<ReplicaState[]> {
  const found: ReplicaState[] = [];
  for await (const state of follow(target, to, { once: true, ...options })) found.push(state);
  return found;
}

test("random histories: each state that comes is one that was flushed, also beside prune, faults and restarts", async () => {
  const seed = seedFromEnvironment();
  const random = new Random(seed);
  const { store, flushed, primary: made } = await begun();
  await using primary = made;
  const to = path();
  const beside = new MemoryStore(store.objects);
  beside.hook = () => {
    if (random.chance(0.03)) throw unreachable("injected");
  };
  let newest = -1;
  const life = async (signal: AbortSignal): Promise<void> => {
    for await (const state of follow(beside, to, { intervalMs: 1, signal })) {
      const print = fingerprint(to);
      if (!flushed.all.has(print)) throw new Error(`SEED=${seed}: state ${state.sequence} came as ${print}`);
      newest = state.sequence;
    }
  };
  for (let round = 0; round < 6; round++) {
    const stop = new AbortController();
    // At its start a store that does not answer ends it.
    const hook = beside.hook;
    beside.hook = () => undefined;
    const following = life(stop.signal);
    let last = 0;
    for (let step = 0; step < 10; step++) {
      if (step === 2) beside.hook = hook;
      if (random.chance(0.15)) primary.writer.truncate();
      if (random.chance(0.2)) primary.writer.overrideVersion(random.below(9));
      last = (await primary.replicate(random.pick([0, 10, 5000, 70_000, 200_000]), random.below(256))).sequence;
      if (random.chance(0.2)) await prune(store);
    }
    const print = fingerprint(primary.path);
    while (newest !== last) {
      await Bun.sleep(1);
      if ((await Promise.race([following.then(() => "ended"), Bun.sleep(0).then(() => "on")])) === "ended") break;
    }
    stop.abort();
    await following;
    expect({ seed, print: fingerprint(to) }).toEqual({ seed, print });
    // Behind by what prune deletes.
    for (let i = 0; i < 3; i++) await primary.replicate(1000, i);
  }
});

test("local readers and `watch` see the states as those of a writer", async () => {
  const { store, primary: made } = await begun();
  await using primary = made;
  const to = path();
  const stop = new AbortController();
  const states = follow(store, to, { intervalMs: 1, signal: stop.signal });
  await states.next();
  using reader = StorageReader.open(to);
  const seen = reader.watch({ keepAlive: true }).next();
  const state = await primary.replicate(5000, 7);
  expect((await states.next()).value).toEqual(state);
  expect(await seen).toEqual({ done: false, value: { root: state.root, length: state.length } });
  expect([...reader.read(state.root ?? 0)]).toEqual(Array(5000).fill(7));
  stop.abort();
  expect(await states.next()).toEqual({ done: true, value: undefined });
});

test("nothing new: one GET an interval, and a listing at every 60th", async () => {
  const { store, primary: made } = await begun();
  await using primary = made;
  await primary.stop();
  const stop = new AbortController();
  const states = follow(store, path(), { intervalMs: 1, signal: stop.signal });
  await states.next();
  const before = store.calls.length;
  const next = states.next();
  while (store.calls.length < before + 130) await Bun.sleep(1);
  stop.abort();
  await next;
  const calls = store.calls.slice(before, before + 122);
  expect(calls.filter((call) => call.startsWith("list"))).toHaveLength(2);
  expect(calls.every((call) => /^(get|list) log\//.test(call))).toBeTrue();
});

test("a follower that slept while prune deleted lists, and goes on", async () => {
  const { store, flushed, primary: made } = await begun();
  await using primary = made;
  const to = path();
  const stop = new AbortController();
  const states = follow(store, to, { intervalMs: 1, signal: stop.signal });
  await states.next();
  let isAsleep = true;
  const release = Promise.withResolvers<void>();
  store.hook = async (call) => {
    if (isAsleep && call.method === "get" && call.when === "before") await release.promise;
  };
  const next = states.next();
  const writing = new MemoryStore(store.objects);
  await primary.stop();
  primary.start(writing);
  await primary.replicate(100, 1);
  primary.writer.truncate();
  const last = await primary.replicate(200, 2);
  expect((await prune(writing)).records).toBeGreaterThan(0);
  isAsleep = false;
  release.resolve();
  let state = await next;
  while (state.value?.sequence !== last.sequence) state = await states.next();
  expect(flushed.all.has(fingerprint(to))).toBeTrue();
  expect(fingerprint(to)).toBe(fingerprint(primary.path));
  stop.abort();
  await states.next();
});

describe("its own file", () => {
  test("with writes of its own, of another writer, or of another replica is DIVERGED, and untouched", async () => {
    const { store, primary } = await begun();
    await primary.stop();
    primary.writer.close();
    const promoted = path();
    await catchUp(store, promoted);
    {
      using writer = StorageWriter.open(promoted);
      writer.root = writer.write(new Uint8Array(10));
    }
    const foreign = path();
    StorageWriter.create(foreign).close();
    const restored = path();
    await restore(store, restored);
    const { store: otherStore, primary: otherMade } = await begun([10_000]);
    await using other = otherMade;
    const followed = path();
    await catchUp(otherStore, followed);
    await other.stop();
    for (const file of [promoted, foreign, restored, followed]) {
      const before = readFileSync(file);
      expect(await codeOf(catchUp(store, file))).toBe("DIVERGED");
      expect(Buffer.compare(before, readFileSync(file))).toBe(0);
    }
  });

  test("with the key, but other cells, is DIVERGED too", async () => {
    const { store, primary: made } = await begun();
    await using primary = made;
    const to = path();
    await catchUp(store, to);
    const { replica } = await openLog(store);
    {
      using writer = StorageWriter.open(to, { writerKey: followerKey(replica.id) });
      writer.write(new Uint8Array(10).fill(1));
    }
    await primary.replicate(5000, 9);
    expect(await codeOf(catchUp(store, to))).toBe("DIVERGED");
  });

  test("whose newest state is not whole after a power cut is restored anew in its place", async () => {
    const { store, primary: made } = await begun();
    await using primary = made;
    const to = path();
    const [state] = await catchUp(store, to);
    const { replica } = await openLog(store);
    const next = (state?.length ?? 0) - 2;
    // The disk has the headers of the last commit, not its cells: its flush had not returned.
    const fd = openSync(to, "r+");
    for (const { offset } of [FILE.disk1, FILE.disk2]) {
      writeSync(fd, encodeHeader({ next, root: 0 }, null), 0, 32, offset);
    }
    for (const { offset } of [FILE.process1, FILE.process2]) {
      writeSync(fd, encodeHeader({ next: next + 2, root: 0 }, followerKey(replica.id)), 0, 32, offset);
    }
    writeSync(fd, new Uint8Array(64), 0, 64, FILE.commitRecord1.offset);
    writeSync(fd, new Uint8Array(64).fill(0xaa), 0, 64, next * 32);
    closeSync(fd);
    expect(await catchUp(store, to)).toHaveLength(1);
    expect(fingerprint(to)).toBe(fingerprint(primary.path));
  });

  test("of an epoch that is over is restored anew, and readers see that theirs is gone", async () => {
    const { store, primary: made } = await begun();
    await using primary = made;
    const to = path();
    await catchUp(store, to);
    using before = StorageReader.open(to);
    primary.writer.truncate();
    await primary.replicate(300_000, 3);
    await catchUp(store, to);
    expect(fingerprint(to)).toBe(fingerprint(primary.path));
    expect(before.length).not.toBe(primary.writer.length);
  });

  test("stays at its state when the disk is full", async () => {
    const { store, primary: made } = await begun();
    await using primary = made;
    const to = path();
    await catchUp(store, to);
    const print = fingerprint(to);
    await primary.replicate(3_000_000, 3);
    const script = `
      const { follow } = await import(${JSON.stringify(`${import.meta.dir}/../../src/replicate/follow.ts`)});
      const { MemoryStore } = await import(${JSON.stringify(`${import.meta.dir}/memory-store.ts`)});
      const objects = new Map(JSON.parse(await Bun.stdin.text()).map(([key, hex]) => [key, Uint8Array.fromHex(hex)]));
      try { for await (const state of follow(new MemoryStore(objects), ${JSON.stringify(to)}, { once: true })); }
      catch (error) { console.log(error.code); }`;
    const objects = JSON.stringify([...store.objects].map(([key, object]) => [key, object.toHex()]));
    const child = Bun.spawn(["sh", "-c", 'ulimit -f 1024; exec "$0" -e "$1"', process.execPath, script], {
      stdin: new TextEncoder().encode(objects),
      stdout: "pipe",
    });
    expect(await child.stdout.text()).toBe("DISK_FULL\n");
    expect(fingerprint(to)).toBe(print);
    await catchUp(store, to);
    expect(fingerprint(to)).toBe(fingerprint(primary.path));
  });
});

describe("the end", () => {
  test("comes within a second of the signal, whatever the store does", async () => {
    const { store, primary: made } = await begun();
    await using primary = made;
    await primary.stop();
    const stop = new AbortController();
    const states = follow(store, path(), { intervalMs: 1, signal: stop.signal });
    await states.next();
    store.hook = silence;
    const next = states.next();
    await Bun.sleep(5);
    const start = performance.now();
    stop.abort();
    expect(await next).toEqual({ done: true, value: undefined });
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test("of what is no replica, or has no state", async () => {
    const store = new MemoryStore();
    const to = path();
    expect(await codeOf(catchUp(store, to))).toBe("NOT_A_REPLICA");
    await smallReplica(store);
    expect(await codeOf(catchUp(store, to))).toBe("NO_SUCH_STATE");
    expect(existsSync(to)).toBeFalse();
    rmSync(to, { force: true });
  });
});
