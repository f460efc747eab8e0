/** Flushes: that they share, in what order they and the synchronous ones end, and that a failed one is the last. */

import { describe, expect, spyOn, test } from "bun:test";
import { join } from "node:path";
import { StorageReader, type StorageState, StorageWriter } from "../../src/index.ts";
import type { Header } from "../../src/format/header.ts";
import { reason } from "../support/outcomes.ts";
import { diskHeaders } from "../support/process-forge.ts";
import { run } from "../support/process-run.ts";
import { diskError } from "../support/process-stub-region.ts";
import { releaseAll, stubbed } from "../support/process-stub-store.ts";
import { stateOf } from "../support/state.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder();
const closed = expect.objectContaining({ code: "CLOSED" });
/** Both copies of the disk-sync header, when a state is durable. */
const bothCopies = ({ root, length }: StorageState): Header[] =>
  new Array<Header>(2).fill({ next: length, root: root ?? 0 });

describe("flushes that are asked for at once", () => {
  test("each resolve with their own state or a later one", async () => {
    using writer = StorageWriter.create(file());
    const flushes: Promise<StorageState>[] = [];
    const asked: StorageState[] = [];
    for (let i = 0; i < 100; i++) {
      writer.root = writer.write(new Uint8Array(i));
      asked.push({ root: writer.root, length: writer.length });
      flushes.push(writer.flush());
      if (i % 10 === 0) await Promise.resolve();
      if (i % 40 === 0) await flushes[0];
    }
    const states = await Promise.all(flushes);
    for (const [i, state] of states.entries()) {
      expect(state.length).toBeGreaterThanOrEqual(asked[i]?.length ?? 0);
      expect(asked.slice(i)).toContainEqual(state);
    }
    expect(states.at(-1)).toEqual({ root: writer.root, length: writer.length });
  });

  test("share two: the one that runs, and the next", async () => {
    const { region, publisher, header } = stubbed();
    region.gated = true;
    const flushes = Array.from({ length: 100 }, (_, i) => publisher.flush(header(i)));
    expect(region.log.filter((name) => name === "syncLater")).toHaveLength(1);
    await releaseAll(region, flushes);
    expect(region.log.filter((name) => name === "syncLater")).toHaveLength(4);
    const states = await Promise.all(flushes);
    expect(states[0]).toEqual(header(0));
    expect(states.slice(1)).toEqual(new Array(99).fill(header(99)));
  });
});

test("a synchronous flush that is refused leaves the one under way to go on, and that is not taken for done", async () => {
  const { region, publisher, header } = stubbed();
  region.gated = true;
  const flush = publisher.flush(header(3));
  const refused = spyOn(region, "store").mockImplementation(() => {
    throw diskError;
  });
  expect(() => publisher.flushSync(header(4))).toThrow(diskError);
  refused.mockRestore();
  await releaseAll(region, [flush]);
  expect(await flush).toEqual(header(3));
  expect(publisher.durable).toEqual(header(3));
});

describe("a flush under way when the storage ends", () => {
  test("is rejected, and stores nothing, if its state is not durable", async () => {
    const { region, publisher, header } = stubbed();
    region.gated = true;
    const flushes = [publisher.flush(header(3)), publisher.flush(header(4))];
    publisher.end();
    region.clearLog();
    const outcomes = Promise.allSettled(flushes);
    await releaseAll(region, flushes);
    expect(await outcomes).toEqual(flushes.map(() => ({ status: "rejected", reason: closed })));
    expect(region.log.filter((name) => name.startsWith("disk"))).toEqual([]);
  });

  test("resolves with what a synchronous one made durable", async () => {
    const { region, publisher, header } = stubbed();
    region.gated = true;
    const flush = publisher.flush(header(3));
    publisher.flushSync(header(4));
    publisher.end();
    await releaseAll(region, [flush]);
    expect(await flush).toEqual(header(4));
  });
});

describe("flushes that wait for one that runs", () => {
  const commitsIn = (log: readonly string[]): number => log.filter((name) => name.startsWith("commitRecord")).length;

  test("store nothing before it ends, and then make one commit for all", async () => {
    const { region, publisher, header } = stubbed();
    region.gated = true;
    const flushes = Array.from({ length: 50 }, (_, i) => publisher.flush(header(i + 1)));
    expect([commitsIn(region.log), publisher.committed]).toEqual([1, header(1)]);
    await releaseAll(region, flushes);
    expect([commitsIn(region.log), publisher.committed, publisher.durable]).toEqual([2, header(50), header(50)]);
  });

  test("are committed before a later commit, and made durable as asked for", async () => {
    const { region, publisher, header } = stubbed();
    region.gated = true;
    const flushes = [1, 2].map((cells) => publisher.flush(header(cells)));
    publisher.commit(header(3));
    expect([commitsIn(region.log), publisher.committed]).toEqual([3, header(3)]);
    await releaseAll(region, flushes);
    expect(await Promise.all(flushes)).toEqual([header(1), header(2)]);
    expect([commitsIn(region.log), publisher.committed]).toEqual([3, header(3)]);
  });

  test("are durable when a truncation that came between has failed", async () => {
    const { region, publisher, header } = stubbed();
    region.gated = true;
    const flushes = [1, 2].map((cells) => publisher.flush(header(cells)));
    spyOn(publisher, "startOver").mockImplementation(() => {
      throw diskError;
    });
    expect(() => publisher.truncate(header(0))).toThrow(diskError);
    expect([publisher.committed, publisher.durable]).toEqual([header(2), header(2)]);
    await releaseAll(region, flushes);
    expect((await Promise.all(flushes)).at(-1)).toEqual(header(2));
  });

  test("keep their cells when a stream that was in them fails", async () => {
    using writer = StorageWriter.create(file());
    const running = writer.flush();
    let asked = 0;
    let waiting: Promise<StorageState> | undefined;
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(200_000);
      asked = writer.length;
      waiting = writer.flush();
      throw new Error("no more");
    };
    expect(await reason(writer.writeStream(pieces()))).toEqual(expect.any(Error));
    expect(writer.length).toBe(asked);
    await running;
    expect((await waiting)?.length).toBe(asked);
  });
});

test("what is written while a flush runs is not in it", async () => {
  const { region, publisher, header } = stubbed();
  region.gated = true;
  const flush = publisher.flush(header(1));
  publisher.commit(header(2));
  await releaseAll(region, [flush]);
  expect(await flush).toEqual(header(1));
  expect(publisher.durable).toEqual(header(1));
  expect(region.log).toEqual([
    ...["commitRecord2", "process1", "syncLater"],
    ...["commitRecord1", "process1"],
    ...["disk1", "syncLater", "disk2"],
  ]);
});

test.each(["flushSync", "truncate"] as const)("a flush that %s overtakes stores nothing more", async (name) => {
  for (const releases of [0, 1]) {
    const { region, publisher, header } = stubbed();
    region.gated = true;
    const flush = publisher.flush(header(1));
    const shared = publisher.flush(header(2));
    for (let i = 0; i < releases; i++) {
      expect(region.release()).toBe(true);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    publisher[name](header(3));
    const { length } = region.log;
    await releaseAll(region, [flush, shared]);
    expect(region.log.slice(length)).toEqual([]);
    expect(await Promise.all([flush, shared])).toEqual([header(3), header(3)]);
  }
});

const steps = ["write", "flush", "flushSync", "truncate", "turn"] as const;
type Step = (typeof steps)[number];
const orders = steps.flatMap((a) => steps.flatMap((b) => steps.map((c): Step[] => ["write", "flush", a, b, c])));

/** Does the steps and closes; every state that there was, and each flush with the number of the state it began at. */
async function perform(
  path: string,
  order: readonly Step[],
): Promise<{ states: StorageState[]; flushes: [number, StorageState][] }> {
  const writer = StorageWriter.create(path);
  const states: StorageState[] = [stateOf(writer)];
  const pending: [number, Promise<StorageState>][] = [];
  for (const step of order) {
    if (step === "write") writer.root = writer.write(new Uint8Array(100).fill(states.length));
    if (step === "truncate") writer.truncate();
    if (step === "flush") pending.push([states.length - 1, writer.flush()]);
    if (step === "flushSync") expect(writer.flushSync()).toEqual(stateOf(writer));
    if (step === "turn") await new Promise<void>((resolve) => setImmediate(resolve));
    if (step === "write" || step === "truncate") states.push(stateOf(writer));
  }
  writer.close();
  const flushes: [number, StorageState][] = [];
  for (const [begun, flush] of pending) flushes.push([begun, await flush]);
  return { states, flushes };
}

test("in every order with synchronous ones, truncations and close, all end well and the last state is on the disk", async () => {
  for (const order of orders) {
    const path = file();
    const { states, flushes } = await perform(path, order);
    for (const [begun, state] of flushes)
      expect({ order, in: states.slice(begun) }).toEqual({ order, in: expect.arrayContaining([state]) });
    const last = states.at(-1) ?? { root: null, length: 0 };
    expect({ order, copies: diskHeaders(path) }).toEqual({ order, copies: bothCopies(last) });
    using writer = StorageWriter.open(path);
    expect({ order, ...writer.recovery, ...stateOf(writer) }).toEqual({
      order,
      state: "clean",
      skippedCells: 0,
      tornCopies: 0,
      ...last,
    });
    if (writer.root !== null) expect(writer.read(writer.root)).toHaveLength(100);
  }
});

describe("a process that comes to its end", () => {
  const program = join(import.meta.dir, "../support/process-flush.ts");

  test.each(["pending", "shared"])("is kept alive by a %s flush until the state is durable", async (scenario) => {
    const path = file();
    const { length, root } = await run(program, scenario, path);
    expect(diskHeaders(path)).toEqual(bothCopies({ length: Number(length), root: Number(root) }));
  });

  test("is not kept alive by storages that are open", async () => {
    const path = file();
    const { length, seen } = await run(program, "idle", path);
    expect(Number(length)).toBeGreaterThan(Number(seen));
    expect(diskHeaders(path)).toEqual(bothCopies({ length: Number(seen), root: null }));
  });
});

describe("after close", () => {
  test("a flush is refused", async () => {
    const writer = StorageWriter.create(file());
    writer.close();
    expect(() => writer.flushSync()).toThrow(closed);
    expect(await writer.flush().catch((error: unknown) => error)).toEqual(closed);
    await writer[Symbol.asyncDispose]();
    expect(writer.closed).toBe(true);
  });

  test("the state is durable, also when the writer was disposed of asynchronously", async () => {
    const path = file();
    let last: StorageState | undefined;
    {
      await using writer = StorageWriter.create(path);
      writer.root = writer.write(new Uint8Array(100_000));
      last = stateOf(writer);
    }
    expect(diskHeaders(path)).toEqual(bothCopies(last));
    using reader = StorageReader.open(path);
    expect(stateOf(reader)).toEqual(last);
  });
});
