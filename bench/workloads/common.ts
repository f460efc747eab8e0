/** What the workloads over blobs share: a warm-up, then the same with fresh files, and what came back. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Purpose, Store } from "../contestants/store.ts";
import { blobs, Digest } from "../data.ts";
import { timeMs } from "../clock.ts";
import type { Measured } from "../workload.ts";

export interface BlobSizes {
  readonly count: number;
  readonly sizeBytes: number;
}

export type OpenStore<S extends Store> = (purpose: Purpose) => S | Promise<S>;

/** A part of the work that gets its code compiled: of small blobs it takes some more. */
const WARM_UP_PART = 1 / 20;
const WARM_UP_BYTES = 2_000_000;

/** Opens a store and uses it, first with few blobs as a warm-up, then with all: the second answer counts. */
export async function warmed<S extends Store, T>(
  open: OpenStore<S>,
  { count, sizeBytes }: BlobSizes,
  folder: string,
  use: (store: S, count: number) => T | Promise<T>,
): Promise<T> {
  const warmFolder = join(folder, "warm-up");
  mkdirSync(warmFolder);
  const warmCount = Math.min(count, Math.ceil(Math.max(count * WARM_UP_PART, WARM_UP_BYTES / sizeBytes)));
  await opened(open, { folder: warmFolder, count: warmCount, sizeBytes }, use);
  return opened(open, { folder, count, sizeBytes }, use);
}

async function opened<S extends Store, T>(
  open: OpenStore<S>,
  purpose: Purpose,
  use: (store: S, count: number) => T | Promise<T>,
): Promise<T> {
  const store = await open(purpose);
  try {
    return await use(store, purpose.count);
  } finally {
    await store.close();
  }
}

/** Times the storing of all blobs; then reads them back. */
export function measureWrite(open: OpenStore<Store>, sizes: BlobSizes, folder: string): Promise<Measured> {
  const blobAt = blobs(sizes.sizeBytes);
  return warmed(open, sizes, folder, async (store, count) => {
    const value = await timeMs(() => store.writeAll(count, blobAt));
    return { value, digest: await digestOf(store, count) };
  });
}

/** What a timed loop over reads found out. */
export interface Looped {
  readonly value: number;
  /** Made of what was read: the same for every contestant. */
  readonly sum: number;
}

/** Stores all blobs, then times `loop`, which reads them; then reads them once more in order. */
export function measureRead<S extends Store>(
  open: OpenStore<S>,
  sizes: BlobSizes,
  folder: string,
  loop: (store: S, count: number) => Promise<Looped>,
): Promise<Measured> {
  const blobAt = blobs(sizes.sizeBytes);
  return warmed(open, sizes, folder, async (store, count) => {
    await store.writeAll(count, blobAt);
    store.settle?.();
    const { value, sum } = await loop(store, count);
    return { value, digest: `${await digestOf(store, count)}, sum ${sum}` };
  });
}

async function digestOf(store: Store, count: number): Promise<string> {
  const digest = new Digest();
  for (let i = 0; i < count; i++) {
    const bytes = store.read(i);
    digest.add(bytes instanceof Promise ? await bytes : bytes);
  }
  return digest.toString();
}
