/** Replicating and restoring: random histories against what was flushed, kept outside. */

import { afterEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { StorageWriter } from "../../src/index.ts";
import { type BlockName, blockNameOf, logKey } from "../../src/replicate/keys.ts";
import { follow } from "../../src/replicate/follow.ts";
import { openLog } from "../../src/replicate/log.ts";
import { encodeObject } from "../../src/replicate/object.ts";
import { prune } from "../../src/replicate/prune.ts";
import { type Replicator, replicate } from "../../src/replicate/replicator.ts";
import { restore } from "../../src/replicate/restore.ts";
import { states } from "../../src/replicate/states.ts";
import { status } from "../../src/replicate/status.ts";
import { openStore } from "../../src/replicate/store/open.ts";
import { verify } from "../../src/replicate/verify.ts";
import { useFolder } from "../support/folder.ts";
import { Random, seedFromEnvironment } from "../support/random.ts";
import { fingerprint, Flushed, SMALL_BLOCK_BYTES, smallReplica } from "./life.ts";
import { MemoryStore, silence, unreachable } from "./memory-store.ts";
import { codeOf } from "./primary.ts";

const path = useFolder({ inMemory: true });
const open: Replicator[] = [];
const started = (...args: Parameters<typeof replicate>): Replicator => {
  const replicator = replicate(...args);
  open.push(replicator);
  return replicator;
};
afterEach(async () => {
  for (const replicator of open.splice(0)) await replicator.close();
});

/** One random change of the storage, flushed or not. */
function change(writer: StorageWriter, random: Random): void {
  const size = random.pick([0, 10, 1000, 30_000, 70_000, 200_000]);
  const action = random.below(12);
  if (action === 0) writer.truncate();
  else if (action === 1) writer.overrideVersion(random.below(100));
  else if (action === 2) writer.root = null;
  else {
    const bytes = new Uint8Array(size).map(() => random.below(256));
    const index = writer.write(bytes);
    if (action < 9) writer.root = index;
  }
}

async function blockOf({ epoch, number }: BlockName): Promise<Uint8Array<ArrayBuffer>> {
  const cells = new Uint8Array(SMALL_BLOCK_BYTES);
  return encodeObject({ kind: "block", format: 1, epoch, number }, [{ name: "cells", bytes: cells }]);
}

describe("random histories", () => {
  test.each([1, 2, 3, 4])("restore byte for byte, with restarts and lost answers (%d)", async (round) => {
    const seed = (seedFromEnvironment() + round) >>> 0;
    try {
      await history(seed);
    } catch (error) {
      throw new Error(`SEED=${(seed - round) >>> 0}, round ${round}`, { cause: error });
    }
  });

  async function history(seed: number): Promise<void> {
    const random = new Random(seed);
    const file = path();
    const cellBytes = random.pick([4, 32, 100, 4096]);
    let writer = StorageWriter.create(file, { bytesPerCell: cellBytes });
    const flushed = new Flushed(file);
    const store = new MemoryStore();
    await smallReplica(store);
    flushed.flush(writer);
    let replicator = started(file, store, { intervalMs: 1 });
    await replicator.replicated();
    store.hook = ({ method }) => {
      if (method !== "delete" && random.chance(0.02)) throw unreachable("injected");
    };
    for (let step = 0; step < 40; step++) {
      change(writer, random);
      const print = flushed.flush(writer);
      if (random.chance(0.6)) flushed.acknowledge(await replicator.replicated(), print);
      if (random.chance(0.1)) {
        writer.close();
        writer = StorageWriter.open(file);
        flushed.flush(writer);
      }
      if (random.chance(0.1)) {
        await replicator.close();
        store.hook = () => undefined;
        replicator = started(file, store, { intervalMs: 1 });
      }
    }
    const print = flushed.flush(writer);
    const newest = await replicator.replicated({ compared: true });
    flushed.acknowledge(newest, print);
    await replicator.close();
    writer.close();
    store.hook = () => undefined;
    const found = await flushed.check(store, path());
    expect(found.at(-1)).toEqual(newest);
    for (const sequence of flushed.replicated.keys()) expect(found.map((state) => state.sequence)).toContain(sequence);
  }

  test("also on the folder store, with full records every 1,024 states", async () => {
    const file = path();
    const folder = path("replica");
    using writer = StorageWriter.create(file);
    const flushed = new Flushed(file);
    const store = openStore(folder);
    await smallReplica(store);
    const replicator = started(file, folder, { intervalMs: 1 });
    const times = new Map<number, number>();
    for (let i = 0; i < 1100; i++) {
      writer.root = writer.write(new Uint8Array(100).fill(i));
      const print = i % 100 === 0 ? flushed.flush(writer) : (writer.flushSync(), "");
      const state = await replicator.replicated();
      times.set(state.sequence, state.time.getTime());
      if (print !== "") flushed.acknowledge(state, print);
    }
    await replicator.close();
    const found: number[] = [];
    for await (const { sequence } of states(folder)) found.push(sequence);
    expect(found).toEqual([...times.keys()]);
    const log = await openLog(store);
    const fulls: number[] = [];
    for (let sequence = 1; sequence <= (found.at(-1) ?? 0); sequence++) {
      if ((await log.line(sequence))?.kind === "full") fulls.push(sequence);
    }
    // The first state, and the 1,024th after it.
    expect(fulls).toEqual([2, 2 + 1024]);
    for (const [sequence, print] of flushed.replicated) {
      const copy = path();
      await restore(folder, copy, { at: sequence });
      expect(fingerprint(copy)).toBe(print);
      // The last of its millisecond.
      const time = times.get(sequence) ?? 0;
      const last = Math.max(...[...times].filter(([, at]) => at === time).map(([one]) => one));
      expect((await restore(folder, path(), { at: new Date(time) })).sequence).toBe(last);
    }
  });
});

test.each([63, 64, 65, 128, 200])(
  "a first upload of %d blocks at once restores, in the first epoch and in the next",
  async (blocks) => {
    const file = path();
    const store = new MemoryStore();
    await smallReplica(store);
    using writer = StorageWriter.create(file);
    const flushed = new Flushed(file);
    const replicator = started(file, store, { intervalMs: 1 });
    for (const epoch of [1, 2]) {
      if (epoch > 1) writer.truncate();
      writer.root = writer.write(new Uint8Array(blocks * SMALL_BLOCK_BYTES).fill(epoch));
      for (const size of [0, 70_000, 10]) {
        writer.root = writer.write(new Uint8Array(size).fill(size));
        const print = flushed.flush(writer);
        const state = await replicator.replicated({ compared: true });
        expect(state.epoch).toBe(epoch);
        flushed.acknowledge(state, print);
      }
    }
    await replicator.close();
    expect(await flushed.check(store, path())).toHaveLength(6);
    expect((await openLog(store).then((log) => log.readToEnd())).blocks.count).toBeGreaterThanOrEqual(blocks);
  },
);

test("64 MiB of records are followed by a full one", async () => {
  const file = path();
  using writer = StorageWriter.create(file, { bytesPerCell: 4096 });
  const store = new MemoryStore();
  const replicator = started(file, store, { intervalMs: 1 });
  const bytes = new Uint8Array(7 * 1024 * 1024);
  for (let i = 0; i < 12; i++) {
    writer.root = writer.write(bytes.fill(i));
    writer.flushSync();
    await replicator.replicated();
  }
  await replicator.close();
  const log = await openLog(store);
  let sum = 0;
  let fulls = 0;
  for (let sequence = 2; sequence <= (await log.newest()); sequence++) {
    const stored = await log.get(sequence);
    if (stored?.record.kind === "full") [fulls, sum] = [fulls + 1, 0];
    else sum += stored?.sizeBytes ?? 0;
    expect(sum).toBeLessThanOrEqual(64 * 1024 * 1024);
  }
  expect(fulls).toBe(2);
});

describe("a bulk append whose replicator is killed", () => {
  /** A replica with blocks that were named, and no state that has them. */
  async function interrupted(states: number): Promise<{ store: MemoryStore; file: string; flushed: Flushed }> {
    const file = path();
    const flushed = new Flushed(file);
    const store = new MemoryStore();
    await smallReplica(store);
    using writer = StorageWriter.create(file);
    for (let i = 0; i < states; i++) {
      writer.root = writer.write(new Uint8Array(100_000).fill(i));
      flushed.flush(writer);
      const replicator = started(file, store, { intervalMs: 1 });
      await replicator.replicated();
      await replicator.close();
    }
    writer.root = writer.write(new Uint8Array(6_000_000).fill(9));
    flushed.flush(writer);
    const replicator = started(file, store, { intervalMs: 1 });
    let named = 0;
    store.hook = async (call) => {
      if (call.method === "put" && call.key.startsWith("log/") && call.when === "after") named++;
      // After the opening and the blocks record.
      if (call.method === "put" && named === 2 && call.when === "before") await silence(call);
    };
    while (named < 2) await Bun.sleep(1);
    await replicator.close();
    store.hook = () => undefined;
    const { blocks, stateBlocks } = await (await openLog(store)).readToEnd();
    expect(blocks.count - stateBlocks).toBe(64);
    return { store, file, flushed };
  }

  test("goes on where it was: at most 64 blocks are sent again", async () => {
    const { store, file, flushed } = await interrupted(1);
    const replicator = started(file, store, { intervalMs: 1 });
    await replicator.replicated({ compared: true });
    expect(replicator.stats().blocksSent).toBeLessThan(64);
    await replicator.close();
    expect(await flushed.check(store, path())).toHaveLength(2);
  });

  test.each([true, false])(
    "is continued by a restored file too, which has other cells there (at once: %p)",
    async (isAtOnce) => {
      const { store, flushed } = await interrupted(2);
      const restored = path();
      await restore(store, restored);
      using writer = StorageWriter.open(restored);
      flushed.flushFrom(restored, writer);
      const append = (): string => {
        writer.root = writer.write(new Uint8Array(5_000_000).fill(1));
        return flushed.flushFrom(restored, writer);
      };
      if (isAtOnce) append();
      const replicator = started(restored, store, { intervalMs: 1 });
      await replicator.replicated({ compared: true });
      if (!isAtOnce) append();
      for (let i = 0; i < 2; i++) {
        writer.root = writer.write(new Uint8Array(70_000).fill(i));
        const print = flushed.flushFrom(restored, writer);
        const state = await replicator.replicated({ compared: true });
        expect(state.epoch).toBe(1);
        flushed.acknowledge(state, print);
      }
      await replicator.close();
      await flushed.check(store, path());
      await prune(store);
      await flushed.check(store, path());
    },
  );

  test("is not continued by another file, though there is no state to compare", async () => {
    const { store } = await interrupted(0);
    const other = path();
    using writer = StorageWriter.create(other);
    writer.root = writer.write(new Uint8Array(7_000_000));
    writer.flushSync();
    expect(await codeOf(started(other, store, { intervalMs: 1 }).ended)).toBe("DIVERGED");
  });
});

describe("a restore", () => {
  test("of a damaged replica names the object, and leaves nothing", async () => {
    const seed = seedFromEnvironment();
    const random = new Random(seed);
    const file = path();
    using writer = StorageWriter.create(file);
    const store = new MemoryStore();
    await smallReplica(store);
    const replicator = started(file, store, { intervalMs: 1 });
    for (let i = 0; i < 6; i++) {
      writer.root = writer.write(new Uint8Array(50_000).map(() => random.below(256)));
      writer.flushSync();
      await replicator.replicated();
    }
    await replicator.close();
    // Each object alone, damaged in each way. Nothing needs the opening; the newest record may be missing.
    const [opening, newest] = [logKey(1), logKey(7)];
    for (const [key, object] of [...store.objects]) {
      if (key === opening) continue;
      const flipped = object.slice();
      const at = random.below(object.length);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << random.below(8));
      const other = random.pick([...store.objects.keys()].filter((one) => one !== key));
      const swapped = store.objects.get(other) ?? null;
      const block = blockNameOf(key);
      // What a killed upload of other cells leaves is whole in itself.
      const alien = block === null ? flipped : await blockOf(block);
      const kinds = { missing: null, cut: object.slice(0, at), flipped, swapped, alien };
      for (const [kind, damaged] of Object.entries(kinds)) {
        if (kind === "missing" && key === newest) continue;
        if (damaged === null) store.objects.delete(key);
        else store.objects.set(key, damaged);
        const copy = path();
        const error: unknown = await restore(store, copy).catch((thrown: unknown) => thrown);
        const code = kind === "missing" && key === "replica" ? "NOT_A_REPLICA" : "REPLICA_CORRUPT";
        expect({ seed, key, kind, error }).toMatchObject({ error: { code } });
        if (code === "REPLICA_CORRUPT") expect(String(error)).toContain(key);
        expect(existsSync(copy)).toBeFalse();
        store.objects.set(key, object);
      }
    }
    await restore(store, path());
  });

  test("and all else take file: URLs, for files and for folders", async () => {
    const [file, target, copy, followed] = [path(), path("by-url"), path(), path()].map((one) =>
      Bun.pathToFileURL(one),
    );
    if (file === undefined || target === undefined || copy === undefined || followed === undefined) throw new Error();
    StorageWriter.create(file).close();
    const state = await started(file, target).replicated();
    expect(await restore(target, copy)).toEqual(state);
    for await (const one of follow(target, followed, { once: true })) expect(one).toEqual(state);
    expect(await status(target, { against: file })).toMatchObject({ state, isCurrent: true });
    for await (const { level } of verify(target.href, { against: file })) expect(level).toBe("ok");
  });

  test("of what is no replica, of no state, and of wrong arguments is refused", async () => {
    const store = new MemoryStore();
    expect(restore(store, path())).rejects.toMatchObject({ code: "NOT_A_REPLICA" });
    await smallReplica(store);
    expect(restore(store, path())).rejects.toMatchObject({ code: "NO_SUCH_STATE" });
    for (const at of [0, -1, 1.5, NaN, new Date(NaN), "1", {}]) {
      expect(restore(store, path(), { at: at as number })).rejects.toThrow(TypeError);
    }
  });
});
