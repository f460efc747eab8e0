/** Storages far larger than the disk: a file of holes, whose headers say that they are cells. */

import { closeSync, openSync, truncateSync, writeSync } from "node:fs";
import { encodeHeader } from "../src/format/header.ts";
import { FILE } from "../src/format/layout.ts";
import { StorageWriter } from "../src/index.ts";

const CELL_BYTES = 32;

/** Makes a storage of `sizeBytes` zeros at `path`, closed as a writer leaves it. */
export function forge(path: string, sizeBytes: number): void {
  const writer = StorageWriter.create(path, { bytesPerCell: CELL_BYTES });
  const { writerKey } = writer;
  writer.close();
  const next = Math.floor(sizeBytes / CELL_BYTES);
  truncateSync(path, next * CELL_BYTES);
  const fd = openSync(path, "r+");
  for (const [place, key] of [
    [FILE.disk1, null],
    [FILE.disk2, null],
    [FILE.process1, writerKey],
    [FILE.process2, writerKey],
  ] as const) {
    writeSync(fd, encodeHeader({ next, root: 0 }, key), 0, place.sizeBytes, place.offset);
  }
  closeSync(fd);
}
