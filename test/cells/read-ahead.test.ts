/** Blobs that are not in the page cache: few reads of the disk for a blob, and none that nothing asked for. */

import { describe, expect, test } from "bun:test";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { useFolder } from "../support/folder.ts";
import { pattern } from "../support/outcomes.ts";

const file = useFolder();
const PAGE_BYTES = 4096;
const MIB = 1024 * 1024;

const pageOf = (offset: number): number => Math.floor(offset / PAGE_BYTES);

/** Bytes of a file that are in the page cache; undefined where that cannot be told. */
function cachedBytes(path: string): number | undefined {
  if (Bun.which("fincore") === null) return undefined;
  const { exitCode, stdout } = Bun.spawnSync(["fincore", "--bytes", "--noheadings", "--output", "RES", path]);
  return exitCode === 0 ? Number(stdout.toString()) : undefined;
}

/** Takes a file out of the page cache. */
function drop(path: string): void {
  Bun.spawnSync(["dd", `of=${path}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"]);
}

/** Blobs in a file that is not in the page cache. */
function cold(
  blobs: readonly Uint8Array[],
  path: string = file(),
): { readonly path: string; readonly indices: readonly number[] } {
  using writer = StorageWriter.create(path);
  const indices = blobs.map((blob) => writer.write(blob));
  writer.root = indices.at(-1) ?? null;
  writer.close();
  drop(path);
  return { path, indices };
}

/** A file system in memory keeps its pages. */
function canDrop(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "cellar-test-"));
  const { path } = cold([pattern(MIB, 1)], join(folder, "probe.cellar"));
  const left = cachedBytes(path);
  rmSync(folder, { recursive: true });
  return left !== undefined && left < MIB / 2;
}

const met = process.platform === "linux" && canDrop();
const note = met ? "" : " (skipped: no fincore, or a file system in memory)";

describe.skipIf(!met)(`not in the page cache${note}`, () => {
  const blobs = Array.from({ length: 6 }, (_, i) => pattern(MIB + i, i));

  test.each<[string, (reader: StorageReader, index: number) => unknown]>([
    ["read", (reader, index) => reader.read(index)],
    ["readInto", (reader, index) => reader.readInto(index, new Uint8Array(2 * MIB))],
    ["chunks", (reader, index) => reader.chunks(index).map((chunk) => Bun.hash.crc32(chunk))],
    ["stream", (reader, index) => new Response(reader.stream(index)).bytes()],
  ])("%s takes a few faults for a blob of 257 pages", async (_name, use) => {
    const { path, indices } = cold(blobs);
    using reader = StorageReader.open(path);
    // The code is loaded by the first.
    for (const [i, index] of indices.entries()) {
      const before = process.resourceUsage().majorPageFault;
      await use(reader, index);
      if (i > 0) expect(process.resourceUsage().majorPageFault - before).toBeLessThan(64);
    }
    for (const [i, index] of indices.entries())
      expect(Buffer.compare(reader.read(index), blobs[i] ?? new Uint8Array())).toBe(0);
  });

  test("small blobs that cross the end of a page are read at once, after the first ones", () => {
    // In cells of 32 bytes, every second blob lies on two pages. The pages of the chosen ones have no other of them.
    const small = Array.from({ length: 2048 }, (_, i) => pattern(2042, i));
    const { path, indices } = cold(small);
    using reader = StorageReader.open(path);
    const crossing = indices.filter((index, i) => i % 8 === 1 && pageOf(index * 32 - 2016) !== pageOf(index * 32));
    expect(crossing.length).toBeGreaterThan(100);
    const before = process.resourceUsage().majorPageFault;
    for (const index of crossing) expect(reader.read(index)).toHaveLength(2042);
    // Page by page it would be 2 faults for each.
    expect(process.resourceUsage().majorPageFault - before).toBeLessThan(1.5 * crossing.length);
  });

  test("of short blobs one in four is touched, and those after a cold one are read ahead", () => {
    const short = Array.from({ length: 64 }, (_, i) => pattern(20_000, i));
    const { path, indices } = cold(short);
    using reader = StorageReader.open(path);
    const before = process.resourceUsage().majorPageFault;
    const read = indices.toReversed().map((index) => reader.read(index));
    // Page by page it would be 5 faults for each.
    expect(process.resourceUsage().majorPageFault - before).toBeLessThan(3 * short.length);
    expect(read.toReversed()).toEqual(short);
  });

  test("opening proves a commit, and copyTo copies, with few faults for 4096 pages", async () => {
    using writer = StorageWriter.create(file());
    writer.root = writer.write(pattern(16 * MIB, 1));
    writer.commit();
    // As a kill leaves it.
    const path = file();
    copyFileSync(writer.path, path);
    drop(path);
    const before = process.resourceUsage().majorPageFault;
    using reader = StorageReader.open(path, { follow: "commits" });
    expect(reader.root).toBe(writer.root);
    const opened = process.resourceUsage().majorPageFault;
    expect(opened - before).toBeLessThan(400);
    drop(path);
    await reader.copyTo(file());
    expect(process.resourceUsage().majorPageFault - opened).toBeLessThan(400);
  });

  test("single cells, and small blobs, are a page or two", () => {
    const { path } = cold(blobs);
    const reader = StorageReader.open(path);
    const { length } = reader;
    const before = cachedBytes(path) ?? 0;
    let accesses = 0;
    for (let index = 5000; index < length; index += 7919) {
      reader.u32(index, 0);
      reader.cell(index)[0];
      accesses++;
    }
    expect((cachedBytes(path) ?? 0) - before).toBeLessThanOrEqual(2 * accesses * PAGE_BYTES);
    reader.close();
    const small = cold(Array.from({ length: 3000 }, (_, i) => pattern(1000, i)));
    using another = StorageReader.open(small.path);
    const start = cachedBytes(small.path) ?? 0;
    for (const index of small.indices.filter((_, i) => i % 100 === 50)) another.read(index);
    expect((cachedBytes(small.path) ?? 0) - start).toBeLessThanOrEqual(2 * 30 * PAGE_BYTES);
  });
});
