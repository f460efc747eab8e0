/**
 * Readers that live on while a writer commits, flushes, truncates, is killed anywhere, and another one recovers: replayed
 * store by store, words of header copies one by one. Whenever a reader looks, it shows a published state, and tells a
 * truncation no later than it shows what came after it. Whenever its check says that a state is still there, it is.
 */

import { expect, test } from "bun:test";
import { keepsCells } from "../../src/format/commit-record.ts";
import { decodeArea } from "../../src/format/area.ts";
import { checkConfig } from "../../src/format/config.ts";
import { FILE, startIndexOf } from "../../src/format/layout.ts";
import { Follower } from "../../src/state/follower.ts";
import type { Follows } from "../../src/state/visible.ts";
import { seedFromEnvironment } from "../support/random.ts";
import { ArrayRegion } from "./powercut/array-region.ts";
import { History } from "./powercut/history.ts";
import { type BoundsOfCrash, boundsAfter } from "./powercut/judge.ts";
import { Life, type Step } from "./powercut/life.ts";
import { configIn } from "./powercut/opening.ts";
import { itemAt, Random } from "./powercut/random.ts";
import { applyToMemory, type LogEntry, RecordingRegion } from "./powercut/recording-region.ts";

const BYTES_PER_CELL = 32;
const START = startIndexOf(BYTES_PER_CELL);
const FILE_BYTES = 8 * 1024;
const REGION_BYTES = 64 * 1024;
const TIMEOUT_MS = 120_000;
const form = process.env["LONG"] === undefined ? { kills: 40, readers: 40 } : { kills: 600, readers: 300 };

const write =
  (sizeBytes: number): Step =>
  (life) =>
    life.write(sizeBytes);
const damage =
  (offset: number): Step =>
  (life) =>
    life.damage(offset);
const commit: Step = (life) => life.commit();
const flush: Step = (life) => life.flush();
const flushLater: Step = (life) => life.flushLater();
const syncReturns: Step = (life) => life.syncReturns();
const truncate: Step = (life) => life.truncate();
const reopen: Step = (life) => life.reopen();

const lives: readonly (readonly Step[])[] = [
  [
    write(40),
    flush,
    write(60),
    commit,
    truncate,
    write(60),
    commit,
    write(300),
    flush,
    truncate,
    write(60),
    commit,
    flush,
  ],
  [
    write(40),
    flushLater,
    syncReturns,
    write(50),
    commit,
    truncate,
    write(90),
    flushLater,
    write(10),
    commit,
    syncReturns,
  ],
  [
    write(200),
    flushLater,
    syncReturns,
    truncate,
    truncate,
    write(200),
    flush,
    reopen,
    write(40),
    commit,
    truncate,
    flush,
  ],
  // Nothing tells any more which cells readers know: they may be given out again.
  [
    ...[write(40), flush, write(90), commit],
    ...[FILE.process1, FILE.process2, FILE.commitRecord1, FILE.commitRecord2].map(({ offset }) => damage(offset)),
  ],
];
const after: readonly Step[] = [write(10), commit, write(120), flush, write(30), commit];

interface Recorded {
  readonly log: readonly LogEntry[];
  readonly history: History;
}

async function live(steps: readonly Step[]): Promise<Recorded> {
  const region = new RecordingRegion(REGION_BYTES);
  region.load(new Uint8Array(FILE_BYTES));
  const history = new History(BYTES_PER_CELL);
  const config = checkConfig({ headString: "live", version: 1, bytesPerCell: BYTES_PER_CELL, maxIndex: 2 ** 32 - 1 });
  await Life.create({ region, history, stepBytes: null, salt: 0 }, config).run(steps);
  return { log: region.log, history };
}

/** Kills the writer in the middle of a log, opens what it left, and goes on. Null before there is a file. */
async function killed({ log, history }: Recorded, random: Random): Promise<Recorded | null> {
  const end = random.below(log.length);
  const entry = itemAt(log, end);
  const kept = log.slice(0, end);
  if (entry.kind === "store" && random.oneIn(2)) {
    kept.push({ ...entry, bytes: entry.bytes.subarray(0, 4 * random.below(entry.bytes.length / 4)) });
  }
  let bounds: BoundsOfCrash | null = null;
  const memory = new Uint8Array(REGION_BYTES);
  let sizeBytes = FILE_BYTES;
  for (const before of kept) {
    bounds = boundsAfter(bounds, before, history);
    sizeBytes = applyToMemory(memory, sizeBytes, before);
  }
  if (bounds === null) return null;
  const region = new RecordingRegion(REGION_BYTES);
  region.load(memory.slice(0, sizeBytes));
  const place = { region, history: history.after(bounds.kill.begun), stepBytes: null, salt: 1 };
  await Life.open(place, 0).run(after);
  return { log: [...kept, ...region.log], history: place.history };
}

/** The log with stores split into words. */
function* moments(log: readonly LogEntry[]): Generator<LogEntry> {
  for (const entry of log) {
    if (entry.kind !== "store") yield entry;
    else {
      for (let at = 0; at < entry.bytes.length; at += 4) {
        yield { kind: "store", offset: entry.offset + at, bytes: entry.bytes.subarray(at, at + 4) };
      }
    }
  }
}

/** A state that a reader holds on to. */
interface Held {
  readonly cells: Uint8Array;
  readonly told: number | null;
}

class Reader {
  readonly #region: ArrayRegion;
  readonly #follower: Follower;
  readonly #history: History;
  #held: Held;

  constructor(region: ArrayRegion, follows: Follows, history: History) {
    this.#region = region;
    this.#history = history;
    this.#follower = new Follower(region, configIn(region), follows, false);
    this.#held = this.#hold();
  }

  /** What is wrong with what it shows now. */
  look(): string | null {
    const { header, truncations } = this.#follower;
    const before = this.#held;
    if (this.#follower.hasChanged()) this.#follower.refresh();
    const now = this.#follower.header;
    this.#held = this.#hold();
    if (this.#history.find(now.root, now.next, this.#region.memory).whole.length === 0) {
      return `shows ${now.next}/${now.root}, which was never published`;
    }
    const isGone = now.next < header.next || !this.#holds(before);
    if (isGone && this.#follower.truncations === truncations) {
      return `went from ${header.next} to ${now.next}, and still tells ${truncations} truncations`;
    }
    return null;
  }

  /** What is wrong with what it holds on to: its check says that the cells are there, and they are not. */
  check(): string | null {
    if (
      !keepsCells(decodeArea(this.#region.memory.subarray(0, 256)).records, this.#held.told) ||
      this.#holds(this.#held)
    )
      return null;
    return `holds ${this.#follower.header.next}/${this.#follower.header.root} of other cells`;
  }

  #hold(): Held {
    const { header, annexTruncations } = this.#follower;
    return {
      cells: this.#region.memory.slice(START * BYTES_PER_CELL, header.next * BYTES_PER_CELL),
      told: annexTruncations,
    };
  }

  #holds({ cells }: Held): boolean {
    const start = START * BYTES_PER_CELL;
    return Buffer.compare(cells, this.#region.memory.subarray(start, start + cells.length)) === 0;
  }
}

/** Replays the log under readers that open and look at random, and check always. */
function replayUnder({ log, history }: Recorded, readers: number, random: Random): { faults: string[]; looks: number } {
  const all = [...moments(log)];
  const linked = all.findIndex(({ kind }) => kind === "linked");
  const schedule = Array.from({ length: readers }, () => {
    const opening = linked + 1 + random.below(all.length - linked - 1);
    const lookOneIn = random.pick([1, 2, 8, 40]);
    return { opening, lookOneIn, follows: random.pick(["flushes", "commits"] as const), reader: null as Reader | null };
  });
  const region = new ArrayRegion(REGION_BYTES);
  region.load(new Uint8Array(FILE_BYTES));
  const faults: string[] = [];
  let looks = 0;
  for (const [at, entry] of all.entries()) {
    region.sizeBytes = applyToMemory(region.memory, region.sizeBytes, entry);
    for (const one of schedule) {
      if (at === one.opening) one.reader = new Reader(region, one.follows, history);
      if (one.reader === null) continue;
      const fault = one.reader.check() ?? (random.oneIn(one.lookOneIn) ? (looks++, one.reader.look()) : null);
      if (fault !== null) faults.push(`a reader of ${one.follows} ${fault}, at ${at} of ${all.length} (${entry.kind})`);
    }
  }
  return { faults, looks };
}

test(
  "a reader that lives on never takes other cells for those of its state",
  async () => {
    const seed = seedFromEnvironment();
    const random = new Random(seed);
    const faults: string[] = [];
    const count = { lives: 0, looks: 0 };
    for (const steps of lives) {
      const whole = await live(steps);
      const recorded = [whole];
      while (recorded.length < form.kills) {
        const one = await killed(random.pick(recorded), random);
        if (one !== null) recorded.push(one);
      }
      for (const one of recorded) {
        const result = replayUnder(one, form.readers, random);
        count.lives++;
        count.looks += result.looks;
        faults.push(...result.faults);
      }
    }
    process.stdout.write(`${JSON.stringify(count)}, seed ${seed}\n`);
    expect(faults.slice(0, 10)).toEqual([]);
    expect(count.looks).toBeGreaterThan(100_000);
  },
  TIMEOUT_MS,
);
