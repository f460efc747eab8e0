/**
 * Mixed histories: a writer of Cellar ends by close, kill or power cut, then the original opens the file, allocates,
 * commits and flushes, and is killed at any store. Whatever opens the file then, a reader of flushes, a reader of commits,
 * one with the right key, a writer, shows a state that was published, with every cell of it, and none older than the last
 * flush that had returned.
 */

import { expect, test } from "bun:test";
import { decodeAnnexHead } from "../../src/format/annex-head.ts";
import { startIndexOf } from "../../src/format/layout.ts";
import { Follower } from "../../src/state/follower.ts";
import { openStore } from "../../src/store/open.ts";
import { decode } from "../support/decoder.ts";
import { OriginalWriter } from "../support/original-writer.ts";
import { seedFromEnvironment } from "../support/random.ts";
import { BYTES_PER_CELL, type Ending, endings } from "./mixes/endings.ts";
import { ArrayRegion } from "./powercut/array-region.ts";
import type { History } from "./powercut/history.ts";
import { choicesOf, configIn } from "./powercut/opening.ts";
import { Random } from "./powercut/random.ts";

const REGION_BYTES = 64 * 1024;
const START = startIndexOf(BYTES_PER_CELL);
const TIMEOUT_MS = 120_000;
/** Of the key of the last writer; that of Cellar is `choicesOf(_, 0)`. */
const sharedKey = choicesOf(null, 0).writerKey;
const otherKey = new Uint8Array(32).fill(0xcc);

interface Form {
  readonly cutsPerMoment: number;
  /** Histories of the original after each ending, chosen by the seed among all of its steps. */
  readonly histories: number;
  /** The original is killed after one of so many of its stores, and always after the last of a commit or a flush. */
  readonly killOneIn: number;
}

const form: Form =
  process.env["LONG"] === undefined
    ? { cutsPerMoment: 5, histories: 2, killOneIn: 4 }
    : { cutsPerMoment: 60, histories: 100, killOneIn: 1 };

/** What the original does between two of its commits. */
interface Work {
  readonly next: number;
  readonly root: number;
  /** Null: cells are left as they were, as when the same work is done again. */
  readonly fill: number | null;
  readonly publish: "commit" | "flush";
}

class Mix {
  readonly #bench = new ArrayRegion(REGION_BYTES);
  readonly #faults: string[];
  readonly #ending: Ending;
  readonly #history: History;
  readonly #bytes: Uint8Array;
  readonly #done: string[] = [];
  #flushed: number;
  readonly #key: Uint8Array;
  readonly #random: Random;
  seen = 0;

  constructor(ending: Ending, key: Uint8Array, faults: string[], random: Random) {
    this.#ending = ending;
    this.#history = ending.history.after(ending.history.states.length - 1);
    this.#bytes = ending.image.slice();
    this.#flushed = ending.flushed;
    this.#key = key;
    this.#random = random;
    this.#faults = faults;
  }

  /** Whether the writer of Cellar closed the file, as the annex says. */
  get wasClosed(): boolean {
    return decodeAnnexHead(this.#bytes)?.processId === 0;
  }

  /** Opens the file as the original does. False if it refuses. */
  open(): OriginalWriter | null {
    const writer = OriginalWriter.open(this.#bytes, this.#key, () => {
      if (this.#random.oneIn(form.killOneIn)) this.look();
    });
    if (writer === null) return null;
    this.#publish(writer, "opens", this.#ending.history.states[this.#flushed]?.next);
    writer.flush();
    this.#flushes();
    this.look();
    return writer;
  }

  work(writer: OriginalWriter, { next, root, fill, publish }: Work): void {
    writer.extend(Math.max(next, writer.next), fill);
    writer.root = root;
    this.#publish(writer, `${fill === null ? "takes" : "fills"} up to ${writer.next}, root ${root}, ${publish}`);
    writer[publish]();
    if (publish === "flush") this.#flushes();
    this.look({ root, next: writer.next });
  }

  /** Every viewer opens the file as it is. */
  look(committed?: { readonly root: number; readonly next: number }): void {
    const follower = (follows: "flushes" | "commits", trusted: boolean): Follower => {
      this.#bench.load(this.#bytes);
      return new Follower(this.#bench, configIn(this.#bench), follows, trusted);
    };
    this.#see("a reader of flushes", () => follower("flushes", false).header);
    this.#see("a reader of commits", () => follower("commits", false).header);
    this.#see("a reader with the key", () => {
      const { header, follows } = follower("commits", true);
      const isShown = header.root === committed?.root && header.next === committed.next && follows === "commits";
      if (committed !== undefined && this.wasClosed && !isShown)
        this.#fault(`the key shows ${header.next}/${header.root}`);
      return header;
    });
    this.#see("a writer", () => {
      this.#bench.load(this.#bytes);
      const { header, recovery } = openStore(this.#bench, configIn(this.#bench), choicesOf(null, 1));
      return { root: header.root, next: header.next - recovery.skippedCells };
    });
  }

  #see(who: string, show: () => { readonly root: number; readonly next: number }): void {
    // The original stores a copy while the other one is torn from a crash before: that is its own.
    if (!decode(this.#bytes).disk.some(({ believed }) => believed)) return;
    this.seen++;
    const { root, next } = show();
    const { named, whole } = this.#history.find(root, next, this.#bench.memory);
    const latest = whole.at(-1);
    if (named.length === 0) this.#fault(`${who} shows ${next}/${root}, which was never published`);
    else if (latest === undefined) this.#fault(`${who} shows ${next}/${root} without its cells`);
    else if (latest < this.#flushed) {
      this.#fault(`${who} shows ${next}/${root}, state ${latest}, when ${this.#flushed} was flushed`);
    }
  }

  #publish(writer: OriginalWriter, what: string, wholeTo = writer.next): void {
    this.#done.push(what);
    const { root, next } = writer;
    this.#history.publish({ root, next, wholeTo: Math.min(next, wholeTo), versions: 1, steps: 0, memory: this.#bytes });
  }

  /** The last state is flushed; it may be one that there was before. */
  #flushes(): void {
    const { states } = this.#history;
    const last = states.at(-1);
    if (last !== undefined)
      this.#flushed = this.#history.find(last.root, last.next, this.#bytes).whole[0] ?? states.length - 1;
  }

  #fault(what: string): void {
    this.#faults.push(`${what}: ${this.#ending.how}, then ${this.#done.join("; ")}`);
  }
}

/** What the original may do from a state on: come to lengths and roots that Cellar had come to, or to others. */
function worksAfter({ next, root }: OriginalWriter, { history }: Ending): Work[] {
  const targets = [{ next, root: START }, { next, root }, { next: next + 2, root: next + 1 }, ...history.states];
  return targets.flatMap((target) => {
    if (target.next < next || target.root >= target.next) return [];
    const roots = new Set([target.root, START < target.next ? START : 0]);
    const fills = target.next > next ? [null, 0xaa] : [null];
    return [...roots].flatMap((to) =>
      fills.flatMap((fill) =>
        (["commit", "flush"] as const).map((publish) => ({ next: target.next, root: to, fill, publish })),
      ),
    );
  });
}

test(
  "whatever a writer of Cellar left, and whatever the original made of it, only published states are shown",
  async () => {
    const seed = seedFromEnvironment();
    const random = new Random(seed);
    const faults: string[] = [];
    const count = { endings: 0, opened: 0, seen: 0, closed: 0 };
    for await (const ending of endings(form.cutsPerMoment, random)) {
      count.endings++;
      const alone = new Mix(ending, sharedKey, faults, random);
      alone.look();
      // Few files are closed, and only of those may the key show more.
      const histories = form.histories * (alone.wasClosed ? 15 : 1);
      for (let i = 0; i < histories; i++) {
        const mix = new Mix(ending, random.oneIn(2) ? sharedKey : otherKey, faults, random);
        const writer = mix.open();
        if (writer === null) break;
        count.opened++;
        if (mix.wasClosed) count.closed++;
        for (let done = 0; done < 3; done++) mix.work(writer, random.pick(worksAfter(writer, ending)));
        count.seen += mix.seen;
      }
      if (faults.length > 20) break;
    }
    process.stdout.write(`${JSON.stringify(count)}, seed ${seed}\n`);
    expect([...new Set(faults)].slice(0, 20)).toEqual([]);
    expect(count.closed).toBeGreaterThan(0);
    expect(count.seen).toBeGreaterThan(10_000);
  },
  TIMEOUT_MS,
);
