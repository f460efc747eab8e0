/// <reference path="./peers.d.ts" />
/** classic-level (LevelDB): big-endian u32 keys, no compression. */

import { join } from "node:path";
import type { Purpose, TransactionStore } from "./store.ts";

/** With the default of 4 MiB it takes twice as long. */
const WRITE_BUFFER_BYTES = 64 * 1024 * 1024;

export interface LevelStore extends TransactionStore {
  /** Resolves when LevelDB has written the blob; with `sync`, when it is durable. */
  transact(i: number, blob: Uint8Array): Promise<void>;
}

/** `sync`: each transaction is durable when its promise resolves. */
export async function levelStore(
  { folder }: Pick<Purpose, "folder">,
  { sync = false }: { readonly sync?: boolean } = {},
): Promise<LevelStore> {
  const { ClassicLevel } = await import("classic-level");
  const database = new ClassicLevel<Uint8Array, Uint8Array>(join(folder, "level"), {
    keyEncoding: "view",
    valueEncoding: "view",
    compression: false,
    writeBufferSize: WRITE_BUFFER_BYTES,
  });
  await database.open();
  const keyOf = (i: number): Uint8Array => Uint8Array.of(i >>> 24, i >>> 16, i >>> 8, i);
  return {
    async writeAll(count, blobAt) {
      const batch = database.batch();
      for (let i = 0; i < count; i++) batch.put(keyOf(i), blobAt(i));
      await batch.write();
    },
    settle: () => database.compactRange(keyOf(0), keyOf(2 ** 32 - 1)),
    read(i) {
      const value = database.getSync(keyOf(i));
      if (value === undefined) throw new Error(`LevelDB has lost blob ${i}`);
      return value;
    },
    transact: (i, blob) => database.put(keyOf(i), blob, { sync }),
    close: () => database.close(),
  };
}
