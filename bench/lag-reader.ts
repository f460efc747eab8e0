/**
 * A reader in a process of its own, beside the writer of the `lag` workload: `bun lag-reader.ts PATH SLEEP_MS`.
 * Says "ready"; refreshes until it meets a root that ends it; prints how old each new root was when it was seen.
 */

import { StorageReader } from "../src/index.ts";
import { quantile } from "./clock.ts";
import { monotonicClock } from "./monotonic.ts";

/** What the writer puts under every root: the time of the commit, or END. */
export const ROOT_BYTES = 8;
export const END = -1;

/** What a reader prints. */
export interface Lags {
  readonly refreshes: number;
  readonly seen: number;
  readonly p50: number;
  readonly p99: number;
}

const MAX_SEEN = 10_000_000;
/** A writer that was killed ends nothing: then the reader ends itself. */
const MAX_LIFE_US = 60e6;
const LOOKS_AT_CLOCK_EVERY = 1024;

function follow(path: string, sleepMs: number): Lags {
  using reader = StorageReader.open(path, { follow: "commits" });
  const now = monotonicClock();
  const lags = new Float64Array(MAX_SEEN);
  let seen = 0;
  const deadline = now() + MAX_LIFE_US;
  process.stdout.write("ready\n");
  for (let refreshes = 1; ; refreshes++) {
    if (refreshes % LOOKS_AT_CLOCK_EVERY === 0 && now() > deadline) throw new Error("the writer does not end");
    if (reader.refresh() && reader.root !== null) {
      const { buffer, byteOffset } = reader.bytes(reader.root, ROOT_BYTES);
      const committed = new DataView(buffer, byteOffset).getFloat64(0, true);
      if (committed === END) {
        const all = lags.subarray(0, Math.min(seen, MAX_SEEN));
        return { refreshes, seen, p50: quantile(all, 0.5), p99: quantile(all, 0.99) };
      }
      lags[seen++] = now() - committed;
    }
    if (sleepMs > 0) Bun.sleepSync(sleepMs);
  }
}

if (import.meta.main) {
  const [path = "", sleepMs = "0"] = process.argv.slice(2);
  process.stdout.write(`${JSON.stringify(follow(path, Number(sleepMs)))}\n`);
}
