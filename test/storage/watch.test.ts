/** Following: no latest state is missed, whoever else refreshes. How it ends is in `watch-end.test.ts`. */

import { describe, expect, test } from "bun:test";
import { StorageReader, type StorageState, StorageWriter } from "../../src/index.ts";
import { commit, pair } from "../support/followed.ts";
import { useAgents } from "../support/process-agents.ts";
import { until } from "../support/process-until.ts";
import { stateOf } from "../support/state.ts";
import { useFolder } from "../support/folder.ts";
import { Random, seedFromEnvironment } from "../support/random.ts";

const file = useFolder({ spoiled: true });
const agents = useAgents();

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
    using both = pair(file());
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
    using both = pair(file());
    const before = commit(both.writer);
    const states = both.reader.watch();
    expect(await states.next()).toEqual({ done: false, value: before });
    const next = states.next();
    const after = commit(both.writer);
    expect(await next).toEqual({ done: false, value: after });
  });

  test("yields the last of many only", async () => {
    using both = pair(file());
    const next = both.reader.watch().next();
    for (let i = 0; i < 99; i++) commit(both.writer);
    const last = commit(both.writer);
    expect(await next).toEqual({ done: false, value: last });
  });

  test("answers calls of next in their order, each with another state", async () => {
    using both = pair(file());
    const states = both.reader.watch();
    const [first, second] = [states.next(), states.next()];
    const once = commit(both.writer);
    expect(await first).toEqual({ done: false, value: once });
    const again = commit(both.writer);
    expect(await second).toEqual({ done: false, value: again });
  });

  test("sees that a storage was truncated to what it was before", async () => {
    using both = pair(file());
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
    using both = pair(file());
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
    using both = pair(file());
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
  using both = pair(file());
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
