/// <reference path="./peers.d.ts" />
/** lmdb-js: u32 keys, binary values, no compression. Keys come in order, so it may append. */

import { join } from "node:path";
import type { Purpose, TransactionStore, ViewStore } from "./store.ts";

/**
 * When a transaction returns: `none` without a sync; `each` after its sync; `overlapping`, the default of lmdb-js, before
 * its sync, which follows in the background: only `transactLater` does that, `transact` waits for the sync all the same.
 */
export type LmdbSync = "none" | "overlapping" | "each";

export interface LmdbStore extends ViewStore, TransactionStore {
  transact(i: number, blob: Uint8Array): void;
  /** Many may be under way, and share a transaction. Resolves when it is visible, with `each` when it is durable. */
  transactLater(i: number, blob: Uint8Array): Promise<unknown>;
  /** The little-endian u32 at `offset` in blob `i`. */
  u32(i: number, offset: number): number;
  /** Resolves when syncs in the background are done. */
  synced(): Promise<unknown>;
  /** Ends the read transaction, so that the next read sees what other processes have committed. */
  renew(): void;
}

const APPEND = { append: true };

export async function lmdbStore({ folder, count, sizeBytes }: Purpose, sync: LmdbSync = "none"): Promise<LmdbStore> {
  const { open } = await import("lmdb");
  const database = open<Uint8Array, number>({
    path: join(folder, "lmdb"),
    encoding: "binary",
    keyEncoding: "uint32",
    compression: false,
    // Room for the data and its tree at once: growing would only cost it time.
    mapSize: 2 * count * (sizeBytes + 64) + 2 ** 26,
    noSync: sync === "none",
    overlappingSync: sync === "overlapping",
  });
  const found = (value: Buffer | undefined): Buffer => {
    if (value === undefined) throw new Error("lmdb has lost a blob");
    return value;
  };
  return {
    writeAll(count, blobAt) {
      database.transactionSync(() => {
        for (let i = 0; i < count; i++) void database.putSync(i, blobAt(i), APPEND);
      });
    },
    read: (i) => found(database.getBinary(i)),
    view: (i) => found(database.getBinaryFast(i)),
    u32: (i, offset) => found(database.getBinaryFast(i)).readUInt32LE(offset),
    transact: (i, blob) => database.transactionSync(() => void database.putSync(i, blob)),
    transactLater: (i, blob) => database.put(i, blob),
    synced: () => database.flushed,
    renew: () => database.resetReadTxn(),
    close: () => database.close(),
  };
}
