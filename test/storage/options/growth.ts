/** Growth: the file's sizes for a step that is chosen, and for none. */

import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { StorageError, StorageWriter } from "../../../src/index.ts";
import { checkConfig } from "../../../src/format/config.ts";
import type { WritableRegion } from "../../../src/region/region.ts";
import { Space } from "../../../src/cells/space.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

interface Growth {
  readonly bytesPerCell: number;
  readonly stepBytes: number;
  readonly maxIndex: number;
  /** Cells to take, one call after the other. */
  readonly takes: readonly number[];
}

/** The sizes that the original's file would have: whole steps, one more than just enough; here never past maxIndex. */
function sizesOf({ bytesPerCell, stepBytes, maxIndex, takes }: Growth): number[] {
  const startIndex = Math.ceil(256 / bytesPerCell);
  const step = Math.max(1, Math.floor(stepBytes / bytesPerCell));
  let length = startIndex;
  let cells = Math.min(Math.max(step, startIndex), maxIndex);
  const sizes = [cells * bytesPerCell];
  for (const count of takes) {
    length += count;
    if (length > cells) cells = Math.min(maxIndex, cells + (Math.floor((length - cells) / step) + 1) * step);
    sizes.push(cells * bytesPerCell);
  }
  return sizes;
}

const growths: readonly Growth[] = [
  { bytesPerCell: 32, stepBytes: 320, maxIndex: 1000, takes: [1, 1, 1, 10, 19, 1, 30, 0x100] },
  { bytesPerCell: 32, stepBytes: 331, maxIndex: 1000, takes: [2, 1, 9, 10, 11] },
  { bytesPerCell: 32, stepBytes: 1, maxIndex: 1000, takes: [1, 1, 2, 5] },
  { bytesPerCell: 32, stepBytes: 320, maxIndex: 25, takes: [2, 1, 10, 4] },
  { bytesPerCell: 32, stepBytes: 32000, maxIndex: 25, takes: [2, 15] },
  { bytesPerCell: 7, stepBytes: 4096, maxIndex: 0xffffffff, takes: [500, 100, 586, 10_000] },
  { bytesPerCell: 65535, stepBytes: MIB, maxIndex: 0xffffffff, takes: [14, 1, 1, 40] },
];

/** A region that only notes how long it was made. */
function regionOf(sizeBytes: number, grown: number[], room: number): WritableRegion {
  const region = {
    path: "a region",
    sizeBytes,
    grow(_fromBytes: number, toBytes: number): void {
      if (toBytes > room) throw new StorageError("DISK_FULL", "no room");
      grown.push(toBytes - region.sizeBytes);
      region.sizeBytes = toBytes;
    },
    deallocate(): void {},
  };
  return region as unknown as WritableRegion;
}

export function growthTests(fresh: () => string): void {
  test.each(growths)("steps of $stepBytes bytes for cells of $bytesPerCell: the sizes of the original", (growth) => {
    const { bytesPerCell, stepBytes, maxIndex, takes } = growth;
    using writer = StorageWriter.create(fresh(), { bytesPerCell, maxIndex, resizeStepBytes: stepBytes });
    const sizes = [fs.statSync(writer.path).size];
    for (const count of takes) {
      if (writer.length + count > maxIndex) expect(() => writer.allocate(count)).toThrow(StorageError);
      else writer.allocate(count);
      sizes.push(fs.statSync(writer.path).size);
    }
    const inside = takes.filter((_, i) => sum(takes.slice(0, i + 1)) + Math.ceil(256 / bytesPerCell) <= maxIndex);
    expect(sizes.slice(0, inside.length + 1)).toEqual(sizesOf({ ...growth, takes: inside }));
    expect(new Set(sizes.slice(inside.length)).size).toBe(1);
  });

  test("without a step the file doubles, by 64 KiB at least and 64 MiB at most", () => {
    const config = checkConfig({ headString: "", version: 1, bytesPerCell: 32, maxIndex: 0xffffffff });
    const grown: number[] = [];
    const space = new Space(regionOf(64 * KIB, grown, Infinity), config, null, 8, () => undefined);
    // One window of 4 KiB after the other, to 1 GiB.
    for (let cells = 8; cells * 32 < 1024 * MIB; cells += 128) space.ensure(cells + 128);
    expect(Math.min(...grown)).toBe(0);
    const steps = grown.filter((bytes) => bytes > 0);
    expect(steps[0]).toBe(64 * KIB);
    expect(Math.max(...steps)).toBe(64 * MIB);
    let sizeBytes = 64 * KIB;
    for (const bytes of steps) {
      expect(bytes).toBeGreaterThanOrEqual(64 * KIB);
      expect(bytes).toBeLessThanOrEqual(sizeBytes);
      sizeBytes += bytes;
    }
    expect(steps.length).toBeLessThan(40);
  });

  test("one call may take more than a step", () => {
    const config = checkConfig({ headString: "", version: 1, bytesPerCell: 32, maxIndex: 0xffffffff });
    const space = new Space(regionOf(64 * KIB, [], Infinity), config, null, 8, () => undefined);
    space.ensure(2 ** 30 + 8);
    expect(space.reserved).toBe(2 ** 30 + 8);
  });

  test("with less room than a step, takes what there is", () => {
    const config = checkConfig({ headString: "", version: 1, bytesPerCell: 32, maxIndex: 0xffffffff });
    const space = new Space(regionOf(320, [], 3200), config, 64 * KIB, 10, () => undefined);
    for (let cells = 11; cells <= 100; cells++) space.ensure(cells);
    expect(() => space.ensure(101)).toThrow(StorageError);
    expect(space.reserved).toBe(100);
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
