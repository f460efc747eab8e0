/** Following: no latest state is missed, whoever else refreshes; and every way for it to end. */

import { describe, expect, test } from "bun:test";
import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { StorageReader, type StorageState, StorageWriter } from "../src/index.ts";
import * as image from "./fixtures/image.ts";
import { useAgents } from "./fixtures/process-agents.ts";
import { until } from "./fixtures/process-until.ts";
import { Child } from "./support/child.ts";
import { useFolder } from "./support/folder.ts";
import { Random, seedFromEnvironment } from "./support/random.ts";

const file = useFolder({ spoilt: true });
const agents = useAgents();
const done = { done: true, value: undefined } as const;
const stateOf = ({ root, length }: StorageState): StorageState => ({ root, length });

/** A writer and a reader of its commits. */
function pair(): { readonly writer: StorageWriter; readonly reader: StorageReader } & Disposable {
  const writer = StorageWriter.create(file());
  const reader = StorageReader.open(writer.path, { follow: "commits" });
  const dispose = (): void => {
    reader.close();
    writer.close();
  };
  return { writer, reader, [Symbol.dispose]: dispose };
}

/** One more blob, which is the root. */
function commit(writer: StorageWriter): StorageState {
  writer.root = writer.write(new Uint8Array(10));
  writer.commit();
  return stateOf(writer);
}

/** All that an iterator yields, as it comes. */
function collect(states: AsyncIterable<StorageState>): { readonly seen: StorageState[]; readonly end: Promise<void> } {
  const seen: StorageState[] = [];
  const follow = async (): Promise<void> => {
    for await (const state of states) seen.push(state);
  };
  return { seen, end: follow() };
}

describe("a watch", () => {
  test("yields what is committed, with the reader refreshed to it", async () => {
    using both = pair();
    const { writer, reader } = both;
    const states = reader.watch();
    for (let i = 0; i < 5; i++) {
      const next = states.next();
      const committed = commit(writer);
      expect(await next).toEqual({ done: false, value: committed });
      expect(stateOf(reader)).toEqual(committed);
    }
  });

  test("of flushes yields what is flushed, and nothing that is only committed", async () => {
    using writer = StorageWriter.create(file());
    using reader = StorageReader.open(writer.path);
    const states = reader.watch();
    const next = states.next();
    commit(writer);
    const flushed = stateOf(writer);
    writer.flushSync();
    commit(writer);
    expect(await next).toEqual({ done: false, value: flushed });
  });

  test("yields what was there before, if the reader did not show it yet", async () => {
    using both = pair();
    const before = commit(both.writer);
    const states = both.reader.watch();
    expect(await states.next()).toEqual({ done: false, value: before });
    const next = states.next();
    const after = commit(both.writer);
    expect(await next).toEqual({ done: false, value: after });
  });

  test("yields the last of many only", async () => {
    using both = pair();
    const next = both.reader.watch().next();
    for (let i = 0; i < 99; i++) commit(both.writer);
    const last = commit(both.writer);
    expect(await next).toEqual({ done: false, value: last });
  });

  test("answers calls of next in their order, each with another state", async () => {
    using both = pair();
    const states = both.reader.watch();
    const [first, second] = [states.next(), states.next()];
    const once = commit(both.writer);
    expect(await first).toEqual({ done: false, value: once });
    const again = commit(both.writer);
    expect(await second).toEqual({ done: false, value: again });
  });

  test("sees that a storage was truncated to what it was before", async () => {
    using both = pair();
    const empty = stateOf(both.writer);
    const states = both.reader.watch();
    both.writer.truncate();
    expect(await states.next()).toEqual({ done: false, value: empty });
  });

  test("sees what another process commits", async () => {
    const path = file();
    const { writer } = await agents.startWriter({ path });
    using reader = StorageReader.open(path, { follow: "commits" });
    const { seen, end } = collect(reader.watch());
    for (let i = 0; i < 20; i++) {
      await writer.tell("put", "more");
      await writer.tell("commit");
      const { root, length } = await writer.tell("look");
      await until("the state is seen", () => seen.at(-1)?.length === length);
      expect(seen.at(-1)).toEqual({ root, length });
    }
    reader.close();
    await end;
  });

  test("lets others have their turn, though there is news at every call", async () => {
    using both = pair();
    let turned = false;
    setTimeout(() => (turned = true), 1);
    let rounds = 0;
    commit(both.writer);
    for await (const { length } of both.reader.watch()) {
      expect(length).toBe(both.writer.length);
      if (turned || ++rounds === 100_000) break;
      commit(both.writer);
    }
    expect(turned).toBe(true);
  });

  test("takes numbers of milliseconds and signals", () => {
    using both = pair();
    for (const intervalMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, "5" as never]) {
      expect(() => both.reader.watch({ intervalMs })).toThrow(TypeError);
    }
    expect(() => both.reader.watch({ signal: {} as AbortSignal })).toThrow(TypeError);
  });
});

test("no watch misses the latest state, whatever the others and refresh do", async () => {
  const seed = seedFromEnvironment();
  console.log(`watches: SEED=${seed}`);
  const random = new Random(seed);
  using both = pair();
  const { writer, reader } = both;
  const watches = [reader.watch(), reader.watch({ intervalMs: 2 }), reader.watch({ intervalMs: 7 })].map(collect);
  let committed = stateOf(writer);
  for (let step = 0; step < 300; step++) {
    if (random.chance(0.5)) committed = commit(writer);
    if (random.chance(0.3)) reader.refresh();
    if (random.chance(0.3)) await new Promise<void>((resolve) => setImmediate(resolve));
    if (random.chance(0.1)) {
      committed = commit(writer);
      for (const { seen } of watches) await until("it is seen", () => seen.at(-1)?.length === committed.length);
    }
  }
  committed = commit(writer);
  reader.refresh();
  for (const { seen } of watches) {
    await until("the last is seen", () => seen.at(-1)?.length === committed.length);
    expect(seen.at(-1)).toEqual(committed);
    expect(new Set(seen.map(({ length }) => length)).size).toBe(seen.length);
  }
  reader.close();
  await Promise.all(watches.map(({ end }) => end));
});

describe("a watch ends", () => {
  test("when the signal is aborted, before and while it waits", async () => {
    using both = pair();
    expect(await both.reader.watch({ signal: AbortSignal.abort() }).next()).toEqual(done);
    const stop = new AbortController();
    // So long that only the signal can be what ends it.
    const states = both.reader.watch({ signal: stop.signal, intervalMs: 1e9 });
    const next = states.next();
    await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
    stop.abort();
    expect(await next).toEqual(done);
    commit(both.writer);
    expect(await states.next()).toEqual(done);
  });

  test("when the reader is closed, before and while it waits", async () => {
    using both = pair();
    const waiting = both.reader.watch({ intervalMs: 1e9 });
    const later = both.reader.watch();
    const next = waiting.next();
    await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
    both.reader.close();
    expect(await next).toEqual(done);
    expect(await later.next()).toEqual(done);
  });

  test("by return, also for a call that waits, and by break", async () => {
    using both = pair();
    const states = both.reader.watch({ intervalMs: 1e9 });
    const next = states.next();
    await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
    expect(await states.return?.()).toEqual(done);
    expect(await next).toEqual(done);
    const again = both.reader.watch();
    commit(both.writer);
    for await (const _ of again) break;
    commit(both.writer);
    expect(await again.next()).toEqual(done);
  });

  test("with the error of a refresh, after which there is nothing more", async () => {
    const path = file();
    const state = { next: 1000, root: 0 };
    writeFileSync(path, image.fileOf({ disk: [state, state], process: [state, state] }, 1000));
    using reader = StorageReader.open(path);
    const states = reader.watch();
    const next = states.next();
    truncateSync(path, 500 * 32);
    const later = { next: 400, root: 0 };
    const fd = openSync(path, "r+");
    writeSync(fd, image.headerArea({ disk: [later, later], process: [later, later] }), 0, image.AREA_BYTES, 0);
    closeSync(fd);
    expect(await next.catch((error: unknown) => error)).toEqual(expect.objectContaining({ code: "TRUNCATED" }));
    expect(await states.next()).toEqual(done);
  });

  test("with TRUNCATED when the file is emptied under it, though its header is gone too", async () => {
    const path = file();
    StorageWriter.create(path).close();
    await using child = new Child(join(import.meta.dir, "fixtures/watch-child.ts"), [path, "true"]);
    expect(await child.next()).toEqual({ ready: true });
    truncateSync(path, 0);
    expect(await child.next()).toEqual({ error: "TRUNCATED" });
    expect(await child.exit()).toEqual({ code: 0, signal: null });
  });
});

describe("a process that follows and does nothing else", () => {
  const program = join(import.meta.dir, "fixtures/watch-child.ts");

  test("ends at once", async () => {
    using both = pair();
    await using child = new Child(program, [both.reader.path, "false"]);
    expect(await child.next()).toEqual({ ready: true });
    expect(await child.exit()).toEqual({ code: 0, signal: null });
  });

  test("lives with keepAlive, until there is what it waits for", async () => {
    using both = pair();
    await using child = new Child(program, [both.reader.path, "true"]);
    expect(await child.next()).toEqual({ ready: true });
    const committed = commit(both.writer);
    expect(await child.next()).toEqual({ ...committed });
    expect(await child.exit()).toEqual({ code: 0, signal: null });
  });
});
