/**
 * What an open reader makes of header areas that follow one another, as a writer leaves them between its stores: the
 * state that it shows never goes back but for a truncation, and that is counted no later than it is seen.
 */

import { describe, expect, test } from "bun:test";
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { StorageReader } from "../../src/index.ts";
import type { ReadableRegion } from "../../src/region/region.ts";
import { openReaderFile } from "../../src/store/files.ts";
import { Follower } from "../../src/state/follower.ts";
import * as image from "../support/image.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder({ spoiled: true });
const CELLS = 1000;
const START = 8;

const state = (next: number): image.State => ({ next, root: 0 });
/** A record that tells of `next`; its count is twice that of the truncations, and odd while one is under way. */
const record = (next: number, base: number, sequence: number, truncations: number): image.Proof => {
  return { next, root: 0, base, cellsCrc: 0, sequence, truncations };
};

interface Step {
  readonly what: string;
  readonly area: image.Area;
  /** Length, and count of truncations. */
  readonly shows: readonly [number, number];
}

function area(
  disk: readonly [number, number],
  process: number,
  records: NonNullable<image.Area["records"]>,
): image.Area {
  return { disk: [state(disk[0]), state(disk[1])], process: [state(process), state(process)], records };
}

/** Opens a reader at the first step, and stores the others under it. */
function follow(wanted: "flushes" | "commits", steps: readonly Step[]): void {
  const path = fresh();
  const [first, ...later] = steps;
  if (first === undefined) throw new Error("no steps");
  writeFileSync(path, image.fileOf(first.area, CELLS));
  const fd = openSync(path, "r+");
  try {
    using reader = StorageReader.open(path, { follow: wanted });
    expect([first.what, reader.length, reader.truncations]).toEqual([first.what, ...first.shows]);
    let before = first.shows;
    for (const { what, area: next, shows } of later) {
      writeSync(fd, image.headerArea(next), 0, image.AREA_BYTES, 0);
      const isNew = reader.refresh();
      expect([what, reader.length, reader.truncations]).toEqual([what, ...shows]);
      expect([what, isNew]).toEqual([what, before[0] !== shows[0] || before[1] !== shows[1]]);
      before = shows;
    }
  } finally {
    closeSync(fd);
  }
}

describe("a reader of flushes", () => {
  test("that looks while a record is stored sees the truncation when it is whole", () => {
    const path = fresh();
    // A flush under way, over the same copy 2 that the truncation will leave.
    const flushed = [record(50, START, 3, 0), record(START, START, 2, 0)] as const;
    writeFileSync(path, image.fileOf(area([50, START], 50, flushed), CELLS));
    const fd = openSync(path, "r+");
    try {
      using reader = StorageReader.open(path, { follow: "flushes" });
      expect([reader.length, reader.truncations]).toEqual([50, 0]);
      const underWay = record(START, START, 6, 1);
      const done = record(START, START, 7, 2);
      const emptied = image.headerArea(area([START, START], START, [done, underWay]));
      // All of the record but its CRC.
      writeSync(fd, emptied.subarray(0, image.OFFSET.record1 + 28), 0, image.OFFSET.record1 + 28, 0);
      writeSync(fd, emptied.subarray(image.OFFSET.record2), 0, 32, image.OFFSET.record2);
      reader.refresh();
      writeSync(fd, emptied, 0, image.AREA_BYTES, 0);
      expect(reader.refresh()).toBe(true);
      expect([reader.length, reader.truncations]).toEqual([START, 1]);
      expect(reader.refresh()).toBe(false);
    } finally {
      closeSync(fd);
    }
  });

  test("that opened at a flush under way does not go back when another overtakes it", () => {
    const records = [record(200, 50, 1, 10), record(100, 50, 2, 10)] as const;
    follow("flushes", [
      { what: "copy 1 of the first", area: area([100, 50], 100, records), shows: [100, 5] },
      { what: "a commit", area: area([100, 50], 300, [record(300, 50, 3, 10), records[1]]), shows: [100, 5] },
      {
        what: "copy 1 of the second",
        area: area([300, 50], 300, [record(300, 50, 3, 10), records[1]]),
        shows: [100, 5],
      },
      { what: "copy 2 of it", area: area([300, 300], 300, [record(300, 50, 3, 10), records[1]]), shows: [300, 5] },
    ]);
  });

  test("that opened at a flush under way sees that all was truncated, though copy 2 is what it was", () => {
    follow("flushes", [
      { what: "copy 1", area: area([500, START], 500, [record(500, START, 1, 10), null]), shows: [500, 5] },
      {
        what: "emptied, and written again",
        area: area([START, START], 900, [record(START, START, 3, 12), record(900, START, 4, 12)]),
        shows: [START, 6],
      },
    ]);
  });

  test("counts a truncation that it sees while the next one is under way", () => {
    const next = [record(START, START, 5, 13), record(START, START, 6, 13)] as const;
    const done = [record(START, START, 7, 14), next[1]] as const;
    follow("flushes", [
      { what: "before", area: area([500, 500], 500, [record(500, 500, 1, 10), null]), shows: [500, 5] },
      { what: "truncated, refilled, the next is under way", area: area([100, 100], START, next), shows: [100, 6] },
      { what: "its header", area: area([START, START], START, next), shows: [START, 7] },
      { what: "the next is done", area: area([START, START], START, done), shows: [START, 7] },
    ]);
  });

  test("counts a truncation when its header is there, not when its first record is", () => {
    const old = record(500, 400, 1, 10);
    const first = record(START, START, 2, 11);
    const second = record(START, START, 3, 11);
    const last = record(START, START, 4, 12);
    follow("flushes", [
      { what: "before", area: area([500, 500], 500, [old, null]), shows: [500, 5] },
      { what: "one record", area: area([500, 500], 500, [old, first]), shows: [500, 5] },
      { what: "both records", area: area([500, 500], START, [second, first]), shows: [500, 5] },
      { what: "copy 1", area: area([START, 500], START, [second, first]), shows: [500, 5] },
      { what: "copy 2", area: area([START, START], START, [second, first]), shows: [START, 6] },
      { what: "the last record", area: area([START, START], START, [second, last]), shows: [START, 6] },
    ]);
  });

  test("takes copy 1 when copy 2 is torn", () => {
    const records = [record(100, 50, 1, 0), record(200, 100, 2, 0)] as const;
    follow("flushes", [
      { what: "before", area: area([100, 100], 200, records), shows: [100, 0] },
      {
        what: "killed while copy 2 was stored",
        area: { ...area([200, 0], 200, records), disk: [state(200), null] },
        shows: [200, 0],
      },
    ]);
  });

  test("does not go back to an older copy 2 in a file with old records of another program's", () => {
    const stale = [record(60, 50, 1, 9), null] as const;
    follow("flushes", [
      { what: "copy 1", area: area([100, 90], 100, stale), shows: [100, 4] },
      { what: "nothing new", area: area([100, 90], 100, stale), shows: [100, 4] },
      { what: "another flush under way", area: area([120, 90], 120, stale), shows: [100, 4] },
      { what: "it has returned", area: area([120, 120], 120, stale), shows: [120, 4] },
    ]);
  });

  test("goes on in a file without records, or with old ones", () => {
    const stale = [record(60, 50, 1, 9), null] as const;
    follow("flushes", [
      { what: "of the original", area: area([100, 100], 100, stale), shows: [100, 4] },
      { what: "looked at again", area: area([100, 100], 100, stale), shows: [100, 4] },
      { what: "its next flush", area: area([200, 200], 200, stale), shows: [200, 4] },
      { what: "without records", area: area([300, 300], 300, [null, null]), shows: [300, 4] },
    ]);
  });
});

test("a reader that opens while a truncation is under way counts the ones before it, however many", () => {
  const emptied = [record(START, START, 1, 2 ** 31 + 5), record(START, START, 2, 2 ** 31 + 5)] as const;
  follow("flushes", [
    { what: "under way", area: area([50, 50], START, emptied), shows: [50, 2 ** 30 + 2] },
    { what: "done", area: area([START, START], START, emptied), shows: [START, 2 ** 30 + 3] },
  ]);
});

test("a reader of commits counts a truncation with the header that it shows", () => {
  const old = record(500, 400, 1, 10);
  const emptied = record(START, START, 2, 11);
  follow("commits", [
    { what: "before", area: area([500, 500], 500, [old, null]), shows: [500, 5] },
    { what: "one record", area: area([500, 500], 500, [old, emptied]), shows: [500, 5] },
    { what: "the header", area: area([500, 500], START, [old, emptied]), shows: [START, 6] },
    {
      what: "the next one is under way, and its header not there yet",
      area: area([START, START], 90, [record(START, START, 5, 13), record(START, START, 6, 13)]),
      shows: [90, 6],
    },
  ]);
});

describe("a reader of commits that has none to believe", () => {
  test("goes by flushes until the process-sync header moves, whatever truncations are on record", () => {
    const old = [record(START, START, 1, 5), record(START, START, 2, 5)] as const;
    follow("commits", [
      { what: "what the original left when it was killed", area: area([20, 20], 30, old), shows: [20, 2] },
      { what: "nothing new", area: area([20, 20], 30, old), shows: [20, 2] },
      { what: "a flush alone", area: area([25, 25], 30, old), shows: [25, 2] },
      { what: "its next commit", area: area([25, 25], 40, old), shows: [40, 2] },
    ]);
  });

  test("does not believe copy 2 while copy 1, of the first commit, is being stored", () => {
    const torn = { ...area([20, 20], 30, [null, null]), process: [null, state(30)] } as const;
    follow("commits", [
      { what: "what a power cut left", area: area([20, 20], 30, [null, null]), shows: [20, 0] },
      { what: "copy 1 is torn", area: torn, shows: [20, 0] },
      { what: "its commit", area: { ...torn, process: [state(40), state(30)] }, shows: [40, 0] },
      { what: "copy 1 of the next", area: { ...torn, process: [null, state(40)] }, shows: [40, 0] },
    ]);
  });

  test("goes by flushes while copy 1 stays torn by a kill, or says what cannot be", () => {
    const records = [record(30, 20, 1, 0), null] as const;
    const emptied = [record(START, START, 3, 2), record(START, START, 2, 1)] as const;
    const left = (next: number, copy: image.State | null, told: typeof records | typeof emptied): image.Area => {
      return { ...area([next, next], 30, told), process: [copy, state(30)] };
    };
    follow("commits", [
      { what: "what a power cut left", area: area([20, 20], 30, [null, null]), shows: [20, 0] },
      { what: "a flush, and a torn copy", area: left(40, null, records), shows: [40, 0] },
      { what: "a flush, and a copy behind the end", area: left(50, state(CELLS + 1), records), shows: [50, 0] },
      { what: "a truncation, and a torn copy", area: left(START, null, emptied), shows: [START, 1] },
      { what: "its commit", area: left(START, state(60), emptied), shows: [60, 1] },
    ]);
  });

  test("follows the commit that it has not looked at yet, though it is told again that there are commits", () => {
    const path = fresh();
    writeFileSync(path, image.fileOf(area([20, 20], 30, [null, null]), CELLS));
    const { region, config } = openReaderFile(path, {});
    const follower = new Follower(region, config, "commits", false);
    writeFileSync(path, image.headerArea(area([50, 50], 40, [null, null])), { flag: "r+" });
    follower.followCommits();
    expect([follower.refresh(), follower.header.next, follower.follows]).toEqual([true, 40, "commits"]);
    region.close();
  });

  test("does not believe a truncation that was cut off by a kill", () => {
    const cut = [record(90, 50, 1, 0), record(START, START, 2, 1)] as const;
    follow("commits", [
      { what: "emptied for processes, not for the disk", area: area([90, 90], START, cut), shows: [90, 0] },
      { what: "nothing new", area: area([90, 90], START, cut), shows: [90, 0] },
      { what: "recovered", area: area([90, 90], 90, [record(90, 90, 3, 2), cut[1]]), shows: [90, 1] },
    ]);
  });

  test("does not take a header that was recovered from for current, though a writer is live by the time it asks", () => {
    const path = fresh();
    const unproven = { next: 30, root: 25 };
    writeFileSync(path, image.fileOf({ ...area([20, 20], 30, [null, null]), process: [unproven, unproven] }, CELLS));
    const recovered = image.headerArea(area([30, 30], 30, [record(30, 30, 1, 0), null]));
    const { region, config } = openReaderFile(path, {});
    const asked: ReadableRegion = {
      path,
      address: region.address,
      sizeBytes: region.sizeBytes,
      view: (...place) => region.view(...place),
      measure: () => region.measure(),
      fileFault: () => region.fileFault(),
      close: () => region.close(),
      // A writer recovers while the reader waits for the answer.
      watch: () => null,
      isWriterLive: () => {
        const fd = openSync(path, "r+");
        writeSync(fd, recovered, 0, image.AREA_BYTES, 0);
        closeSync(fd);
        return true;
      },
    };
    const { header } = new Follower(asked, config, "commits", false);
    region.close();
    expect([header.next, header.root]).toEqual([30, 0]);
  });
});
