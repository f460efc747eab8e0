/** The log as it is read: each record is held against those before it, field by field. */

import { expect, test } from "bun:test";
import { emptyHistory, type History } from "../../src/replicate/history.ts";
import { Misfit, sha256 } from "../../src/replicate/object.ts";
import type { FullRecord, LogRecord, StateRecord, Stored } from "../../src/replicate/record.ts";
import { decodeRecord, encodeRecord } from "../../src/replicate/record-codec.ts";

const REPLICA = "ab".repeat(16);
const BLOCK_BYTES = 65536;
/** 4 cells of 16 KiB a block; the first index is 1. */
const config = "00".repeat(20) + "00400000" + "ffffffff" + "01000000";
const CELL_BYTES = 16384;
const cells = (from: number, to: number): Uint8Array => {
  return new Uint8Array((to - from) * CELL_BYTES).map((_, i) => from + Math.floor(i / CELL_BYTES));
};
const NO_HASH = "0".repeat(64);
const head = {
  replica: REPLICA,
  session: "cd".repeat(16),
  host: "here",
  pid: 7,
  epoch: 1,
  time: 1000,
  file: { host: "here", inode: "1", created: "2" },
  truncations: 0,
};
const block0 = Uint8Array.fromHex(sha256(cells(1, 5)));

const opening: LogRecord = { ...head, kind: "opening", sequence: 1, epoch: 0, full: 0, previous: NO_HASH };
const full: FullRecord = {
  ...head,
  kind: "full",
  sequence: 2,
  full: 2,
  previous: NO_HASH,
  config,
  firstBlock: 0,
  blocks: new Uint8Array(0),
  root: 1,
  next: 3,
  first: 1,
  cells: cells(1, 3),
  tailHash: sha256(cells(1, 3)),
  blocksHash: sha256(new Uint8Array(0)),
  states: [],
  previousFull: 0,
  previousEpoch: 0,
  repeats: 0,
};
const same: StateRecord = {
  ...head,
  kind: "state",
  sequence: 3,
  full: 2,
  previous: NO_HASH,
  config,
  firstBlock: 0,
  blocks: new Uint8Array(0),
  root: 3,
  next: 4,
  first: 3,
  cells: cells(3, 4),
  tailHash: sha256(cells(1, 4)),
  blocksHash: sha256(new Uint8Array(0)),
};
/** Completes block 0. */
const next: StateRecord = {
  ...same,
  sequence: 4,
  blocks: block0,
  root: 0,
  next: 7,
  first: 5,
  cells: cells(5, 7),
  tailHash: sha256(cells(5, 7)),
  blocksHash: sha256(block0),
};

async function stored(record: LogRecord, previous: string): Promise<Stored> {
  const linked = { ...record, previous };
  return decodeRecord("key", linked.sequence, await encodeRecord(linked));
}

/** Applies records, each with the hash of the one before unless it brings its own. */
async function read(
  records: readonly LogRecord[],
  history: History = emptyHistory(REPLICA, BLOCK_BYTES),
): Promise<History> {
  for (const record of records) {
    await history.apply(await stored(record, record.previous === NO_HASH ? history.hash : record.previous));
  }
  return history;
}

test("what follows is taken, from the beginning or from a full record on", async () => {
  for (const records of [
    [opening, full, same, next],
    [full, same, next],
  ]) {
    const history = await read(records);
    expect(history).toMatchObject({ sequence: 4, epoch: 1, next: 7, root: 0, full: 2, stateBlocks: 1 });
    expect(history.state).toEqual({ sequence: 4, epoch: 1, time: new Date(1000), length: 7, root: null });
    expect(history.blocks.at(0)).toBe(sha256(cells(1, 5)));
    expect(Buffer.compare(history.tail.bytes, cells(5, 7))).toBe(0);
    expect(history.states.map(({ sequence }) => sequence)).toEqual([3, 4]);
  }
});

/** Fields that make a record one that does not follow. */
const wrong: readonly (readonly [name: string, record: Partial<StateRecord>])[] = [
  ["of another replica", { replica: "ff".repeat(16) }],
  ["with another number", { sequence: 5 }],
  ["after another record", { previous: "12".repeat(32) }],
  ["of an earlier time", { time: 999 }],
  ["of an epoch that has no full record", { epoch: 2 }],
  ["of an epoch later than the next", { epoch: 3 }],
  ["of another full record", { full: 3 }],
  ["of another config", { config: `01${config.slice(2)}` }],
  [
    "that is shorter",
    { next: 3, root: 0, first: 3, cells: new Uint8Array(0), blocks: new Uint8Array(0), firstBlock: 0 },
  ],
  ["whose root is outside", { root: 7 }],
  ["whose root is in the header area", { root: 0.5 as never }],
  ["that names too few blocks", { blocks: new Uint8Array(0), blocksHash: sha256(new Uint8Array(0)) }],
  ["that names blocks past its own", { blocks: new Uint8Array([...block0, ...block0]) }],
  ["whose blocks begin too late", { firstBlock: 1 }],
  ["without cells before its own", { first: 6, cells: cells(6, 7) }],
  ["with other cells", { cells: cells(6, 8) }],
  ["with another tail", { tailHash: sha256(cells(5, 6)) }],
  ["with other blocks", { blocksHash: sha256(cells(5, 6)) }],
];

test.each(wrong)("a state %s does not fit", async (_, fields) => {
  const history = await read([full, same]);
  await expect(read([{ ...next, ...fields }], history)).rejects.toThrow(Misfit);
});

test("a full record must be whole", async () => {
  const fields: readonly Partial<FullRecord>[] = [
    { firstBlock: 1 },
    { first: 2, cells: cells(2, 3) },
    { cells: cells(2, 4) },
    { next: 0, first: 1, cells: new Uint8Array(0) },
    { repeats: 1 },
    { config: "00".repeat(32) },
    { full: 1 },
  ];
  for (const some of fields) await expect(read([{ ...full, ...some }])).rejects.toThrow(Misfit);
});

test("blocks past the newest state may be named anew, those of a state may not", async () => {
  const named = { ...head, kind: "blocks", full: 2, previous: NO_HASH, config } as const;
  const other = new Uint8Array(32).fill(1);
  const history = await read([full, same, { ...named, sequence: 4, firstBlock: 0, blocks: other }]);
  expect(history.blocks.count).toBe(1);
  await read([{ ...next, sequence: 5 }], history);
  expect(history.blocks.at(0)).toBe(sha256(cells(1, 5)));
  const again = { ...named, sequence: 6, firstBlock: 0, blocks: other };
  await expect(read([again], history)).rejects.toThrow(Misfit);
});

test("an epoch begins with a full record, or with blocks of one; the state before stays the newest meanwhile", async () => {
  const named = { ...head, kind: "blocks", epoch: 2, full: 2, previous: NO_HASH, config } as const;
  const history = await read([full, same, { ...named, sequence: 4, firstBlock: 0, blocks: block0 }]);
  expect(history).toMatchObject({ epoch: 2, hasState: false, stateBlocks: 0, previousEpoch: 2 });
  expect(history.state).toMatchObject({ sequence: 3, epoch: 1 });
});
