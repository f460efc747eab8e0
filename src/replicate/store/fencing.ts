/**
 * Tests whether a store fences: of several writers that create the same object, exactly one must be answered "created".
 * A store that ignores the condition answers "created" to all. There is no request that asks this, so it must be tried.
 */

import { StorageError } from "../../error.ts";
import type { CallOptions, ObjectStore } from "./store.ts";

const CONCURRENT_WRITERS = 8;

/**
 * Creates an object, if there is none, with eight simultaneous calls. Then tries to create it again.
 * @returns the object's bytes: the given ones, or those of the existing object
 * @throws FENCING_UNSUPPORTED; the store's errors, after which nothing is proven: call it again (all as rejections)
 */
export async function checkFencing(
  store: ObjectStore,
  key: string,
  bytes: Uint8Array,
  options: CallOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  let existing = await store.get(key, options);
  if (existing === null) {
    const created = await createAtOnce(store, key, bytes, options);
    existing = await store.get(key, options);
    if (existing === null) throw unsupported(store, `${key} was created, but does not exist`);
    if (created && Buffer.compare(existing, bytes) !== 0) throw unsupported(store, `${key} was created by two writers`);
  }
  // Send the same bytes, so that nothing changes if the store replaces the object in spite of the condition.
  const again = await store.put(key, existing, { ...options, ifAbsent: true });
  if (again === "created") throw unsupported(store, `it created ${key} again, although it existed`);
  return existing;
}

/** Creates the object by simultaneous calls. Returns whether one of them was answered "created". */
async function createAtOnce(
  store: ObjectStore,
  key: string,
  bytes: Uint8Array,
  options: CallOptions,
): Promise<boolean> {
  const puts = Array.from({ length: CONCURRENT_WRITERS }, () => store.put(key, bytes, { ...options, ifAbsent: true }));
  const answers = await Promise.allSettled(puts);
  const created = answers.filter((one) => one.status === "fulfilled" && one.value === "created").length;
  if (created > 1)
    throw unsupported(store, `${created} of ${CONCURRENT_WRITERS} writers at once were told that they created ${key}`);
  const reasons = answers.filter((one) => one.status === "rejected").map(({ reason }) => reason as unknown);
  const isVerdict = (reason: unknown): boolean => reason instanceof StorageError && reason.code !== "STORE_UNREACHABLE";
  if (reasons.length > 0) throw reasons.find(isVerdict) ?? reasons[0];
  return created === 1;
}

function unsupported(store: ObjectStore, what: string): StorageError {
  const advice = "two replicators could both write here: use a store that supports If-None-Match on PUT";
  return new StorageError("FENCING_UNSUPPORTED", `${store.url}: ${what}: ${advice}`);
}
