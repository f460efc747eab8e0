/**
 * A reader in a process of its own, beside the writer of the row `lag`: `bun lag-reader.ts KIND FOLDER`.
 * At the line "go SLEEP_MS" it says "looking", looks until it meets the value END, and answers how old each new value was.
 */

import { writeSync } from "node:fs";
import { latestKinds, latestReader, type LatestReader } from "../compare/latest.ts";
import { answerLines } from "../lib/helper.ts";
import { sharedClock } from "../lib/libc.ts";
import { quantile } from "../lib/time.ts";

/** The value of the writer's last commit of a slice. */
export const END = -1;

export const LOOKING = "looking";

/** What a reader answers, in microseconds. */
export interface Lags {
  readonly looks: number;
  readonly seen: number;
  readonly p50: number;
  readonly p99: number;
}

/** A writer that was killed sends no END: then the reader ends by itself. */
const MAX_LIFE_US = 10e6;
const LOOKS_AT_CLOCK_EVERY = 1024;

function follow(reader: LatestReader, now: () => number, sleepMs: number): Lags {
  const lags: number[] = [];
  const deadline = now() + MAX_LIFE_US;
  let last = reader.look();
  // At once, for the loop never lets the event loop write. A writer that did not wait for it could send END before.
  writeSync(process.stdout.fd, `${LOOKING}\n`);
  for (let looks = 1; ; looks++) {
    if (looks % LOOKS_AT_CLOCK_EVERY === 0 && now() > deadline) throw new Error("the writer does not end");
    const value = reader.look();
    if (value !== last) {
      last = value;
      if (value === END) return { looks, seen: lags.length, p50: quantile(lags, 0.5), p99: quantile(lags, 0.99) };
      lags.push(now() - value);
    }
    if (sleepMs > 0) Bun.sleepSync(sleepMs);
  }
}

if (import.meta.main) {
  const [wanted, folder = ""] = process.argv.slice(2);
  const kind = latestKinds.find((name) => name === wanted);
  if (kind === undefined) throw new Error(`there is no kind ${wanted}`);
  const reader = await latestReader(kind, folder);
  const now = sharedClock();
  await answerLines((line) => JSON.stringify(follow(reader, now, Number(line.split(" ")[1]))));
}
