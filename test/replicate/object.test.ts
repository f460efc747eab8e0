/** The framing of objects, and records: what is damaged is told, whatever the damage. */

import { describe, expect, test } from "bun:test";
import { blockKey, blockNameOf, logKey, sequenceOf } from "../../src/replicate/keys.ts";
import { decodeReplica, encodeReplica } from "../../src/replicate/log.ts";
import {
  decodeLine,
  decodeParts,
  encodeLine,
  encodeObject,
  joined,
  LINE_BYTES,
  Misfit,
  sha256InSteps,
} from "../../src/replicate/object.ts";
import { hashBody } from "../../src/replicate/store/s3-request.ts";
import type { FullRecord, LogRecord } from "../../src/replicate/record.ts";
import {
  decodeNamedStates,
  decodeRecord,
  decodeRecordLine,
  encodeRecord,
  statesEnd,
} from "../../src/replicate/record-codec.ts";
import { Random, seedFromEnvironment } from "../support/random.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const config = "00".repeat(20) + "20000000" + "ffffffff" + "01000000";
const head = {
  replica: "ab".repeat(16),
  session: "cd".repeat(16),
  host: "here",
  pid: 7,
  epoch: 1,
  time: 1000,
  previous: "0".repeat(64),
  file: { host: "here", inode: "1", created: "2" },
  truncations: 0,
};
const hash = "ef".repeat(32);
const states = [
  { sequence: 2, time: 900, root: 8, next: 10, config },
  { sequence: 3, time: 950, root: 0, next: 11, config },
  { sequence: 4, time: 960, root: 9, next: 12, config: `${config.slice(0, 56)}02000000` },
];
const full: FullRecord = {
  ...head,
  kind: "full",
  sequence: 5,
  full: 5,
  config,
  firstBlock: 0,
  blocks: new Uint8Array(64).fill(5),
  root: 8,
  next: 12,
  first: 8,
  cells: new Uint8Array(128).fill(6),
  tailHash: hash,
  blocksHash: hash,
  states,
  previousFull: 1,
  previousEpoch: 0,
  repeats: 0,
};
const records: readonly LogRecord[] = [
  { ...head, kind: "opening", sequence: 1, full: 0 },
  { ...head, kind: "blocks", sequence: 2, full: 0, config, firstBlock: 3, blocks: new Uint8Array(96).fill(1) },
  {
    ...head,
    kind: "state",
    sequence: 3,
    full: 2,
    config,
    firstBlock: 1,
    blocks: new Uint8Array(32).fill(2),
    root: 9,
    next: 12,
    first: 10,
    cells: new Uint8Array(64).fill(3),
    tailHash: hash,
    blocksHash: hash,
  },
  full,
];

describe("an object", () => {
  test("begins with a line that `head -1` shows: JSON, and its SHA-256", async () => {
    const object = await encodeObject({ kind: "test" }, [{ name: "cells", bytes: Uint8Array.of(1, 2, 3) }]);
    const [line = ""] = text(object).split("\n");
    const json = line.slice(0, -65);
    expect(JSON.parse(json)).toEqual({
      kind: "test",
      parts: [{ name: "cells", bytes: 3, sha256: "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81" }],
    });
    expect(line.slice(-65)).toBe(` ${new Bun.CryptoHasher("sha256").update(json).digest("hex")}`);
    expect([...object.subarray(line.length + 1)]).toEqual([1, 2, 3]);
  });

  test("has a line of at most 4 kB", () => {
    expect(() => encodeLine({ long: "x".repeat(4096) }, [])).toThrow(RangeError);
    expect(encodeLine({ long: "x".repeat(4000) }, []).length).toBeLessThanOrEqual(LINE_BYTES);
  });

  test("is refused when any of its bits is flipped, when it is cut, and when it is longer", async () => {
    const object = await encodeObject({ kind: "test" }, [{ name: "cells", bytes: new Uint8Array(40).fill(9) }]);
    const read = async (bytes: Uint8Array): Promise<unknown> => decodeParts("key", decodeLine("key", bytes), bytes);
    expect(await read(object)).toHaveLength(1);
    for (let bit = 0; bit < object.length * 8; bit++) {
      const damaged = object.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(read(damaged)).rejects.toThrow(Misfit);
    }
    for (let length = 0; length < object.length; length++)
      expect(read(object.slice(0, length))).rejects.toThrow(Misfit);
    expect(read(new Uint8Array([...object, 0]))).rejects.toThrow(Misfit);
  });
});

describe("a record", () => {
  test.each(records.map((record) => [record.kind, record] as const))(
    "%s is read as it was written",
    async (_, record) => {
      const key = logKey(record.sequence);
      const object = await encodeRecord(record);
      const stored = await decodeRecord(key, record.sequence, object);
      expect(stored.record).toEqual(record);
      expect(stored.sizeBytes).toBe(object.length);
      const { hash: lineHash, ...line } = decodeRecordLine(key, record.sequence, object.subarray(0, LINE_BYTES));
      expect(lineHash).toBe(stored.hash);
      expect({ ...record, ...line }).toEqual(record);
    },
  );

  test("at another number is refused", async () => {
    for (const record of records) {
      const object = await encodeRecord(record);
      expect(decodeRecord("key", record.sequence + 1, object)).rejects.toThrow(Misfit);
    }
  });

  test("names its states in its beginning", async () => {
    const object = await encodeRecord(full);
    const beginning = object.slice(0, statesEnd("key", object));
    expect(beginning.length).toBeLessThan(object.length - 128);
    expect(await decodeNamedStates("key", beginning)).toEqual(states);
  });

  test("of a wrong shape is refused, though its hash holds: random fields", async () => {
    const seed = seedFromEnvironment();
    const random = new Random(seed);
    const wrong: readonly unknown[] = [null, -1, 1.5, "x", [], {}, true, 2 ** 53, "zz".repeat(32)];
    for (let round = 0; round < 500; round++) {
      const record = random.pick(records);
      const { blocks: _b, cells: _c, states: _s, ...fields } = record as FullRecord;
      const names = Object.keys(fields).filter((name) => name !== "kind");
      const name = random.pick(names);
      const value = random.pick(wrong);
      // A text is a host, and stays one.
      if (name === "host" && typeof value === "string") continue;
      const whole = await encodeRecord(record);
      const { parts, sizeBytes } = decodeLine("key", whole);
      const line = encodeLine({ ...fields, [name]: value }, parts);
      const object = new Uint8Array([...line, ...whole.subarray(sizeBytes)]);
      try {
        expect(decodeRecord("key", record.sequence, object)).rejects.toThrow(Misfit);
      } catch (error) {
        throw new Error(`SEED=${seed}: ${record.kind}.${name} = ${JSON.stringify(value)}`, { cause: error });
      }
    }
  });
});

describe("keys", () => {
  test("of records descend, and say their number", () => {
    const sequences = [1, 2, 9, 10, 4095, 4096, 2 ** 40, Number.MAX_SAFE_INTEGER];
    const keys = sequences.map(logKey);
    expect([...keys].sort()).toEqual(keys.toReversed());
    expect(keys.map(sequenceOf)).toEqual(sequences);
    expect(logKey(1)).toBe("log/fffffffffffffffe");
  });

  test("of other things are told", () => {
    const wrong = [
      "log/",
      "log/ffffffffffffffff",
      "log/0000000000000000",
      "log/FFFFFFFFFFFFFFFE",
      "log/fffffffffffffffe0",
    ];
    expect(wrong.map(sequenceOf)).toEqual(wrong.map(() => null));
    expect(blockNameOf(blockKey(2, 31, hash))).toEqual({ epoch: 2, number: 31, hash: hash.slice(0, 32) });
    const others = ["block/2-31", "block/02-31-" + "a".repeat(32), "block/2--1-" + "a".repeat(32), "log/2-31-x"];
    expect(others.map(blockNameOf)).toEqual(others.map(() => null));
  });
});

describe("the object replica", () => {
  const replica = { id: "12".repeat(16), blockBytes: 65536 };

  test("is read as it was written", () => {
    expect(decodeReplica(encodeReplica(replica), "url")).toEqual(replica);
  });

  test("of a newer format is UNSUPPORTED, of an impossible block size damaged", () => {
    const fields = { kind: "replica", format: 1, replica: replica.id, blockBytes: 65536 };
    expect(() => decodeReplica(encodeLine({ ...fields, format: 2 }, []), "url")).toThrow(
      expect.objectContaining({ code: "UNSUPPORTED" }),
    );
    for (const blockBytes of [0, 1, 65535, 2 ** 31, "65536", 65536.5]) {
      expect(() => decodeReplica(encodeLine({ ...fields, blockBytes }, []), "url")).toThrow(Misfit);
    }
  });
});

describe("long work", () => {
  const MIB = 1024 * 1024;
  const block = new Uint8Array(16 * MIB).fill(3);

  /** Counts the turns of the event loop until each of the promises resolves. */
  async function turnsOf(work: readonly (() => Promise<unknown>)[]): Promise<number[]> {
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    count();
    const ends = await Promise.all(work.map((one) => one().then(() => turns)));
    isOver = true;
    return ends;
  }

  test.each([
    ["hashing", () => sha256InSteps(block)],
    ["hashing a body", () => hashBody(block)],
    ["copying", () => joined(block)],
  ])("leaves the event loop free at least after every MiB: %s", async (_, work) => {
    const [turns] = await turnsOf([work]);
    expect(turns).toBeGreaterThanOrEqual(15);
  });

  test.each([
    ["blocks", () => sha256InSteps(block)],
    ["bodies", () => hashBody(block)],
  ])("is done one after the other, so that the first can be sent early: %s", async (_, work) => {
    const [first = 0, second = 0, third = 0] = await turnsOf([work, work, work]);
    expect(first).toBeLessThan(0.6 * second);
    expect(second).toBeLessThan(0.8 * third);
  });
});
