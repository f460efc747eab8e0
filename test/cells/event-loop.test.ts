/** Calls that take long leave the event loop free: timers fire, and signals take effect, while they are under way. */

import { describe, expect, test } from "bun:test";
import { StorageWriter } from "../../src/index.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder();
const LONGEST_MS = 5;
const MIB = 1024 * 1024;
/** The collector may come at any time, but not each time. */
const ATTEMPTS = 10;

/** Processor time of this process: on a busy machine, others have the rest. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The longest turn of the event loop while a call is under way. */
async function longestTurnMs(call: () => Promise<unknown>): Promise<number> {
  let longestMs = 0;
  let lastMs = cpuMs();
  const look = (): void => {
    const nowMs = cpuMs();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  };
  const timer = setInterval(look, 1);
  await call();
  look();
  clearInterval(timer);
  return longestMs;
}

/** Tries until no turn is long; what holds the loop itself does so each time. */
async function expectShortTurns(call: () => Promise<unknown>): Promise<void> {
  const seen: number[] = [];
  while (seen.length < ATTEMPTS) {
    Bun.gc(true);
    seen.push(await longestTurnMs(call));
    if ((seen.at(-1) ?? 0) <= LONGEST_MS) return;
  }
  expect(Math.min(...seen)).toBeLessThanOrEqual(LONGEST_MS);
}

describe("no turn of the event loop is long", () => {
  const nowhere = (): WritableStream<Uint8Array> => new WritableStream({ write: () => undefined });

  test("in stream, whatever takes its pieces", async () => {
    using writer = StorageWriter.inMemory();
    const index = writer.write(new Uint8Array(128 * MIB).fill(1));
    await expectShortTurns(async () => {
      for await (const _ of writer.stream(index));
    });
    await expectShortTurns(() => writer.stream(index).pipeTo(nowhere()));
    // Several at a time share a turn.
    await expectShortTurns(() => Promise.all([1, 2, 3, 4].map(() => writer.stream(index).pipeTo(nowhere()))));
  });

  test("in copyTo", async () => {
    using writer = StorageWriter.inMemory();
    writer.write(new Uint8Array(128 * MIB).fill(1));
    writer.commit();
    let copies = 0;
    await expectShortTurns(async () => writer.copyTo(file(`copy-${copies++}.cellar`)));
  });

  test("in writeStream, of one large piece too", async () => {
    const large = new Uint8Array(128 * MIB).fill(1);
    using writer = StorageWriter.create(file());
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield large;
    };
    await expectShortTurns(() => writer.writeStream(source()));
  });
});

test("a signal ends a pipe of a stream while it is under way", async () => {
  using writer = StorageWriter.inMemory();
  const index = writer.write(new Uint8Array(60 * MIB));
  const stop = new AbortController();
  let piped = 0;
  const sink = new WritableStream<Uint8Array>({ write: (piece) => void (piped += piece.length) });
  const pipe = writer.stream(index).pipeTo(sink, { signal: stop.signal });
  setTimeout(() => stop.abort(new Error("enough")), 1);
  expect(await pipe.catch((error: unknown) => (error as Error).message)).toBe("enough");
  expect(piped).toBeLessThan(60 * MIB);
});
