/** Plain files, blob after blob, in the ways that a program without a library would take. */

import { closeSync, fdatasyncSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Purpose, Store, TransactionStore, ViewStore } from "./store.ts";

/** Half the time of the default. */
const SINK_BUFFER_BYTES = 1024 * 1024;
/** As Cellar's own. */
const APPEND_BUFFER_BYTES = 256 * 1024;

/** Bun's FileSink. */
export function fileSinkStore({ folder, sizeBytes }: Purpose): Store {
  const path = join(folder, "blobs.sink");
  const sink = Bun.file(path).writer({ highWaterMark: SINK_BUFFER_BYTES });
  const fd = openSync(path, "r");
  return {
    async writeAll(count, blobAt) {
      for (let i = 0; i < count; i++) void sink.write(blobAt(i));
      await sink.end();
    },
    read: (i) => readNew(fd, i * sizeBytes, sizeBytes),
    close: () => closeSync(fd),
  };
}

/** `fs.writeSync` and `fs.readSync`, a call for each blob. A transaction is a write, and a sync if it is to be durable. */
export function writeSyncStore(
  { folder, sizeBytes }: Purpose,
  { durable = true }: { readonly durable?: boolean } = {},
): TransactionStore {
  const fd = openSync(join(folder, "blobs.file"), "w+");
  return {
    writeAll(count, blobAt) {
      for (let i = 0; i < count; i++) writeSync(fd, blobAt(i));
    },
    read: (i) => readNew(fd, i * sizeBytes, sizeBytes),
    transact(_i, blob) {
      writeSync(fd, blob);
      if (durable) fdatasyncSync(fd);
    },
    close: () => closeSync(fd),
  };
}

export interface AppendStore extends Store {
  readonly path: string;
  readonly fd: number;
  /** Where each blob begins; one more at the end. */
  readonly offsets: Float64Array;
}

/** Appends through a buffer, and keeps where each blob begins in a table. */
export function appendStore({ folder, count }: Purpose): AppendStore {
  const path = join(folder, "blobs.append");
  const fd = openSync(path, "w+");
  const offsets = new Float64Array(count + 1);
  const buffer = new Uint8Array(APPEND_BUFFER_BYTES);
  let filled = 0;
  const drain = (): void => {
    if (filled > 0) writeSync(fd, buffer, 0, filled);
    filled = 0;
  };
  const append = (blob: Uint8Array): void => {
    if (filled + blob.length > buffer.length) drain();
    if (blob.length > buffer.length) return void writeSync(fd, blob);
    buffer.set(blob, filled);
    filled += blob.length;
  };
  const offsetOf = (i: number): number => offsets[i] ?? 0;
  return {
    path,
    fd,
    offsets,
    writeAll(count, blobAt) {
      for (let i = 0; i < count; i++) {
        const blob = blobAt(i);
        append(blob);
        offsets[i + 1] = offsetOf(i) + blob.length;
      }
      drain();
    },
    read: (i) => readNew(fd, offsetOf(i), offsetOf(i + 1) - offsetOf(i)),
    close: () => closeSync(fd),
  };
}

/** The same, read into one buffer that is used again and again. */
export function reusedBufferStore(purpose: Purpose): Store {
  const store = appendStore(purpose);
  const { fd, offsets } = store;
  const buffer = new Uint8Array(purpose.sizeBytes);
  return {
    ...store,
    read(i) {
      readSync(fd, buffer, 0, buffer.length, offsets[i] ?? 0);
      return buffer;
    },
  };
}

/** The same, mapped by `Bun.mmap` once it is written. */
export function mmapStore(purpose: Purpose): ViewStore {
  const store = appendStore(purpose);
  const { path, offsets } = store;
  let mapped = new Uint8Array();
  return {
    ...store,
    settle: () => void (mapped = Bun.mmap(path, { shared: true })),
    read: (i) => mapped.slice(offsets[i], offsets[i + 1]),
    view: (i) => mapped.subarray(offsets[i], offsets[i + 1]),
  };
}

function readNew(fd: number, offset: number, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  readSync(fd, bytes, 0, sizeBytes, offset);
  return bytes;
}
