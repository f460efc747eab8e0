/** Pruning: nothing that a remaining state names is gone, whenever it is killed, and whatever goes on beside it. */

import { describe, expect, test } from "bun:test";
import { blockKey, logKey } from "../../src/replicate/keys.ts";
import { encodeObject } from "../../src/replicate/object.ts";
import { openLog } from "../../src/replicate/log.ts";
import { prune, type PruneOptions } from "../../src/replicate/prune.ts";
import { restore } from "../../src/replicate/restore.ts";
import { states } from "../../src/replicate/states.ts";
import { verify } from "../../src/replicate/verify.ts";
import { useFolder } from "../support/folder.ts";
import { Random, seedFromEnvironment } from "../support/random.ts";
import { Flushed, smallReplica } from "./life.ts";
import { MemoryStore } from "./memory-store.ts";
import { codeOf, Primary } from "./primary.ts";

const path = useFolder({ inMemory: true });

/** A replica of several epochs, with uploads that were never named. */
async function several(): Promise<{ store: MemoryStore; flushed: Flushed; primary: Primary; middle: Date }> {
  const store = new MemoryStore();
  await smallReplica(store);
  const file = path();
  const flushed = new Flushed(file);
  const primary = new Primary(file, flushed);
  let middle = new Date();
  primary.start(store);
  for (let epoch = 0; epoch < 4; epoch++) {
    for (const size of [100, 150_000, 7000, 300]) await primary.replicate(size, size % 251);
    if (epoch === 1) {
      middle = new Date();
      while (Date.now() === middle.getTime()) await Bun.sleep(1);
    }
    if (epoch < 3) primary.writer.truncate();
    await putUnnamed(store, epoch + 1, 0);
    await putUnnamed(store, epoch + 1, 99);
  }
  return { store, flushed, primary, middle };
}

/** What an upload that was killed leaves. */
async function putUnnamed(store: MemoryStore, epoch: number, number: number): Promise<void> {
  const cells = new Uint8Array(10);
  const object = await encodeObject({ kind: "block", format: 1, epoch, number }, [{ name: "cells", bytes: cells }]);
  await store.put(blockKey(epoch, number, "0".repeat(64)), object);
}

async function sequencesOf(store: MemoryStore): Promise<number[]> {
  const found: number[] = [];
  for await (const { sequence } of states(store)) found.push(sequence);
  return found;
}

async function damageIn(store: MemoryStore): Promise<string[]> {
  const found: string[] = [];
  for await (const { level, message } of verify(store, { download: true })) if (level === "damage") found.push(message);
  return found;
}

describe("prune", () => {
  test("deletes records that a full one names, and blocks of uploads that were killed; all states stay", async () => {
    const { store, flushed, primary: made } = await several();
    await using primary = made;
    const before = await sequencesOf(store);
    const size = store.objects.size;
    const dry = await prune(store, { dryRun: true });
    expect(store.objects.size).toBe(size);
    const done = await prune(store);
    expect(done).toEqual(dry);
    expect(done).toMatchObject({ fullRecords: 0, states: 0 });
    expect(done.records).toBeGreaterThan(6);
    expect(store.objects.size).toBe(size - done.records - done.blocks);
    // Those past the frontier may be of an upload that is under way.
    expect([...store.objects.keys()].filter((key) => /^block\/\d-\d+-0{32}/.test(key))).toEqual([
      `block/4-99-${"0".repeat(32)}`,
    ]);
    expect(await sequencesOf(store)).toEqual(before);
    expect(await prune(store)).toEqual({ records: 0, fullRecords: 0, states: 0, blocks: 0 });
    expect((await openLog(store)).replica.id).toHaveLength(32);
    await primary.replicate(100, 1);
    await primary.stop();
    await flushed.check(store, path());
  });

  test("forgets states before a time, never the last of an epoch; and older epochs when asked", async () => {
    const { store, flushed, primary: made, middle } = await several();
    await using primary = made;
    await primary.stop();
    const all = await sequencesOf(store);
    const done = await prune(store, { before: middle });
    expect(done.fullRecords).toBeGreaterThan(0);
    const left = await sequencesOf(store);
    expect(left).toHaveLength(all.length - done.states);
    const forgotten = all.filter((one) => !left.includes(one));
    for (const sequence of forgotten)
      expect(await codeOf(restore(store, path(), { at: sequence }))).toBe("NO_SUCH_STATE");
    const found = await flushed.check(store, path());
    expect(new Set(found.map(({ epoch }) => epoch)).size).toBe(4);
    await prune(store, { epochs: true });
    const last = await flushed.check(store, path());
    expect(new Set(last.map(({ epoch }) => epoch))).toEqual(new Set([4]));
    expect([...store.objects.keys()].filter((key) => /^block\/[123]-/.test(key))).toEqual([]);
    expect(await damageIn(store)).toEqual([]);
  });

  test("that is killed before any of its requests leaves every remaining state whole; the next one goes on", async () => {
    const { store, flushed, primary: made, middle } = await several();
    await using primary = made;
    await primary.stop();
    for (const options of [{}, { before: middle }, { epochs: true }] satisfies PruneOptions[]) {
      const original = new Map(store.objects);
      const whole = new MemoryStore(new Map(original));
      await prune(whole, options);
      const expected = [...whole.objects.keys()].sort();
      const requests = whole.calls.length;
      const seed = seedFromEnvironment();
      const random = new Random(seed);
      for (let killedAt = 1; killedAt <= requests; killedAt += random.between(1, 4)) {
        const part = new MemoryStore(new Map(original));
        let count = 0;
        part.hook = ({ when }) => {
          if (when === "before" && ++count > killedAt) throw new Error("killed");
        };
        await prune(part, options).catch(() => undefined);
        part.hook = () => undefined;
        expect({ seed, killedAt, damage: await damageIn(part) }).toEqual({ seed, killedAt, damage: [] });
        if (random.chance(0.2)) await flushed.check(part, path());
        await prune(part, options);
        expect([...part.objects.keys()].sort()).toEqual(expected);
      }
    }
  });

  test("beside an upload, a restore, and across epochs takes nothing that is named", async () => {
    const seed = seedFromEnvironment();
    const random = new Random(seed);
    const { store, flushed, primary: made } = await several();
    await using primary = made;
    let isOver = false;
    const beside = new MemoryStore(store.objects);
    const slow = async (): Promise<void> => {
      if (random.chance(0.3)) await Bun.sleep(0);
    };
    beside.hook = slow;
    store.hook = slow;
    const pruning = (async () => {
      while (!isOver) await prune(beside, random.chance(0.2) ? { epochs: true } : {});
    })();
    const restoring = (async () => {
      while (!isOver) await restore(beside, path());
    })();
    for (let i = 0; i < 60; i++) {
      if (random.chance(0.1)) primary.writer.truncate();
      await primary.replicate(random.pick([10, 1000, 100_000, 200_000]), i);
    }
    isOver = true;
    await Promise.all([pruning, restoring]);
    await primary.stop();
    expect({ seed, damage: await damageIn(store) }).toEqual({ seed, damage: [] });
    await flushed.check(store, path());
  });

  test("removes again what a late PUT has brought back, which is no damage", async () => {
    const { store, primary: made } = await several();
    await using primary = made;
    await primary.stop();
    const original = new Map(store.objects);
    await prune(store);
    const pruned = [...store.objects.keys()].sort();
    const listed = await sequencesOf(store);
    for (const [key, object] of original) if (!store.objects.has(key)) await store.put(key, object);
    expect(await sequencesOf(store)).toEqual(listed);
    expect(await damageIn(store)).toEqual([]);
    const notes: string[] = [];
    for await (const { level, message } of verify(store, { download: true })) if (level === "note") notes.push(message);
    expect(notes).toContainEqual(expect.stringContaining("a full record names their states"));
    await prune(store);
    expect([...store.objects.keys()].sort()).toEqual(pruned);
  });

  test("removes again full records that a late PUT has brought back; verify names them", async () => {
    const { store, primary: made, middle } = await several();
    await using primary = made;
    await primary.stop();
    const notesOf = async (): Promise<string[]> => {
      const notes: string[] = [];
      for await (const { part, level, message } of verify(store, { download: true })) {
        if (part === "log" && level === "note") notes.push(message);
      }
      return notes;
    };
    const original = new Map(store.objects);
    const bringBack = async (sequence: number): Promise<void> => {
      expect(store.objects.has(logKey(sequence))).toBeFalse();
      await store.put(logKey(sequence), original.get(logKey(sequence)) ?? new Uint8Array(0));
    };
    const { previousEpoch } = await (await openLog(store)).readToEnd();
    const first = 2;
    // A remaining record refers to it: its states are back until the next prune.
    const all = await sequencesOf(store);
    await prune(store, { before: middle });
    const remaining = await sequencesOf(store);
    await bringBack(first);
    expect(await damageIn(store)).toEqual([]);
    expect(await sequencesOf(store)).toEqual(all.filter((one) => one === first || remaining.includes(one)));
    await prune(store, { before: middle });
    expect(await sequencesOf(store)).toEqual(remaining);
    // No remaining record refers to it.
    await prune(store, { epochs: true });
    const pruned = [...store.objects.keys()].sort();
    expect(await notesOf()).toEqual([]);
    await bringBack(first);
    expect(await damageIn(store)).toEqual([]);
    expect(await notesOf()).toEqual([expect.stringMatching(/^1 full records of pruned states/)]);
    await prune(store, { epochs: true });
    expect([...store.objects.keys()].sort()).toEqual(pruned);
    // The newest epoch refers to it, and its blocks are gone.
    await bringBack(previousEpoch);
    const damage = await damageIn(store);
    expect(damage.length).toBeGreaterThan(0);
    for (const one of damage) expect(one).toContain("prune the epochs again");
    await prune(store, { epochs: true });
    expect([...store.objects.keys()].sort()).toEqual(pruned);
  });

  test("of a damaged record deletes no block: what it names is not known", async () => {
    const { store, primary: made } = await several();
    await using primary = made;
    await primary.stop();
    const log = await openLog(store);
    const { previousEpoch } = await log.readToEnd();
    const key = logKey(previousEpoch);
    const object = store.objects.get(key)?.slice() ?? new Uint8Array(0);
    object[100] = (object[100] ?? 0) ^ 1;
    store.objects.set(key, object);
    const blocks = [...store.objects.keys()].filter((one) => one.startsWith("block/"));
    expect(await codeOf(prune(store))).toBe("REPLICA_CORRUPT");
    expect([...store.objects.keys()].filter((one) => one.startsWith("block/"))).toEqual(blocks);
    expect(await damageIn(store)).toEqual(expect.arrayContaining([expect.stringContaining(key)]));
  });
});
