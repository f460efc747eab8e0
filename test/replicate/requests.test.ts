/** How many requests it takes: to restore from a long log, and to deliver a new state to a follower. */

import { expect, test } from "bun:test";
import { StorageWriter } from "../../src/index.ts";
import { addState } from "../../src/replicate/add-state.ts";
import { follow } from "../../src/replicate/follow.ts";
import { openLog } from "../../src/replicate/log.ts";
import { Stop } from "../../src/replicate/patient-store.ts";
import { restore } from "../../src/replicate/restore.ts";
import { Session } from "../../src/replicate/session.ts";
import { Source } from "../../src/replicate/source.ts";
import { useFolder } from "../support/folder.ts";
import { Random, seedFromEnvironment } from "../support/random.ts";
import { fingerprint, Flushed, SMALL_BLOCK_BYTES, smallReplica } from "./life.ts";
import { MemoryStore } from "./memory-store.ts";
import { Primary } from "./primary.ts";

const path = useFolder({ inMemory: true });
const STATES_PER_FULL = 1024;
/** The newest state is the last one before a full record is due. `REPLICA_STATES=100352` is the long form. */
const STATES: number = Number(process.env["REPLICA_STATES"] ?? 4 * STATES_PER_FULL);

/** Adds small states as a replicator does, but without pauses. Returns the fingerprints of some, by their record. */
async function addStates(store: MemoryStore, file: string, isSample: (i: number) => boolean) {
  const log = await openLog(store);
  const history = await log.readToEnd();
  const session = new Session(log, history);
  const source = Source.open(file, SMALL_BLOCK_BYTES, false);
  const prints = new Map<number, string>();
  const unused = { stop: new Stop(), onBlock: (): void => undefined, beginsEpoch: false };
  using writer = StorageWriter.open(file);
  for (let i = 1; i <= STATES; i++) {
    writer.root = writer.write(new Uint8Array(50).fill(i));
    writer.flushSync();
    const state = await source.look();
    if (state === null) throw new Error("the writer has flushed no state");
    if (!session.isOpen) await session.open(source.identity, state.truncations);
    await addState({ ...unused, log, session, source, state, keptBlocks: history.blocks.count });
    if (isSample(i)) prints.set(history.sequence, fingerprint(file));
  }
  source.close();
  return prints;
}

test(`a restore from ${STATES} small states reads one full record and at most 1,022 between it and the newest`, async () => {
  const file = path();
  StorageWriter.create(file).close();
  const store = new MemoryStore();
  await smallReplica(store);
  const middle = STATES / 2;
  const prints = await addStates(store, file, (i) => i >= STATES - 1 || (i >= middle - 1 && i <= middle + 2));
  const log = await openLog(store);
  const newest = Math.max(...prints.keys());
  expect(prints.size).toBe(6);
  for (const [at, print] of prints) {
    const copy = path();
    const before = store.calls.length;
    await restore(store, copy, at === newest ? {} : { at });
    const calls = store.calls.slice(before);
    expect(fingerprint(copy)).toBe(print);
    const gets = calls.filter((call) => call.startsWith("get log/"));
    const read = new Set(gets.map((call) => call.slice("get ".length)).filter((key) => store.objects.has(key)));
    // A listing for the newest record, and one at the end of the log or for each step of the halving.
    expect(calls.filter((call) => call.startsWith("list")).length).toBeLessThanOrEqual(2 + Math.log2(STATES));
    if (at < newest - 1) {
      // A full record names it.
      expect(gets.length).toBeLessThanOrEqual(10 + Math.log2(STATES));
      continue;
    }
    const full = (await log.line(at))?.full ?? 0;
    const between = at - full - 1;
    expect([at, between]).toEqual([at, STATES_PER_FULL - 2 - (newest - at)]);
    expect(read.size).toBe(at === newest ? 1 + between + 1 : read.size);
    // Besides, the line of the newest, and the number after it, which does not exist; by number, those of the search.
    expect(gets.length).toBeLessThanOrEqual(read.size + 5);
    expect(read.size).toBeLessThanOrEqual(1 + 1022 + 1);
  }
}, 200_000);

test("a follower delivers a new state by the GET after its next interval: at most one more was under way", async () => {
  const random = new Random(seedFromEnvironment());
  const file = path();
  const store = new MemoryStore();
  await smallReplica(store);
  await using primary = new Primary(file, new Flushed(file));
  primary.start(store);
  await primary.replicate(100, 0);
  const followed = new MemoryStore(store.objects);
  let begun = 0;
  let underWay = 0;
  followed.hook = async ({ method, when }) => {
    if (method !== "get") return;
    if (when === "before") {
      begun++;
      underWay++;
    }
    await Bun.sleep(random.below(3));
    if (when === "after") underWay--;
  };
  const stop = new AbortController();
  const states = follow(followed, path(), { intervalMs: 5, signal: stop.signal });
  await states.next();
  let most = 0;
  for (let i = 1; i <= 30; i++) {
    const next = states.next();
    await Bun.sleep(random.below(12));
    const put = { begun: 0, underWay: 0 };
    store.hook = ({ method, key, when }) => {
      if (method === "put" && key.startsWith("log/") && when === "after") Object.assign(put, { begun, underWay });
    };
    const { sequence } = await primary.replicate(100, i);
    expect((await next).value?.sequence).toBe(sequence);
    expect(put.underWay).toBeLessThanOrEqual(1);
    expect(begun - put.begun).toBeLessThanOrEqual(1);
    most = Math.max(most, begun - put.begun + put.underWay);
  }
  expect(most).toBeLessThanOrEqual(2);
  stop.abort();
  await states.next();
});
