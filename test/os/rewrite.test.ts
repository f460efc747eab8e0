/** Writing a file again past the page cache: all of it but holes of zeros. */

import { afterEach, expect, mock, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { constants } from "node:os";
import { SEEK_DATA, SEEK_HOLE } from "../../src/os/constants.ts";
import { isInMemory } from "../../src/os/filesystem.ts";
import { libc } from "../../src/os/libc.ts";
import { rewriteUncached } from "../../src/os/rewrite.ts";
import { codeOf } from "../support/errors.ts";
import { useFolder } from "../support/folder.ts";

const { ENXIO } = constants.errno;
const MIB = 2 ** 20;
const PAGE_BYTES = 4096;
const fresh = useFolder({ spoiled: true });
afterEach(() => mock.restore());

/** A sparse file: `pages` of data in a file of `sizeBytes`, synced. */
function sparse(sizeBytes: number, pages: readonly number[]): string {
  const path = fresh();
  fs.writeFileSync(path, "");
  fs.truncateSync(path, sizeBytes);
  const fd = fs.openSync(path, "r+");
  for (const page of pages)
    fs.writeSync(fd, new Uint8Array(PAGE_BYTES).fill(page + 1), 0, PAGE_BYTES, page * PAGE_BYTES);
  fs.fsyncSync(fd);
  fs.closeSync(fd);
  return path;
}

/** The pages that a rewriting of a range writes. */
function pagesWritten(path: string, fromBytes: number, toBytes: number): number[] {
  const written = new Set<number>();
  const add = (lengthBytes: number, offset: number): void => {
    for (let at = offset; at < offset + lengthBytes; at += PAGE_BYTES) written.add(Math.floor(at / PAGE_BYTES));
  };
  const { writeSync } = fs;
  const direct = spyOn(fs, "writeSync").mockImplementation(((fd: number, bytes: Uint8Array, ...place: number[]) => {
    const [, lengthBytes = 0, offset = 0] = place;
    add(lengthBytes, offset);
    return writeSync(fd, bytes, ...(place as [number, number, number]));
  }) as typeof fs.writeSync);
  const { pwrite } = libc();
  const cached = spyOn(libc(), "pwrite").mockImplementation((fd, bytes, lengthBytes, offset) => {
    add(lengthBytes, offset);
    return pwrite(fd, bytes, lengthBytes, offset);
  });
  const fd = fs.openSync(path, "r+");
  try {
    rewriteUncached(fd, path, fromBytes, toBytes);
  } finally {
    fs.closeSync(fd);
    direct.mockRestore();
    cached.mockRestore();
  }
  return [...written].sort((a, b) => a - b);
}

const onDisk = process.platform === "linux" && !isInMemory(import.meta.dir);
const why = onDisk ? "" : " (skipped: needs Linux and a disk)";

test.skipIf(!onDisk)(`holes of zeros stay holes, everything else is written${why}`, () => {
  const pages = [0, 1, 700, 2047, 2048, 5000];
  const path = sparse(40 * MIB, pages);
  const before = fs.readFileSync(path);
  const { blocks } = fs.statSync(path);
  expect(pagesWritten(path, 0, 40 * MIB)).toEqual(pages);
  expect(fs.statSync(path).blocks).toBe(blocks);
  expect(Buffer.compare(fs.readFileSync(path), before)).toBe(0);
});

test.skipIf(!onDisk)(`only the range is written, with the part of a page at its end${why}`, () => {
  const path = sparse(2 * PAGE_BYTES + 100, [0, 1]);
  fs.appendFileSync(path, "the end");
  const before = fs.readFileSync(path);
  expect(pagesWritten(path, PAGE_BYTES, before.length)).toEqual([1, 2]);
  expect(Buffer.compare(fs.readFileSync(path), before)).toBe(0);
});

test.skipIf(!onDisk)(`data in memory over a hole of the disk is written${why}`, () => {
  const path = sparse(MIB, [3]);
  // As after a write-back that failed: the disk has a hole everywhere, the memory shows a page.
  spyOn(libc(), "lseek").mockImplementation(() => -1);
  spyOn(libc(), "errno").mockImplementation(() => ENXIO);
  expect(pagesWritten(path, 0, MIB)).toContain(3);
});

test.skipIf(!onDisk)(`a device that fails while it is read is an error${why}`, () => {
  const path = sparse(MIB, [3]);
  spyOn(fs, "readSync").mockImplementation(() => {
    throw Object.assign(new Error("EIO"), { errno: -constants.errno.EIO, code: "EIO", syscall: "read" });
  });
  expect(codeOf(() => pagesWritten(path, 0, MIB))).toBe("SYSTEM");
});

test.skipIf(!onDisk)(
  `the position of the descriptor stays at the beginning, where header locks count from${why}`,
  () => {
    const path = sparse(MIB, [3]);
    const fd = fs.openSync(path, "r+");
    try {
      rewriteUncached(fd, path, 0, MIB);
      expect(fs.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")).toMatch(/^pos:\t0$/m);
    } finally {
      fs.closeSync(fd);
    }
  },
);

test.skipIf(!onDisk)(`data that begins and ends within a page is written with its page${why}`, () => {
  const path = sparse(MIB, []);
  fs.writeFileSync(path, new Uint8Array(MIB));
  // As on a file system with blocks of 1 KiB: holes but for one block in the middle of page 3.
  const [from, to] = [3 * PAGE_BYTES + 1024, 3 * PAGE_BYTES + 2048];
  const { lseek } = libc();
  spyOn(libc(), "lseek").mockImplementation((fd, offset, whence) => {
    if (whence === SEEK_DATA) return offset >= to ? -1 : Math.max(offset, from);
    if (whence === SEEK_HOLE) return offset >= from && offset < to ? to : offset;
    return lseek(fd, offset, whence);
  });
  spyOn(libc(), "errno").mockImplementation(() => ENXIO);
  expect(pagesWritten(path, 0, MIB)).toEqual([3]);
});
