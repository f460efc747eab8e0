/** lmdb-js: u32 keys, binary values, no compression; keys come in order, so it may append. */

import { join } from "node:path";
import type { DurableStore, Purpose, ViewStore } from "./store.ts";

export interface LmdbStore extends ViewStore, DurableStore {
  /** The little-endian u32 at `offset` in blob `i`. */
  u32(i: number, offset: number): number;
}

const APPEND = { append: true };

export async function lmdbStore({ folder, count, sizeBytes }: Purpose, durable = false): Promise<LmdbStore> {
  const { open } = await import("lmdb");
  const database = open<Uint8Array, number>({
    path: join(folder, "lmdb"),
    encoding: "binary",
    keyEncoding: "uint32",
    compression: false,
    // Room for the data and its tree at once: growing would only cost it time.
    mapSize: 2 * count * (sizeBytes + 64) + 2 ** 26,
    noSync: !durable,
    // Else a transaction returns before its sync has.
    overlappingSync: false,
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
    writeDurably(i, blob) {
      database.transactionSync(() => void database.putSync(i, blob, APPEND));
    },
    close: () => database.close(),
  };
}
