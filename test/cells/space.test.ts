/** Disk space: what a blob that did not fit had reserved is free again. */

import { afterAll, describe, expect, test } from "bun:test";
import { statfsSync } from "node:fs";
import { join } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { Disk, mountMemory } from "../crash/survive/disk.ts";
import { requires } from "../crash/survive/requires.ts";
import { Workplace } from "../crash/survive/workplace.ts";
import { useFolder } from "../support/folder.ts";

const MIB = 2 ** 20;
const workplace = new Workplace();
afterAll(() => workplace[Symbol.dispose]());

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

async function* endless(): AsyncGenerator<Uint8Array> {
  for (;;) yield new Uint8Array(MIB).fill(1);
}

/** Writes more than fits, again and again, and sees that the space is there afterwards. */
async function fillAgainAndAgain(folder: string): Promise<void> {
  using writer = StorageWriter.create(join(folder, "a.cellar"));
  writer.root = writer.write(new Uint8Array(10));
  writer.flushSync();
  const free = freeBytes(folder);
  for (let round = 0; round < 3; round++) {
    await expect(writer.writeStream(endless())).rejects.toMatchObject({ code: "DISK_FULL" });
    expect(() => writer.write(new Uint8Array(64 * MIB))).toThrow(expect.objectContaining({ code: "DISK_FULL" }));
    expect(free - freeBytes(folder)).toBeLessThan(MIB);
  }
  // Everything goes on, in the holes too.
  const blob = new Uint8Array(8 * MIB).fill(7);
  const index = writer.write(blob);
  writer.root = index;
  writer.flushSync();
  expect(Buffer.compare(writer.read(index), blob)).toBe(0);
}

describe("a blob that does not fit leaves the disk as free as it was", () => {
  const memory = requires("linux", "root", "mount");
  test.skipIf(!memory.met && !memory.fails)(`in memory${memory.note}`, async () => {
    const mount = mountMemory(workplace, 40 * MIB);
    await fillAgainAndAgain(mount.folder);
    mount.unmount();
  });

  const disk = requires("linux", "root", "mount", "loop", "ext4");
  test.skipIf(!disk.met && !disk.fails)(`on ext4${disk.note}`, async () => {
    const small = new Disk(workplace, workplace.path("small.img"), "ext4", 48 * MIB);
    await fillAgainAndAgain(small.mount.folder);
    small.release();
  });
});

const fresh = useFolder();

test("an upload that is given up leaves what was reserved before it, and a step at most besides", async () => {
  using writer = StorageWriter.create(fresh(), { capacityCells: MIB / 32 });
  expect(writer.stats()).toMatchObject({ reservedBytes: MIB, fileBytes: MIB });
  const { allocatedBytes } = writer.stats();
  const abort = new AbortController();
  let pieces = 0;
  const source = async function* (): AsyncGenerator<Uint8Array> {
    for await (const piece of endless()) {
      yield piece;
      if (++pieces === 20) abort.abort(new Error("given up"));
    }
  };
  await expect(writer.writeStream(source(), { signal: abort.signal })).rejects.toThrow("given up");
  expect(writer.stats().reservedBytes).toBe(MIB);
  // A page at the border, and what the file system needs to remember the hole.
  expect(writer.stats().allocatedBytes - allocatedBytes).toBeLessThan(MIB / 16);
  expect(writer.length).toBe(writer.startIndex);
});
