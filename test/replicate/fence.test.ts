/** The fence: of several primaries one goes on, whatever was lost, late, or deleted in between. */

import { describe, expect, test } from "bun:test";
import { logKey } from "../../src/replicate/keys.ts";
import { prune } from "../../src/replicate/prune.ts";
import { replicate } from "../../src/replicate/replicator.ts";
import { restore } from "../../src/replicate/restore.ts";
import { StorageError } from "../../src/index.ts";
import { useFolder } from "../support/folder.ts";
import { Flushed, smallReplica } from "./life.ts";
import { type Call, MemoryStore, silence, unreachable } from "./memory-store.ts";
import { codeOf, Primary } from "./primary.ts";

const path = useFolder({ inMemory: true });

/** A replica with a healthy primary, and some states. */
async function begun(): Promise<{ store: MemoryStore; flushed: Flushed; first: Primary }> {
  const store = new MemoryStore();
  await smallReplica(store);
  const file = path();
  const flushed = new Flushed(file);
  const first = new Primary(file, flushed);
  first.start(store);
  for (const size of [100, 100_000, 70_000]) await first.replicate(size, size % 251);
  return { store, flushed, first };
}

describe("two primaries", () => {
  test("from the same point: the one that opened last goes on, the other is FENCED, and DIVERGED when it starts again", async () => {
    const { store, flushed, first } = await begun();
    await using healthy = first;
    await using second = await healthy.copy(path());
    second.start(store);
    await second.replicate(80_000, 2);
    healthy.append(80_000, 1);
    expect(await codeOf(healthy.replicator?.replicated() ?? Promise.resolve())).toBe("FENCED");
    expect(await codeOf(healthy.replicator?.ended ?? Promise.resolve())).toBe("FENCED");
    await second.replicate(80_000, 3);
    expect(await codeOf(healthy.start(store).replicated())).toBe("DIVERGED");
    await second.replicate(10, 4);
    await second.stop();
    const states = await flushed.check(store, path());
    for (const sequence of flushed.replicated.keys()) expect(states.map((state) => state.sequence)).toContain(sequence);
  });

  test("an equal copy that has nothing to add, an old one, and another file do not stop the healthy one", async () => {
    const { store, flushed, first } = await begun();
    await using healthy = first;
    await using old = await healthy.copy(path());
    await healthy.replicate(90_000, 5);
    await using equal = await healthy.copy(path());
    const openings = (): number => store.calls.filter((call) => call.startsWith("put log/")).length;
    const before = openings();
    equal.start(store);
    await equal.replicator?.replicated({ compared: true });
    expect(openings()).toBe(before);
    old.append(50_000, 6);
    expect(await codeOf(old.start(store).replicated())).toBe("DIVERGED");
    await using other = new Primary(path(), new Flushed(""));
    other.append(500_000, 7);
    expect(await codeOf(other.start(store).replicated())).toBe("DIVERGED");
    // A count of truncations proves nothing about another file.
    other.writer.truncate();
    other.append(1000, 8);
    expect(await codeOf(other.start(store).replicated())).toBe("DIVERGED");
    await healthy.replicate(1000, 9);
    expect(healthy.replicator?.stats().failure).toBeNull();
    await healthy.stop();
    await flushed.check(store, path());
  });

  test("a replica whose newest state is empty: no other file continues it, for there is nothing to compare", async () => {
    const { store, flushed, first } = await begun();
    await using healthy = first;
    await using old = await healthy.copy(path());
    healthy.writer.truncate();
    await healthy.replicator?.replicated();
    expect(await codeOf(old.start(store).replicated())).toBe("DIVERGED");
    await healthy.stop();
    healthy.start(store);
    await healthy.replicate(1000, 9);
    await healthy.stop();
    flushed.flushFrom(healthy.path, healthy.writer);
  });

  test("one that slept while another wrote and `prune` ran is FENCED", async () => {
    const { store, flushed, first } = await begun();
    await using sleeper = first;
    await using second = await sleeper.copy(path());
    second.start(store);
    for (let i = 0; i < 3; i++) {
      await second.replicate(1000, i);
      second.writer.truncate();
      await second.replicate(2000, i + 10);
    }
    const { records } = await prune(store);
    expect(records).toBeGreaterThan(0);
    sleeper.append(10, 1);
    expect(await codeOf(sleeper.replicator?.replicated() ?? Promise.resolve())).toBe("FENCED");
    expect(await codeOf(sleeper.start(store).replicated())).toBe("DIVERGED");
    await second.replicate(10, 1);
    await second.stop();
    await flushed.check(store, path());
  });

  test("both upload the same block with other cells: the states of the winner restore", async () => {
    const { store, flushed, first } = await begun();
    await using loser = first;
    await using winner = await loser.copy(path());
    winner.start(store);
    const held = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    let isHeld = false;
    store.hook = async ({ method, key, when }) => {
      if (isHeld || method !== "put" || !key.startsWith("block/") || when !== "before") return;
      isHeld = true;
      reached.resolve();
      await held.promise;
    };
    loser.append(200_000, 1);
    await reached.promise;
    await winner.replicate(200_000, 2);
    held.resolve();
    expect(await codeOf(loser.replicator?.ended ?? Promise.resolve())).toBe("FENCED");
    await winner.stop();
    await flushed.check(store, path());
  });

  test("in one process are refused", async () => {
    const { store, first } = await begun();
    await using primary = first;
    const again = replicate(primary.path, store);
    expect(await codeOf(again.ended)).toBe("FENCED");
    await primary.replicate(10, 1);
  });
});

describe("a gap that prune has made", () => {
  /** The healthy primary goes on by three states and an epoch; then prune leaves no record after `sequence` but full ones. */
  async function goOn(healthy: Primary, store: MemoryStore): Promise<void> {
    for (let i = 0; i < 3; i++) await healthy.replicate(1000, i);
    healthy.writer.truncate();
    await healthy.replicate(2000, 5);
    expect((await prune(store)).records).toBeGreaterThan(2);
  }

  test("does not take the opening of a session that slept before it", async () => {
    const { store, flushed, first } = await begun();
    await using healthy = first;
    await using second = await healthy.copy(path());
    second.append(500, 3);
    const slow = new MemoryStore(store.objects, store.url);
    const reached = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    slow.hook = async ({ method, key, when }) => {
      if (method !== "put" || !key.startsWith("log/") || when !== "before") return;
      reached.resolve();
      await release.promise;
    };
    const pending = codeOf(second.start(slow).replicated());
    await reached.promise;
    await goOn(healthy, store);
    release.resolve();
    expect(await pending).toBe("DIVERGED");
    await healthy.replicate(100, 1);
    await healthy.stop();
    await flushed.check(store, path());
  });

  test("does not hide the newest state from a restore that slept before it", async () => {
    const { store, first } = await begun();
    await using healthy = first;
    const slow = new MemoryStore(store.objects, store.url);
    const reached = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const next = logKey((healthy.replicator?.stats().state?.sequence ?? 0) + 1);
    slow.hook = async ({ method, key, when }) => {
      if (method !== "get" || key !== next || when !== "before") return;
      reached.resolve();
      await release.promise;
    };
    const pending = restore(slow, path());
    await reached.promise;
    await goOn(healthy, store);
    const newest = healthy.replicator?.stats().state?.sequence;
    release.resolve();
    expect((await pending).sequence).toBe(newest ?? 0);
  });
});

describe("an answer that is lost", () => {
  test("while the file moves on: the same bytes are put again, no state is lost, none is fenced", async () => {
    const { store, flushed, first } = await begun();
    await using primary = first;
    const puts = new Map<string, Set<string>>();
    let lost = 0;
    store.hook = ({ method, key, when, bytes }) => {
      if (method !== "put" || !key.startsWith("log/")) return;
      const seen = puts.get(key) ?? new Set();
      if (when === "before") puts.set(key, seen.add(String(Bun.hash(bytes ?? new Uint8Array(0)))));
      // Every record once, after it took effect; and the file has become another by the time it is put again.
      if (when === "after" && lost++ % 2 === 0) {
        primary.append(1000, lost);
        throw unreachable("the answer is lost");
      }
    };
    for (let i = 0; i < 4; i++) await primary.replicate(500, i);
    expect([...puts.values()].every((contents) => contents.size === 1)).toBeTrue();
    store.hook = () => undefined;
    await primary.stop();
    const states = await flushed.check(store, path());
    for (const sequence of flushed.replicated.keys()) expect(states.map((state) => state.sequence)).toContain(sequence);
  });

  test("and a PUT of a dead session that arrives late change nothing", async () => {
    const { store, flushed, first } = await begun();
    await using primary = first;
    const late: (() => Promise<unknown>)[] = [];
    const clean = new MemoryStore(store.objects);
    store.hook = async (call: Call) => {
      if (call.method !== "put" || call.when !== "before") return;
      const { key, bytes = new Uint8Array(0) } = call;
      late.push(() => clean.put(key, bytes, { ifAbsent: key.startsWith("log/") }));
      await silence(call);
    };
    primary.append(100_000, 1);
    while (late.length < 2) await Bun.sleep(1);
    await primary.stop();
    await primary.replicator?.ended.catch(() => undefined);
    primary.start(clean);
    for (let i = 0; i < 3; i++) await primary.replicate(60_000, i);
    const before = JSON.stringify([...store.objects].map(([key, object]) => [key, String(Bun.hash(object))]).sort());
    for (const put of late) await put();
    const after = JSON.stringify([...store.objects].map(([key, object]) => [key, String(Bun.hash(object))]).sort());
    expect(after).toBe(before);
    await primary.replicate(60_000, 9);
    await primary.stop();
    await flushed.check(clean, path());
  });

  test("of a PUT that took effect, of a process that is gone: its opening is taken over", async () => {
    const { store, flushed, first } = await begun();
    await using primary = first;
    // The opening of a process of this host that was killed, put into the place of the next record.
    const { history, log } = await import("../../src/replicate/log.ts").then(async ({ createLog }) => {
      const made = await createLog(store);
      return { log: made, history: await made.readToEnd() };
    });
    const dead = Bun.spawn(["true"]);
    await dead.exited;
    const { encodeRecord } = await import("../../src/replicate/record-codec.ts");
    const stored = await log.get(1);
    if (stored?.record.kind !== "opening") throw new Error("record 1 is the opening");
    const sequence = history.sequence + 1;
    const { record } = stored;
    const opening = { ...record, session: "00".repeat(16), pid: dead.pid, sequence, previous: history.hash };
    store.objects.set(
      logKey(sequence),
      await encodeRecord({ ...opening, full: history.full, epoch: history.epoch, time: history.time }),
    );
    await primary.replicate(1000, 1);
    await primary.stop();
    await flushed.check(store, path());
  });
});

describe("a store that does not answer", () => {
  const faults: Readonly<Record<string, () => StorageError>> = {
    "is not reached": () => unreachable("503"),
    "refuses for a while": () => new StorageError("STORE_REFUSED", "memory:replica: ExpiredToken", {}),
  };

  test.each(Object.keys(faults))("%s: it is asked again, and the writer goes on", async (name) => {
    const { store, flushed, first } = await begun();
    await using primary = first;
    let isDown = true;
    let asked = 0;
    store.hook = ({ when }) => {
      if (!isDown || when !== "before") return;
      asked++;
      throw faults[name]?.() ?? new Error(name);
    };
    primary.append(1000, 1);
    while (asked < 3) await Bun.sleep(1);
    expect(primary.replicator?.stats().failure).not.toBeNull();
    primary.append(100_000, 2);
    isDown = false;
    await primary.replicate(100, 3);
    expect(primary.replicator?.stats()).toMatchObject({ failure: null });
    await primary.stop();
    await flushed.check(store, path());
  });

  test("at all: `close` and the signal end it within a second", async () => {
    const { store, first } = await begun();
    await using primary = first;
    let isAsked = false;
    store.hook = async (call) => {
      isAsked = true;
      await silence(call);
    };
    primary.append(1000, 1);
    while (!isAsked) await Bun.sleep(1);
    const pending = codeOf(primary.replicator?.replicated() ?? Promise.resolve());
    const start = performance.now();
    await primary.stop();
    expect(performance.now() - start).toBeLessThan(1000);
    expect(await pending).toBe("CLOSED");
    const stop = new AbortController();
    const other = primary.start(store, { signal: stop.signal });
    stop.abort();
    const ended = performance.now();
    await other.ended;
    expect(performance.now() - ended).toBeLessThan(1000);
    for await (const _ of other) throw new Error("nothing is replicated");
  });

  test("with what it needs at the start: STORE_REFUSED or STORE_UNREACHABLE at once", async () => {
    for (const [code, fault] of [
      ["STORE_UNREACHABLE", () => unreachable("no route")],
      ["STORE_REFUSED", () => new StorageError("STORE_REFUSED", "AccessDenied", {})],
    ] as const) {
      const store = new MemoryStore();
      store.hook = () => {
        throw fault();
      };
      await using primary = new Primary(path(), new Flushed(""));
      expect(await codeOf(primary.start(store).ended)).toBe(code);
      expect(store.calls).toHaveLength(1);
    }
  });
});

test.each(["put", "list"])(
  "without the right to %s: STORE_REFUSED at once, although the store answers",
  async (method) => {
    const store = new MemoryStore();
    if (method === "list") await smallReplica(store);
    store.hook = (call) => {
      if (call.method === method) throw new StorageError("STORE_REFUSED", "memory:replica: AccessDenied", {});
    };
    await using primary = new Primary(path(), new Flushed(""));
    // The right to put is needed to see whether the store fences.
    expect(await codeOf(primary.start(store).ended)).toBe("STORE_REFUSED");
  },
);

test("a store that does not fence is refused, before anything but its object `replica` is there", async () => {
  const store = new MemoryStore();
  const put = store.put.bind(store);
  store.put = (key, bytes, { signal } = {}) => put(key, bytes, { signal });
  await using primary = new Primary(path(), new Flushed(""));
  expect(await codeOf(primary.start(store).ended)).toBe("FENCING_UNSUPPORTED");
  expect([...store.objects.keys()].filter((key) => key !== "replica")).toEqual([]);
});
