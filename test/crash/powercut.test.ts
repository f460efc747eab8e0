/**
 * Power cuts and kills, in process: everything that a disk may legally hold after a crash at any event of a storage's
 * life is opened again. See `powercut/replay.ts`; this is its short form, and the proof that it sees faults.
 */

import { describe, expect, test } from "bun:test";
import { openStore } from "../../src/store/open.ts";
import { fileOf, type State } from "../support/image.ts";
import type { ArrayRegion } from "./powercut/array-region.ts";
import { Disk, newest } from "./powercut/disk.ts";
import { Images } from "./powercut/images.ts";
import { choicesOf, configIn } from "./powercut/opening.ts";
import { itemAt, Random } from "./powercut/random.ts";
import { applyToMemory, PAGE_BYTES, RecordingRegion } from "./powercut/recording-region.ts";
import { imagesOf, mutantForm, newRegion, replay, reportText, seedOfRun, shortForm } from "./powercut/replay.ts";
import { seamMutants } from "./powercut/seam-mutants.ts";

/** Seconds on a free machine. */
const TIMEOUT_MS = 120_000;

/** A disk of whole pages, and a recording region that holds the same. */
function diskAndRegion(pages: number): { readonly disk: Disk; readonly region: RecordingRegion } {
  const image = new Uint8Array(pages * PAGE_BYTES);
  const region = newRegion();
  region.load(image);
  region.reserve(image.length);
  return { disk: new Disk(image), region };
}

/** Tells the disk what the region has recorded. */
function catchUp(disk: Disk, region: RecordingRegion): void {
  region.observe();
  for (const entry of region.log.splice(0)) disk.apply(entry);
}

test(
  "every crash of every workload leaves an acknowledged flush or a whole commit",
  async () => {
    const report = await replay(shortForm, seedOfRun());
    process.stdout.write(`${reportText(report)}\n`);
    expect(report.violations).toEqual([]);
    expect(report.counts[0].crashPoints).toBeGreaterThan(300);
    expect(imagesOf(report)).toBeGreaterThan(20_000);
  },
  TIMEOUT_MS,
);

describe("the replay finds", () => {
  for (const { name, newRegion, workload } of seamMutants) {
    const find = async (): Promise<void> => {
      const { violations } = await replay({ ...mutantForm, workload }, 1, newRegion());
      expect(violations).not.toEqual([]);
    };
    test(name, find, TIMEOUT_MS);
  }
});

describe("what a disk may hold", () => {
  test("a page has every version since the start of its last completed sync", () => {
    const { disk, region } = diskAndRegion(2);
    const change = (byte: number): void => {
      region.memory.fill(byte, PAGE_BYTES, PAGE_BYTES + 10);
      catchUp(disk, region);
    };
    const held = (): (number | undefined)[] => itemAt(disk.units, 5).versions.map(({ bytes }) => bytes[0]);
    change(1);
    const later = region.syncLater();
    change(2);
    expect(held()).toEqual([0, 1, 2]);
    region.drain();
    change(3);
    expect(held()).toEqual([1, 2, 3]);
    region.sync(PAGE_BYTES);
    catchUp(disk, region);
    expect(held()).toEqual([1, 2, 3]);
    region.sync(2 * PAGE_BYTES);
    catchUp(disk, region);
    expect(held()).toEqual([3]);
    return later;
  });

  test("a header line has a version after every word, in both orders", () => {
    const { disk, region } = diskAndRegion(1);
    region.store({ offset: 96, bytes: new Uint8Array(32).fill(7) });
    catchUp(disk, region);
    const [first, second] = disk.units;
    expect(first?.versions.length).toBe(1);
    const stored = (bytes: Uint8Array): number => bytes.filter((byte) => byte === 7).length;
    const partly = [4, 8, 12, 16, 20, 24, 28];
    expect(second?.versions.map(({ bytes }) => stored(bytes))).toEqual([0, ...partly, ...partly, 32]);
    // The line ends with the copy's place in it: bytes 32 to 63.
    expect(second?.versions.map(({ bytes }) => stored(bytes.subarray(32, 36)))).toEqual([
      ...new Array<number>(8).fill(0),
      ...new Array<number>(8).fill(4),
    ]);
    const kinds = second?.versions.map(({ kind }) => kind).join(" ");
    expect(kinds).toBe(`whole ${"torn ".repeat(7)}torn torn torn half torn torn torn whole`);
  });

  test("a store over two lines may be torn in both, or whole in either alone", () => {
    const { disk, region } = diskAndRegion(1);
    region.store({ offset: 96, bytes: new Uint8Array(64).fill(7) });
    catchUp(disk, region);
    const images = [...new Images(disk).within(1000, new Random(1))].filter(({ enumerated }) => enumerated);
    const kinds = images.map(({ picks }) => [1, 2].map((line) => disk.units[line]?.versions[picks[line] ?? 0]?.kind));
    expect(kinds).toContainEqual(["half", "half"]);
    expect(images.length).toBe(3 * 3);
  });

  test("the size is any since the last sync that made it durable", () => {
    const { disk, region } = diskAndRegion(1);
    region.grow(0, 3 * PAGE_BYTES);
    region.grow(0, 5 * PAGE_BYTES);
    catchUp(disk, region);
    expect(disk.sizes.map(({ sizeBytes }) => sizeBytes / PAGE_BYTES)).toEqual([1, 3, 5]);
    region.sync(PAGE_BYTES);
    catchUp(disk, region);
    expect(disk.sizes.map(({ sizeBytes }) => sizeBytes / PAGE_BYTES)).toEqual([5]);
  });

  test("few images are all enumerated, each once", () => {
    const { disk, region } = diskAndRegion(3);
    region.memory[PAGE_BYTES] = 1;
    region.memory[2 * PAGE_BYTES] = 1;
    region.store({ offset: 32, bytes: new Uint8Array(32).fill(1) }, { offset: 96, bytes: new Uint8Array(32).fill(2) });
    catchUp(disk, region);
    const images = [...new Images(disk).within(1000, new Random(1))].filter(({ enumerated }) => enumerated);
    // Two lines that are old, half or new; two pages that are old or new.
    expect(images.length).toBe(3 * 3 * 2 * 2);
    expect(new Set(images.map(({ picks }) => picks.join())).size).toBe(images.length);
    const lateLine = newest(itemAt(disk.units, 1)).instant - 1;
    const fresh = [...new Images(disk, lateLine).within(1000, new Random(1))];
    expect(fresh.every(({ picks }) => picks[1] === 15)).toBe(true);
  });
});

describe("the recording region refuses", () => {
  const cases: Record<string, (region: RecordingRegion) => void> = {
    "a store into the header area past the seam": (region) => region.memory.fill(1, 40, 44),
    "a store into space that is not reserved": (region) => region.memory.fill(1, PAGE_BYTES, PAGE_BYTES + 1),
    "a store past the end": (region) => region.memory.fill(1, 2 * PAGE_BYTES, 2 * PAGE_BYTES + 1),
    "a store after close": (region) => {
      region.close();
      region.memory.fill(1, 300, 301);
    },
    "a header store that is no whole words": (region) => region.store({ offset: 34, bytes: new Uint8Array(4) }),
  };
  for (const [name, act] of Object.entries(cases)) {
    test(name, () => {
      const { region } = diskAndRegion(2);
      region.reserve(PAGE_BYTES);
      expect(() => {
        act(region);
        region.observe();
      }).toThrow();
    });
  }

  test("nothing else", () => {
    const { region } = diskAndRegion(2);
    region.memory.fill(1, 300, 5000);
    region.store({ offset: 96, bytes: new Uint8Array(32).fill(2) });
    region.observe();
    expect(region.log.map(({ kind }) => kind)).toEqual(["cells", "store"]);
  });
});

describe("a recovery that is killed at any word of its stores", () => {
  const CELLS = 128;
  const [flushed, older, last] = [20, 30, 40].map((next) => ({ next, root: next - 1 })) as [State, State, State];
  const copies: readonly (readonly [string, State | null, State | null])[] = [
    ["both whole", last, last],
    ["copy 2 torn", last, null],
    ["copy 2 older", last, older],
    ["copy 1 torn", null, last],
  ];

  /** The length that opening gives out cells from; the region has what it stored. */
  function open(region: ArrayRegion): number {
    const { header } = openStore(region, configIn(region), choicesOf(null, 0));
    return header.next;
  }

  test.each(copies)("gives no cell out again that a reader may hold: %s", (_what, process1, process2) => {
    const bench = newRegion();
    const recorder = newRegion();
    // No record proves the last commit: its root is lost, and its cells are skipped.
    const unproven = { ...last, base: flushed.next, cellsCrc: 1, sequence: 4, truncations: 0 };
    const image = fileOf({ disk: [flushed, flushed], process: [process1, process2], records: [unproven, null] }, CELLS);
    recorder.load(image);
    recorder.reserve(image.length);
    expect(open(recorder)).toBe(last.next);
    const memory = new Uint8Array(bench.memory.length);
    memory.set(image);
    let sizeBytes = image.length;
    let kills = 0;
    for (const entry of recorder.log) {
      if (entry.kind === "store") {
        for (let end = 4; end < entry.bytes.length; end += 4) {
          memory.set(entry.bytes.subarray(0, end), entry.offset);
          bench.load(memory.slice(0, sizeBytes));
          expect({ store: entry.offset, end, next: open(bench) }).toEqual({
            store: entry.offset,
            end,
            next: last.next,
          });
          kills++;
        }
      }
      sizeBytes = applyToMemory(memory, sizeBytes, entry);
    }
    expect(kills).toBeGreaterThan(40);
  });
});
