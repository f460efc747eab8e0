/** Plain files, blob after blob: by Bun's FileSink, by `writeSync`, and by `writeSync` and `fdatasync`. */

import { closeSync, fdatasyncSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { DirectStore, DurableStore, Purpose } from "./store.ts";

/** Half the time of the default. */
const SINK_BUFFER_BYTES = 1024 * 1024;

export function fileSinkStore({ folder, sizeBytes }: Purpose): DirectStore {
  const path = join(folder, "blobs.sink");
  const sink = Bun.file(path).writer({ highWaterMark: SINK_BUFFER_BYTES });
  const fd = openSync(path, "r");
  return {
    async writeAll(count, blobAt) {
      for (let i = 0; i < count; i++) void sink.write(blobAt(i));
      await sink.end();
    },
    read: (i) => readBlob(fd, i, sizeBytes),
    close: () => closeSync(fd),
  };
}

export function writeSyncStore({ folder, sizeBytes }: Purpose): DurableStore {
  const fd = openSync(join(folder, "blobs.file"), "w+");
  return {
    writeAll(count, blobAt) {
      for (let i = 0; i < count; i++) writeSync(fd, blobAt(i));
    },
    read: (i) => readBlob(fd, i, sizeBytes),
    writeDurably(_i, blob) {
      writeSync(fd, blob);
      fdatasyncSync(fd);
    },
    close: () => closeSync(fd),
  };
}

function readBlob(fd: number, i: number, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  readSync(fd, bytes, 0, sizeBytes, i * sizeBytes);
  return bytes;
}
