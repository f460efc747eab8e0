/** What a watch costs, and what it goes by: events of the file, and a timer beside them. */

import { afterEach, describe, expect, mock, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { libc } from "../../src/os/libc.ts";
import { StorageReader, type StorageState } from "../../src/index.ts";
import { ChangeDetector, watchStates } from "../../src/watch.ts";
import { commit, pair } from "../support/followed.ts";
import { until } from "../support/process-until.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ spoiled: true });
const linux = process.platform === "linux";
afterEach(() => mock.restore());

/** A reader that is made of numbers, so that looks can be counted. */
class Followed {
  root: number | null = null;
  length = 8;
  closed = false;
  looks = 0;
  /** What the next look finds. */
  isNew = false;
  error: Error | null = null;
  onEvent: (() => void) | null = null;
  beforeEvents = (): void => undefined;
  eventsClosed = 0;
  readonly detector: ChangeDetector;

  constructor(hasEvents: boolean) {
    this.detector = new ChangeDetector(
      () => this.#look(),
      (callback) => {
        this.beforeEvents();
        this.onEvent = callback;
        return hasEvents ? { close: () => this.eventsClosed++ } : null;
      },
    );
  }

  #look(): void {
    this.looks++;
    if (this.error !== null) throw this.error;
    if (!this.isNew) return;
    this.isNew = false;
    this.length++;
    this.detector.addChange();
  }

  watch(intervalMs?: number): AsyncIterableIterator<StorageState> & AsyncDisposable {
    return watchStates(this, this.detector, { intervalMs });
  }
}

function inotifyIsOpen(): boolean {
  return fs.readdirSync("/proc/self/fd").some((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`).includes("inotify");
    } catch {
      return false;
    }
  });
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await turn();
}

describe("watches of one reader", () => {
  test("share each look, however many there are", async () => {
    const followed = new Followed(true);
    const next = Array.from({ length: 1000 }, () => followed.watch().next());
    await turns(3);
    // One more when the events begin.
    expect(followed.looks).toBe(2);
    followed.isNew = true;
    followed.onEvent?.();
    expect(await Promise.all(next)).toEqual(
      Array.from(next, () => ({ done: false, value: { root: null, length: 9 } })),
    );
    expect(followed.looks).toBe(3);
    followed.detector.close();
  });

  test("see what changes just before the events begin", async () => {
    const followed = new Followed(true);
    followed.beforeEvents = () => {
      followed.isNew = true;
    };
    expect(await followed.watch().next()).toMatchObject({ done: false });
    followed.detector.close();
  });

  test("all end with the error of a look", async () => {
    const followed = new Followed(true);
    const next = [followed.watch(), followed.watch(5)].map((states) => states.next());
    await turns(3);
    followed.error = new Error("gone");
    followed.onEvent?.();
    const ends = await Promise.allSettled(next);
    expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  });

  test("look once a millisecond at most for events that tell nothing", async () => {
    const followed = new Followed(true);
    const next = followed.watch().next();
    await turns(3);
    const begun = performance.now();
    let events = 0;
    for (; performance.now() - begun < 20 || events < 200; events++) {
      followed.onEvent?.();
      if (events % 100 === 0) await turn();
    }
    expect(followed.looks).toBeLessThan(3 + 2 * (performance.now() - begun));
    followed.isNew = true;
    followed.onEvent?.();
    expect(await next).toMatchObject({ done: false });
    followed.detector.close();
  });

  test("are found by the timer where changes make no events, slowly at first, quickly from then on", async () => {
    const followed = new Followed(true);
    const states = followed.watch();
    for (const [leastMs, mostMs] of [
      [500, Infinity],
      [0, 500],
    ] as const) {
      const begun = performance.now();
      const next = states.next();
      await turns(3);
      followed.isNew = true;
      await next;
      expect(performance.now() - begun).toBeGreaterThanOrEqual(leastMs);
      expect(performance.now() - begun).toBeLessThan(mostMs);
    }
    followed.detector.close();
  });

  test("let go of the events some time after the last wait, and at close", async () => {
    const followed = new Followed(true);
    const states = followed.watch();
    const next = states.next();
    await turns(3);
    await states.return?.();
    await next;
    await until("they are closed", () => followed.eventsClosed === 1);
    void followed.watch().next();
    await turns(3);
    followed.closed = true;
    followed.detector.close();
    expect(followed.eventsClosed).toBe(2);
  });

  test("with an interval of their own open no events", async () => {
    const followed = new Followed(true);
    const states = followed.watch(1);
    const next = states.next();
    await turns(3);
    expect(followed.onEvent).toBeNull();
    followed.isNew = true;
    expect(await next).toMatchObject({ done: false });
    followed.detector.close();
  });
});

describe.skipIf(!linux)(`a watch of a file${linux ? "" : " (skipped: Linux only)"}`, () => {
  test("sees a change without a timer", async () => {
    using both = pair(file());
    const states = both.reader.watch();
    const next = states.next();
    await turns(3);
    // As a commit does.
    const { setTimeout: timer } = globalThis;
    const timers = spyOn(globalThis, "setTimeout").mockImplementation(((...call: Parameters<typeof timer>) => {
      if ((call[1] ?? 0) < 1000) throw new Error(`a timer of ${call[1]} ms`);
      return timer(...call);
    }) as typeof timer);
    const committed = commit(both.writer);
    const fd = fs.openSync(both.writer.path, "r+");
    fs.writeSync(fd, new Uint8Array(4), 0, 4, both.writer.stats().fileBytes - 4);
    fs.closeSync(fd);
    expect(await next).toEqual({ done: false, value: committed });
    timers.mockRestore();
  });

  test("goes on by a timer where the system has no events left", async () => {
    spyOn(libc(), "inotify_init1").mockImplementation(() => -1);
    using both = pair(file());
    const states = both.reader.watch();
    for (let i = 0; i < 3; i++) {
      const next = states.next();
      const committed = commit(both.writer);
      expect(await next).toEqual({ done: false, value: committed });
    }
  });

  test("leaves no descriptor when the reader is closed", async () => {
    // Readers of other tests in this process keep theirs for a moment.
    await until("no other watch is left", () => !inotifyIsOpen());
    using both = pair(file());
    const reader = StorageReader.open(both.writer.path);
    void reader.watch().next();
    await turns(3);
    expect(inotifyIsOpen()).toBe(true);
    reader.close();
    // Bun gives its stream's descriptor back when the event loop comes to it.
    await until("it is closed", () => !inotifyIsOpen());
  });
});
