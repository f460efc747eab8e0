/** Storages far larger than the disk: a file of holes, whose headers call them cells. Written from docs/format.md. */

import { closeSync, openSync, truncateSync, writeSync } from "node:fs";
import { blake2b } from "@noble/hashes/blake2.js";
import { StorageWriter } from "../../src/index.ts";

const CELL_BYTES = 32;
const HASH = { dkLen: 12 };
/** Both copies of the disk-sync header, then those of the process-sync header. */
const COPIES = [
  { offset: 32, keyed: false },
  { offset: 64, keyed: false },
  { offset: 96, keyed: true },
  { offset: 128, keyed: true },
] as const;

/** Makes a storage of `sizeBytes` zeros at `path`, closed as a writer leaves it. */
export function forge(path: string, sizeBytes: number): void {
  const writer = StorageWriter.create(path, { bytesPerCell: CELL_BYTES });
  const { writerKey } = writer;
  writer.close();
  const next = Math.floor(sizeBytes / CELL_BYTES);
  truncateSync(path, next * CELL_BYTES);
  const fd = openSync(path, "r+");
  for (const { offset, keyed } of COPIES) {
    writeSync(fd, headerCopy(next, keyed ? writerKey : null), 0, CELL_BYTES, offset);
  }
  closeSync(fd);
}

/** `hash`, `keyedHash`, a root of 0, and the length. */
function headerCopy(next: number, key: Uint8Array | null): Uint8Array {
  const copy = new Uint8Array(32);
  new DataView(copy.buffer).setUint32(28, next, true);
  const hashed = copy.subarray(24);
  copy.set(blake2b(hashed, HASH), 0);
  copy.set(key === null ? blake2b(hashed, HASH) : blake2b(Uint8Array.of(...key, ...hashed), HASH), 12);
  return copy;
}
