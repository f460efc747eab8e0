/** classic-level (LevelDB): big-endian u32 keys, no compression, one chained batch. */

import { join } from "node:path";
import type { Purpose, Store } from "./store.ts";

/** With the default of 4 MiB it takes twice as long. */
const WRITE_BUFFER_BYTES = 64 * 1024 * 1024;

export async function levelStore({ folder }: Purpose): Promise<Store> {
  const { ClassicLevel } = await import("classic-level");
  const database = new ClassicLevel<Uint8Array, Uint8Array>(join(folder, "level"), {
    keyEncoding: "view",
    valueEncoding: "view",
    compression: false,
    writeBufferSize: WRITE_BUFFER_BYTES,
  });
  await database.open();
  const key = new Uint8Array(4);
  const keyOf = (i: number): Uint8Array => {
    new DataView(key.buffer).setUint32(0, i);
    return key;
  };
  return {
    async writeAll(count, blobAt) {
      const batch = database.batch();
      for (let i = 0; i < count; i++) batch.put(keyOf(i), blobAt(i));
      await batch.write();
    },
    async read(i) {
      const value = await database.get(keyOf(i));
      if (value === undefined) throw new Error(`LevelDB has lost blob ${i}`);
      return value;
    },
    close: () => database.close(),
  };
}
