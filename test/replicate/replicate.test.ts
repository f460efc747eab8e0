/** Replicating and restoring: random histories against what was flushed, kept outside. */

import { afterEach, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { StorageWriter } from "../../src/index.ts";
import { logKey } from "../../src/replicate/keys.ts";
import { type Replicator, replicate } from "../../src/replicate/replicator.ts";
import { restore } from "../../src/replicate/restore.ts";
import { states } from "../../src/replicate/states.ts";
import { openStore } from "../../src/replicate/store/open.ts";
import { useFolder } from "../support/folder.ts";
import { Random, seedFromEnvironment } from "../support/random.ts";
import { fingerprint, Flushed, smallReplica } from "./life.ts";
import { MemoryStore, unreachable } from "./memory-store.ts";

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
      const kinds = { missing: null, cut: object.slice(0, at), flipped, swapped: store.objects.get(other) ?? null };
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
