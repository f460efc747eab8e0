/** What the rows over blobs share: writing to fresh files, and reading what is in memory. */

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Open, Store } from "../compare/store.ts";
import { blobs, Digest, shuffled } from "../lib/data.ts";
import type { Start, Task } from "../lib/row.ts";
import { timeEachNs, timeMs } from "../lib/time.ts";

export const MIB: number = 2 ** 20;

export interface BlobSizes {
  readonly count: number;
  readonly sizeBytes: number;
}

export interface ReadSizes extends BlobSizes {
  /** How many of the blobs a slice reads. */
  readonly reads: number;
}

/** Blobs that are read back to compare what the contestants stored. */
const CHECKED_BYTES = 8 * MIB;

/** A slice stores all blobs in a fresh file, in milliseconds. The first and the last slice are read back. */
export function writing(open: Open): Start<BlobSizes> {
  return ({ count, sizeBytes }, folder): Task => {
    const blobAt = blobs(sizeBytes);
    let digest: string | undefined;
    const slice = async (checked: boolean): Promise<number> => {
      const place = mkdtempSync(join(folder, "slice-"));
      const store = await open({ folder: place, count, sizeBytes });
      const tookMs = await timeMs(() => store.writeAll(count, blobAt));
      if (checked) digest = digestOf(store, count, sizeBytes);
      await store.close();
      rmSync(place, { recursive: true });
      return tookMs;
    };
    return {
      slice: () => slice(digest === undefined),
      async finish() {
        const first = digest;
        await slice(true);
        return { digest: digest === first ? (digest ?? "") : `${digest}, at first ${first}` };
      },
    };
  };
}

/** Reads blob `i`. */
type Read<S extends Store> = (store: S, i: number) => Uint8Array;

interface Reading<S extends Store> {
  readonly read: Read<S>;
  /** The unit of a slice's value; default ns. */
  readonly unit?: "ns" | "µs";
  /** Runs the reads of a slice. */
  readonly around?: (store: S, work: () => void) => void;
}

/** Stores all blobs once. A slice reads some of them in a random order: the time of one. */
export function reading<S extends Store>(open: Open<S>, { read, around, unit = "ns" }: Reading<S>): Start<ReadSizes> {
  return async ({ count, sizeBytes, reads }, folder): Promise<Task> => {
    const store = await open({ folder, count, sizeBytes });
    await store.writeAll(count, blobs(sizeBytes));
    await store.settle?.();
    const order = shuffled(count);
    let next = 0;
    let sum = 0;
    const readSome = (): void => {
      for (let k = 0; k < reads; k++) {
        const bytes = read(store, order[next] ?? 0);
        next = next + 1 === count ? 0 : next + 1;
        sum += (bytes[4] ?? 0) + (bytes[bytes.length - 1] ?? 0);
      }
    };
    return {
      async slice() {
        const eachNs = await timeEachNs(reads, () => (around === undefined ? readSome() : around(store, readSome)));
        return unit === "ns" ? eachNs : eachNs / 1e3;
      },
      finish: () => ({ digest: `${digestOf(store, count, sizeBytes, (i) => read(store, i))}, sum ${sum}` }),
      close: () => store.close(),
    };
  };
}

function digestOf(
  store: Store,
  count: number,
  sizeBytes: number,
  read: (i: number) => Uint8Array = (i) => store.read(i),
): string {
  const digest = new Digest();
  const checked = Math.min(count, Math.ceil(CHECKED_BYTES / sizeBytes));
  for (let i = 0; i < checked; i++) digest.add(read(i));
  return digest.toString();
}
