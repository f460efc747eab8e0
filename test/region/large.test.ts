/**
 * Storages past 4 GiB and past 1 TiB, in sparse files with a header made by hand: at the edges of windows, at 2^31
 * and 2^32 bytes, at the highest index, and as far out as the file system allows. They take little disk and time.
 */

import { describe, expect, test } from "bun:test";
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { forge, storePattern } from "../support/process-forge.ts";
import type { Job } from "../support/process-large.ts";
import { differences } from "../support/process-pattern.ts";
import { run } from "../support/process-run.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder();
const program = join(import.meta.dir, "../support/process-large.ts");
const MAX_INDEX = 2 ** 32 - 1;
const WINDOW_BYTES = 2 ** 20;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
const TIB = 2 ** 40;
/** What files on disk take is measured in these. */
const BLOCK_BYTES = 512;

const fileLimitBytes = largestFileBytes();
/** The most whole cells of 65535 bytes that a file may have here. */
const mostCells = Math.floor(fileLimitBytes / 65535);

/** Sizes are tried from the largest that a storage can have: 2^32 cells of 65535 bytes. */
function largestFileBytes(): number {
  const folder = mkdtempSync(join(tmpdir(), "cellar-limit-"));
  const fd = openSync(join(folder, "file"), "w");
  try {
    let sizeBytes = 2 ** 48;
    while (sizeBytes > GIB && !canHave(fd, sizeBytes)) sizeBytes /= 2;
    // ext4 stops a block before its power of two, which `sizeBytes` may be half of.
    return canHave(fd, 2 * sizeBytes - 4096) ? 2 * sizeBytes - 4096 : sizeBytes;
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
}

function canHave(fd: number, sizeBytes: number): boolean {
  try {
    ftruncateSync(fd, sizeBytes);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EFBIG") return false;
    throw error;
  }
}

/** Does the jobs in a process of their own, and answers what came out of each. */
async function launch(scenario: string, ...jobs: readonly Job[]): Promise<unknown[]> {
  const { results } = await run(program, scenario, JSON.stringify(jobs));
  return results as unknown[];
}

/** A file of `next` cells that are holes but around the offsets. */
function makeFile(bytesPerCell: number, next: number, offsets: readonly number[]): string {
  const path = file();
  forge(path, { bytesPerCell, maxIndex: MAX_INDEX, next });
  storePattern(path, offsets, bytesPerCell);
  return path;
}

const geometries = [
  { bytesPerCell: 32, cells: MAX_INDEX },
  { bytesPerCell: 100, cells: MAX_INDEX },
  { bytesPerCell: 65535, cells: Math.min(MAX_INDEX, mostCells) },
];

describe.each(geometries)("with cells of $bytesPerCell bytes", ({ bytesPerCell, cells }) => {
  const sizeBytes = cells * bytesPerCell;
  const why = sizeBytes > fileLimitBytes ? ` (skipped: needs files of ${sizeBytes} bytes)` : "";
  const offsets = [
    WINDOW_BYTES,
    2 ** 31 - WINDOW_BYTES,
    2 ** 31,
    2 ** 31 + WINDOW_BYTES,
    2 ** 32,
    2 ** 32 + WINDOW_BYTES,
  ];
  offsets.push(2 ** 36, ...(sizeBytes > TIB ? [TIB, 4 * TIB] : []), sizeBytes - 1);
  const far = offsets.filter((offset) => offset < sizeBytes);

  test.skipIf(why !== "")(`a reader sees every cell${why}`, async () => {
    const path = makeFile(bytesPerCell, cells, far);
    expect(await launch("read", { path, offsets: far })).toEqual([{ wrong: [], past: "INDEX_OUT_OF_RANGE" }]);
    expect(statSync(path).blocks * BLOCK_BYTES).toBeLessThan(8 * MIB);
  });

  /** Two full chunks and the rest, as a blob of 150,000 bytes is cut. */
  const blobCells = 2 * Math.ceil((65535 + 6) / bytesPerCell) + Math.ceil((18930 + 6) / bytesPerCell);

  test.skipIf(why !== "")(`a writer goes on anywhere, and its blobs cross every edge${why}`, async () => {
    const firsts = far.slice(0, -1).map((offset) => Math.floor(offset / bytesPerCell) - Math.floor(blobCells / 2));
    const files = [...firsts, cells - blobCells - 4].map((first) => {
      return { path: makeFile(bytesPerCell, first, []), first, blob: first + blobCells, cells: first + blobCells + 1 };
    });
    const written = files.map(({ first, blob, cells }) => {
      return { first, blob, cells, zero: true, wrong: [0, 0, 0, 0], length: cells + 3 };
    });
    expect(await launch("write", ...files)).toEqual(written);
    const read = files.map(({ blob, cells }) => ({ root: blob, length: cells + 3, wrong: [0, 0, 0, 0] }));
    expect(await launch("readBack", ...files.map(({ path, ...place }) => ({ path, written: place })))).toEqual(read);
    for (const { path, first, cells } of files) {
      expect(differencesInFile(path, (first + 1) * bytesPerCell, first, 65535)).toBe(0);
      expect(differencesInFile(path, cells * bytesPerCell, cells * bytesPerCell, 3 * bytesPerCell)).toBe(0);
      expect(statSync(path).blocks * BLOCK_BYTES).toBeLessThan(8 * MIB);
    }
  });

  test.skipIf(why !== "")(`a writer takes the last cell, and no more${why}`, async () => {
    const path = makeFile(bytesPerCell, cells - 3, []);
    const code = cells === MAX_INDEX ? "INDEX_OVERFLOW" : "DISK_FULL";
    expect(await launch("fill", { path })).toEqual([
      { tooMany: code, first: cells - 3, full: code, length: cells, last: bytesPerCell },
    ]);
  });
});

describe("what has grown past the memory that was mapped", () => {
  const why = fileLimitBytes < 2 * TIB ? " (skipped: needs files of 2 TiB)" : "";

  test.skipIf(why !== "")(`is mapped again by a reader, and old views stay good${why}`, async () => {
    const offsets = [8192, 2 ** 32];
    const path = makeFile(4096, 2 ** 38 / 4096, offsets);
    expect(await launch("outgrow", { path, offsets })).toEqual([{ refreshed: true, wrong: [], old: 0, more: true }]);
  });

  test.skipIf(why !== "")(`is mapped again by a writer's region, and old views stay good${why}`, async () => {
    const path = makeFile(4096, 65536 / 4096, []);
    expect(await launch("outgrowRegion", { path })).toEqual([
      { moved: true, old: 0, shown: 99, left: [0, 0], mappings: 0 },
    ]);
  });
});

/** Compares a part of a file, read with no help of the library, with the bytes of other offsets. */
function differencesInFile(path: string, position: number, offset: number, count: number): number {
  const bytes = new Uint8Array(count);
  const fd = openSync(path, "r");
  readSync(fd, bytes, 0, count, position);
  closeSync(fd);
  return differences(bytes, offset);
}
