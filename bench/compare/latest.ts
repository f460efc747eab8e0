/** One value that a writer replaces by commits, and that readers in other processes look at. */

import { join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { lmdbStore } from "./lmdb.ts";
import { sqliteStore } from "./sqlite.ts";

export const latestKinds = ["cellar", "sqlite", "lmdb"] as const;
export type LatestKind = (typeof latestKinds)[number];

export interface LatestWriter {
  put(value: number): void;
  close(): void | Promise<void>;
}

export interface LatestReader {
  /** The value now; 0 if there is none. */
  look(): number;
  close(): void | Promise<void>;
}

/** Shared memory is needed for all blobs of lmdb's file; one value needs little. */
const LMDB = { count: 1000, sizeBytes: 8 };

export async function latestWriter(kind: LatestKind, folder: string): Promise<LatestWriter> {
  const bytes = Float64Array.of(0);
  if (kind === "cellar") {
    const writer = StorageWriter.create(join(folder, "latest.cellar"));
    return {
      put(value) {
        bytes[0] = value;
        writer.root = writer.write(bytes);
        writer.commit();
      },
      close: () => writer.close(),
    };
  }
  const store = kind === "sqlite" ? sqliteStore({ folder }) : await lmdbStore({ folder, ...LMDB });
  const blob = new Uint8Array(bytes.buffer);
  return {
    put(value) {
      bytes[0] = value;
      store.transact(0, blob);
    },
    close: () => store.close(),
  };
}

export async function latestReader(kind: LatestKind, folder: string): Promise<LatestReader> {
  if (kind === "cellar") {
    const reader = StorageReader.open(join(folder, "latest.cellar"), { follow: "commits" });
    let value = 0;
    return {
      look() {
        if (reader.refresh() && reader.root !== null) value = numberIn(reader.read(reader.root));
        return value;
      },
      close: () => reader.close(),
    };
  }
  if (kind === "sqlite") {
    const store = sqliteStore({ folder });
    let version = -1;
    let value = 0;
    return {
      look() {
        const now = store.version();
        if (now !== version) value = numberIn(store.read(0));
        version = now;
        return value;
      },
      close: () => store.close(),
    };
  }
  const store = await lmdbStore({ folder, ...LMDB });
  return {
    look() {
      // A read transaction shows one state: each look needs a new one.
      store.renew();
      return numberIn(store.read(0));
    },
    close: () => store.close(),
  };
}

function numberIn(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getFloat64(0, true);
}
