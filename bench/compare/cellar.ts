/** Cellar itself, with its defaults, by its public names. */

import { join } from "node:path";
import { type CreateOptions, type Storage, StorageWriter } from "../../src/index.ts";
import { NotInThisVersion } from "../lib/row.ts";
import type { Purpose, TransactionStore, ViewStore } from "./store.ts";

/** The bytes of a chunk's footer, as docs/format.md has it. */
const FOOTER_BYTES = 6;

export interface CellarStore extends ViewStore, TransactionStore {
  readonly path: string;
  readonly writer: StorageWriter;
  /** The index of each blob. */
  readonly indices: Uint32Array;
}

export function cellarStore({ folder, count }: Purpose, options: CreateOptions = {}): CellarStore {
  const path = join(folder, "blobs.cellar");
  const writer = StorageWriter.create(path, options);
  const indices = new Uint32Array(count);
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
    view: (i) => writer.chunks(indexOf(i))[0] ?? new Uint8Array(),
    transact(i, blob) {
      indices[i] = writer.write(blob);
      writer.root = indexOf(i);
      writer.commit();
    },
    close: () => writer.close(),
  };
}

/** Each transaction is durable when the call returns. */
export function durableCellarStore(purpose: Purpose): CellarStore {
  const store = cellarStore(purpose);
  const { writer, indices } = store;
  return {
    ...store,
    transact(i, blob) {
      const index = writer.write(blob);
      indices[i] = index;
      writer.root = index;
      writer.flushSync();
    },
  };
}

/** The first cell of a blob of one chunk, for `bytes`. A chunk's cells are consecutive. */
export function firstCellOf(last: number, sizeBytes: number, bytesPerCell: number): number {
  return last + 1 - Math.ceil((sizeBytes + FOOTER_BYTES) / bytesPerCell);
}

type ReadInto = (index: number, target: Uint8Array) => unknown;

/** `readInto` of this version. @throws NotInThisVersion */
export function readIntoOf(storage: Storage): ReadInto {
  const { readInto } = storage as Storage & { readonly readInto?: ReadInto };
  if (readInto === undefined) throw new NotInThisVersion("readInto");
  return readInto.bind(storage);
}

/** Reads by `readInto`, into one buffer that is used again and again. */
export function readIntoStore(purpose: Purpose): CellarStore {
  const store = cellarStore(purpose);
  const readInto = readIntoOf(store.writer);
  const buffer = new Uint8Array(purpose.sizeBytes);
  return {
    ...store,
    read(i) {
      readInto(store.indices[i] ?? 0, buffer);
      return buffer;
    },
  };
}
