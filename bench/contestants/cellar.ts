/** Cellar itself, with its defaults. */

import { join } from "node:path";
import { blobCells } from "../../src/format/chunk.ts";
import { type CreateOptions, StorageWriter } from "../../src/index.ts";
import type { DurableStore, Purpose, ViewStore } from "./store.ts";

export interface CellarStore extends ViewStore, DurableStore {
  readonly path: string;
  readonly writer: StorageWriter;
  /** Of each blob, its index. */
  readonly indices: Uint32Array;
}

export function cellarStore({ folder, count, sizeBytes }: Purpose, options: CreateOptions = {}): CellarStore {
  const path = join(folder, "blobs.cellar");
  const writer = StorageWriter.create(path, options);
  const indices = new Uint32Array(count);
  const cellsBefore = blobCells(sizeBytes, writer.config.bytesPerCell) - 1;
  const indexOf = (i: number): number => indices[i] ?? 0;
  return {
    path,
    writer,
    indices,
    writeAll(count, blobAt) {
      for (let i = 0; i < count; i++) indices[i] = writer.write(blobAt(i));
      writer.commit();
    },
    read: (i) => writer.read(indexOf(i)),
    // The cells of one chunk are consecutive: its bytes begin where its first cell does.
    view: (i) => writer.bytes(indexOf(i) - cellsBefore, sizeBytes),
    writeDurably(i, blob) {
      indices[i] = writer.write(blob);
      writer.root = indexOf(i);
      writer.flushSync();
    },
    close: () => writer.close(),
  };
}
