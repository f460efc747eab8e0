/** Files to spoil: one that was closed, one whose writer was killed after a commit, both with blobs of several chunks. */

import { readFileSync } from "node:fs";
import { StorageWriter } from "../../../src/index.ts";

export interface Subject {
  readonly bytes: Uint8Array;
  readonly blobs: readonly number[];
}

/** A file as `close` leaves it. */
export function closedFile(path: string): Subject {
  const writer = StorageWriter.create(path, {
    headString: "FUZZ",
    capacityCells: 8300,
    writerKey: new Uint8Array(32).fill(1),
  });
  const blobs = [0, 1, 26, 27, 300, 65535, 65536, 140000].map((size, i) => writer.write(bytesOf(size, i)));
  writer.root = blobs.at(-1) ?? null;
  writer.flushSync();
  writer.root = writer.write(bytesOf(50, 9));
  writer.close();
  return { bytes: new Uint8Array(readFileSync(path)), blobs };
}

/** A file as a kill leaves it: the last commit is proven by its record, and was never flushed. */
export function killedFile(path: string): Subject {
  using writer = StorageWriter.create(path, { bytesPerCell: 36, resizeStepBytes: 4096 });
  const flushed = [10, 900].map((size, i) => writer.write(bytesOf(size, i)));
  writer.root = flushed[1] ?? null;
  writer.flushSync();
  const committed = [100, 2000].map((size, i) => writer.write(bytesOf(size, i + 2)));
  writer.root = committed[1] ?? null;
  writer.commit();
  writer.write(bytesOf(64, 7));
  return { bytes: new Uint8Array(readFileSync(path)), blobs: [...flushed, ...committed] };
}

function bytesOf(size: number, seed: number): Uint8Array {
  return new Uint8Array(size).map((_, i) => seed * 31 + i * 7 + (i >> 8));
}
