/** Where no disk-sync header is left: which state the rest of the file tells of, and how it is made the last flush. */

import { decodeArea } from "../../src/format/area.ts";
import { describe, expect, test } from "bun:test";
import { checkConfig } from "../../src/format/config.ts";
import type { CheckedHeader } from "../../src/format/header.ts";
import { FILE, HEADER_AREA_BYTES } from "../../src/format/layout.ts";
import { pageSizeBytes } from "../../src/os/mapping.ts";
import { restorable, restore } from "../../src/offline/repair.ts";
import { headerArea, type Proof, type State } from "../support/image.ts";
import { RecordingStub } from "../support/recording-stub.ts";

const FILE_CELLS = 100;
const old: State = { next: 10, root: 9 };
const mid: State = { next: 20, root: 19 };
const late: State = { next: 30, root: 29 };
const far: State = { next: FILE_CELLS + 1, root: 9 };
const torn = null;
type Pair = readonly [State | null, State | null];

describe("without a disk-sync header", () => {
  const bounds = { startIndex: 8, maxIndex: 1000, fileCells: FILE_CELLS };
  const proofOf = (state: State, sequence: number, base = 8): Proof => {
    return { ...state, base, cellsCrc: 0, sequence, truncations: 0 };
  };
  type Expected = readonly [evidence: string, root: number, next: number, unflushedFrom: number] | null;
  const cases: readonly (readonly [
    what: string,
    disk: Pair,
    process: Pair,
    records: readonly [Proof | null, Proof | null],
    matches: boolean,
    expected: Expected,
  ])[] = [
    ["a record proves the commit", [torn, torn], [mid, mid], [null, proofOf(mid, 2, 12)], true, ["proof", 19, 20, 12]],
    ["its cells differ", [torn, torn], [mid, mid], [null, proofOf(mid, 2, 12)], false, ["commit", 19, 20, 8]],
    ["no record says the same", [torn, torn], [mid, mid], [proofOf(late, 1), null], true, ["commit", 19, 20, 8]],
    ["copy 2 alone is left", [torn, torn], [torn, mid], [proofOf(mid, 1), null], true, ["proof", 19, 20, 8]],
    ["a base before the first cell", [torn, torn], [mid, mid], [proofOf(mid, 1, 7), null], true, ["commit", 19, 20, 8]],
    ["a base behind the end", [torn, torn], [mid, mid], [proofOf(mid, 1, 21), null], true, ["commit", 19, 20, 8]],
    [
      "records alone: the newer",
      [torn, torn],
      [torn, torn],
      [proofOf(mid, 3), proofOf(old, 2)],
      true,
      ["record", 19, 20, 8],
    ],
    [
      "records alone, past the end",
      [torn, torn],
      [far, far],
      [proofOf(far, 3), proofOf(old, 2)],
      true,
      ["record", 9, 10, 8],
    ],
    ["records whose cells differ", [torn, torn], [torn, torn], [proofOf(mid, 3), proofOf(old, 2)], false, null],
    ["nothing", [torn, torn], [torn, torn], [null, null], true, null],
    ["the file was cut behind the root", [far, far], [mid, mid], [null, proofOf(mid, 2)], true, ["cut", 9, 100, 100]],
    [
      "the file was cut through the root",
      [{ next: 200, root: 150 }, torn],
      [mid, mid],
      [null, null],
      true,
      ["cut", 0, 100, 100],
    ],
    [
      "a cut storage had no root",
      [{ next: 200, root: 0 }, torn],
      [torn, torn],
      [null, null],
      true,
      ["cut", 0, 100, 100],
    ],
  ];

  test.each(cases)("%s", (_what, disk, process, records, matches, expected) => {
    const found = restorable(decodeArea(headerArea({ disk, process, records })), bounds, () => matches);
    const { evidence = "", header = { root: 0, next: 0 }, unflushedFrom = 0 } = found ?? {};
    expect(found === null ? null : [evidence, header.root, header.next, unflushedFrom]).toEqual(
      expected === null ? null : [...expected],
    );
  });

  const places = { process1: FILE.process1, process2: FILE.process2 };
  test.each([
    ["behind the end", [torn, torn], [far, mid], ["process1"]],
    ["behind the end, both", [torn, torn], [far, far], ["process1", "process2"]],
    ["older than the one that counts", [torn, torn], [mid, old], []],
    ["older than the flush of a cut file", [far, far], [mid, torn], ["process1"]],
    ["what is left of a cut file itself", [far, far], [{ next: FILE_CELLS, root: 9 }, old], ["process1", "process2"]],
  ] as const)("process-sync copies that could mislead opening: %s", (_what, disk, process, misleading) => {
    const records = [proofOf(mid, 1), null] as const;
    const found = restorable(decodeArea(headerArea({ disk, process, records })), bounds, () => true);
    expect(found?.misleading).toEqual(misleading.map((name) => places[name]));
  });

  const config = checkConfig({ headString: "", version: 1, bytesPerCell: 32, maxIndex: 1000 });
  const header = { next: 20, root: 19 } as CheckedHeader;
  const toTheDisk = [
    ["rewriteUncached", 12 * 32, 20 * 32],
    ["sync", 20 * 32],
    ["store", FILE.disk1.offset],
    ["sync", HEADER_AREA_BYTES],
    ["store", FILE.disk2.offset],
    ["sync", HEADER_AREA_BYTES],
  ] as const;

  test("cells go to the disk before a header does, and one copy of it after the other", () => {
    const region = new RecordingStub(pageSizeBytes());
    restore(region, config, { header, unflushedFrom: 12, misleading: [] });
    expect(region.calls).toEqual([...toTheDisk]);
  });

  test("the page of the last cell is made whole first: a part of one cannot be renewed", () => {
    const whole = Math.min(1000 * 32, pageSizeBytes());
    const region = new RecordingStub(20 * 32);
    restore(region, config, { header, unflushedFrom: 12, misleading: [] });
    expect(region.calls).toEqual([["grow", 20 * 32, whole], ...toTheDisk]);
    const flushed = new RecordingStub(20 * 32);
    restore(flushed, config, { header, unflushedFrom: 20, misleading: [] });
    expect(flushed.calls).toEqual(toTheDisk.slice(1));
  });

  test("a full disk keeps no state from being restored", () => {
    const region = new RecordingStub(20 * 32, true);
    restore(region, config, { header, unflushedFrom: 12, misleading: [] });
    expect(region.calls).toEqual([...toTheDisk]);
  });

  test("what could mislead opening is gone from the disk before the file grows", () => {
    const region = new RecordingStub(20 * 32);
    restore(region, config, { header, unflushedFrom: 12, misleading: [FILE.process1, FILE.process2] });
    expect(region.calls.slice(0, 3)).toEqual([
      ["store", FILE.process1.offset, FILE.process2.offset],
      ["sync", HEADER_AREA_BYTES],
      ["grow", 20 * 32, Math.min(1000 * 32, pageSizeBytes())],
    ]);
  });
});
