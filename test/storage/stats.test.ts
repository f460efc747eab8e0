/** The numbers that a storage tells of itself are those of the file, and count what was done. */

import { describe, expect, spyOn, test } from "bun:test";
import { statSync, truncateSync } from "node:fs";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { stubbed } from "../support/process-stub-store.ts";
import { until } from "../support/process-until.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder();
const MIB = 1024 * 1024;

/** A timer of the same clock may be late, never early. */
async function laterMs(begunAt: number): Promise<number> {
  await until("the clock has moved", () => performance.now() - begunAt > 2);
  return performance.now() - begunAt;
}

describe("of a writer", () => {
  test("cells and bytes are those of the storage and of the file", () => {
    using writer = StorageWriter.create(file(), { bytesPerCell: 100 });
    for (const lengthBytes of [0, 10, 3 * MIB]) {
      writer.write(new Uint8Array(lengthBytes));
      const stats = writer.stats();
      const { size, blocks } = statSync(writer.path);
      expect(stats).toMatchObject({ mode: "writer", cells: writer.length, usedBytes: writer.byteLength });
      expect(stats).toMatchObject({ fileBytes: size, allocatedBytes: blocks * 512 });
      expect(stats.reservedBytes).toBeGreaterThanOrEqual(stats.usedBytes);
      expect(stats.reservedBytes).toBeLessThanOrEqual(stats.fileBytes);
      expect(stats.reservedBytes % 100).toBe(0);
    }
  });

  test("reserved is what can be given out without growing", () => {
    using writer = StorageWriter.create(file(), { resizeStepBytes: MIB });
    writer.write(new Uint8Array(MIB));
    const { reservedBytes, usedBytes, fileBytes } = writer.stats();
    writer.allocate((reservedBytes - usedBytes) / 32);
    expect(writer.stats()).toMatchObject({ reservedBytes, fileBytes });
    writer.allocate();
    expect(writer.stats().reservedBytes).toBeGreaterThan(reservedBytes);
    expect(writer.stats().fileBytes).toBeGreaterThan(fileBytes);
  });

  test("commits and flushes are counted from opening on", async () => {
    using writer = StorageWriter.create(file());
    const before = writer.stats();
    expect(before.flushes.count).toBe(1);
    writer.write(new Uint8Array(100));
    writer.commit();
    writer.commit();
    expect(writer.stats()).toMatchObject({ commits: before.commits + 2, unflushedCells: 4 });
    writer.flushSync();
    expect(writer.stats()).toMatchObject({ commits: before.commits + 3, unflushedCells: 0 });
    const flushMore = (): Promise<unknown> => {
      writer.write(new Uint8Array(1));
      return writer.flush();
    };
    await Promise.all([flushMore(), flushMore(), flushMore()]);
    const after = writer.stats();
    // Three calls, one of which ran, and the others shared the next, with one commit.
    expect([after.commits, after.flushes.count]).toEqual([before.commits + 5, 4]);
    await writer.flush();
    // It has nothing to show that is new.
    expect(writer.stats().commits).toBe(after.commits);
  });

  test("a flush takes time, and grows old", async () => {
    using writer = StorageWriter.create(file());
    const { totalMs } = writer.stats().flushes;
    for (const flush of [() => writer.flush(), () => Promise.resolve(writer.flushSync())]) {
      const before = writer.stats().flushes;
      const begunAt = performance.now();
      writer.write(new Uint8Array(MIB));
      await flush();
      const tookMs = performance.now() - begunAt;
      const { lastMs, totalMs, ageMs } = writer.stats().flushes;
      expect(lastMs).toBeGreaterThan(0);
      expect(lastMs).toBeLessThanOrEqual(tookMs);
      expect(totalMs).toBeCloseTo(before.totalMs + lastMs, 6);
      expect(ageMs).toBeLessThanOrEqual(performance.now() - begunAt - lastMs);
    }
    expect(writer.stats().flushes.totalMs).toBeGreaterThan(totalMs);
    const endedAt = performance.now();
    const sinceMs = await laterMs(endedAt);
    expect(writer.stats().flushes.ageMs).toBeGreaterThanOrEqual(sinceMs);
  });

  test.each(["flush", "flushSync"] as const)("the commit of a %s is not in its time", async (name) => {
    const { region, publisher, header } = stubbed();
    let nowMs = 0;
    const clock = spyOn(performance, "now").mockImplementation(() => nowMs);
    const commit = publisher.commit.bind(publisher);
    spyOn(publisher, "commit").mockImplementation((state) => {
      nowMs += 1000;
      commit(state);
    });
    for (const method of ["sync", "syncLater"] as const) {
      const original: () => void = region[method].bind(region);
      spyOn(region, method).mockImplementation((): never => {
        nowMs += 10;
        return original() as never;
      });
    }
    await publisher[name](header(3));
    clock.mockRestore();
    expect(publisher.metrics.flushes.lastMs).toBe(20);
  });

  test("windows are counted while their views live, and truncations", () => {
    using writer = StorageWriter.create(file());
    expect(writer.stats()).toMatchObject({ windows: 0, truncations: 0 });
    const view = writer.cell(writer.allocate());
    expect(writer.stats().windows).toBe(1);
    writer.truncate();
    expect(writer.stats()).toMatchObject({ windows: 1, truncations: 1, cells: 8, unflushedCells: 0 });
    expect(view).toHaveLength(32);
  });

  test("recovery is what opening found", () => {
    const path = file();
    StorageWriter.create(path).close();
    using writer = StorageWriter.open(path);
    expect(writer.stats().recovery).toEqual(writer.recovery);
  });

  test("in memory nothing is on the disk", () => {
    using writer = StorageWriter.inMemory();
    writer.write(new Uint8Array(MIB));
    const { fileBytes, reservedBytes, ...rest } = writer.stats();
    expect(rest).toMatchObject({ cells: writer.length, usedBytes: writer.byteLength, allocatedBytes: 0, windows: 0 });
    expect(reservedBytes).toBeGreaterThanOrEqual(writer.byteLength);
    expect(fileBytes).toBeGreaterThanOrEqual(reservedBytes);
  });
});

test("of a reader they are those of what it shows, and of the file as it is now", () => {
  using writer = StorageWriter.create(file());
  using reader = StorageReader.open(writer.path);
  const { length, byteLength } = reader;
  writer.write(new Uint8Array(3 * MIB));
  writer.flushSync();
  const { size, blocks } = statSync(writer.path);
  const shown = {
    mode: "reader",
    cells: length,
    usedBytes: byteLength,
    follows: "flushes",
    windows: 0,
    truncations: 0,
    fileGone: false,
  };
  expect(reader.stats()).toEqual({ ...shown, fileBytes: size, allocatedBytes: blocks * 512 } as never);
  reader.refresh();
  const view = reader.cell(8);
  expect(reader.stats()).toMatchObject({ cells: writer.length, usedBytes: writer.byteLength, windows: 1 });
  expect(view).toHaveLength(32);
});

test("of a file that another program cut they tell its size", () => {
  const path = file();
  const writer = StorageWriter.create(path);
  writer.write(new Uint8Array(MIB));
  writer.close();
  using reader = StorageReader.open(path);
  truncateSync(path, 4096);
  expect(reader.stats()).toMatchObject({ fileBytes: 4096, cells: reader.length });
  truncateSync(path, reader.byteLength);
});
