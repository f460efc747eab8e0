/** One transaction after the other by the asynchronous flush. */

import { join } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { durableCellarStore } from "../compare/cellar.ts";
import { twoSyncs } from "../compare/limits.ts";
import { blobs } from "../lib/data.ts";
import { atMostTimes, cellar, limit, type Row, row } from "../lib/row.ts";
import { eachUs } from "../lib/time.ts";

/** Room for all blobs of a run. */
const MAX_TRANSACTIONS = 20_000;

interface FlushSizes {
  readonly count: number;
  readonly sizeBytes: number;
}

export const flush: Row = row<FlushSizes>({
  name: "flush",
  unit: "µs",
  needs: "durable",
  rounds: 40,
  full: { count: 50, sizeBytes: 100 },
  quick: { count: 5, sizeBytes: 100 },
  title: ({ sizeBytes }) => `await flush() after a write of ${sizeBytes} bytes, one at a time`,
  contestants: {
    "cellar, await flush()": cellar(({ count, sizeBytes }, folder) => {
      const writer = StorageWriter.create(join(folder, "flush.cellar"));
      const blobAt = blobs(sizeBytes);
      return {
        slice: () =>
          eachUs(count, async (i) => {
            writer.root = writer.write(blobAt(i));
            const { root } = await writer.flush();
            if (root !== writer.root) throw new Error("a flush resolved too early");
          }),
        close: () => writer.close(),
      };
    }),
    "two fdatasync in the thread pool": limit(({ count, sizeBytes }, folder) => {
      const syncs = twoSyncs(folder, MAX_TRANSACTIONS * sizeBytes);
      const blobAt = blobs(sizeBytes);
      return { slice: () => eachUs(count, (i) => syncs.transact(blobAt(i))), close: () => syncs.close() };
    }),
    "cellar, flushSync()": cellar(({ count, sizeBytes }, folder) => {
      const store = durableCellarStore({ folder, count, sizeBytes });
      const blobAt = blobs(sizeBytes);
      return { slice: () => eachUs(count, (i) => store.transact(i, blobAt(i))), close: () => store.close() };
    }),
  },
  targets: [
    atMostTimes(
      "cellar, await flush()",
      "two fdatasync in the thread pool",
      1.15,
      "A flush hands two syncs to the thread pool one after the other, and resolves promises of its own between them.",
    ),
  ],
});
