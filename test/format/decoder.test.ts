/**
 * The second decoder, against the page that it was written from, and against the library: whatever stands in the
 * first 256 bytes or in the cells of a file, both show the same states and the same blobs, or both refuse.
 */

import { blake2b } from "@noble/hashes/blake2.js";
import { expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { type ErrorCode, type OpenReaderOptions, StorageError, StorageReader, StorageWriter } from "../../src/index.ts";
import {
  blobAt,
  decode,
  hasKey,
  newestFirst,
  readerState,
  Refused,
  type Shown,
  type State,
} from "../support/decoder.ts";
import { writerState } from "../support/decoder.ts";
import { useFolder } from "../support/folder.ts";

const seed = process.env["SEED"];
fc.configureGlobal({ includeErrorInReport: true, ...(seed === undefined ? {} : { seed: Number(seed) }) });
const newPath = useFolder({ spoiled: true });
const CELL_BYTES = 32;
const START = 8;
const FILE_CELLS = 24;
const MAX_INDEX = 30;
const MAX_U32 = 2 ** 32 - 1;
setDefaultTimeout(60_000);
const writerKey = new Uint8Array(32).fill(7);
const otherKey = new Uint8Array(32).fill(8);

test("the decoder imports nothing from the library", () => {
  const source = readFileSync(join(import.meta.dir, "../support/decoder.ts"), "utf8");
  const modules = new Bun.Transpiler({ loader: "ts" }).scanImports(source).map(({ path }) => path);
  expect(modules.sort()).toEqual(["@noble/hashes/blake2.js", "node:zlib"]);
});

test("the example of docs/format.md", () => {
  const page = readFileSync(join(import.meta.dir, "../../docs/format.md"), "utf8");
  const lines = [...page.matchAll(/^[0-9a-f]{8}  ((?:[0-9a-f]{2} +){16})\|/gm)].map(([, hex]) => hex ?? "");
  const file = decode(Uint8Array.fromHex(lines.join("").replaceAll(" ", "")));
  expect(file.config).toEqual({ headString: "EXAMPLE", bytesPerCell: 32, maxIndex: 4294967295, version: 1 });
  expect([...file.disk, ...file.process].map(({ next, root, believed }) => [next, root, believed])).toEqual(
    Array(4).fill([9, 8, true]),
  );
  expect([96, 128].map((offset) => hasKey(file.bytes, offset, writerKey))).toEqual([true, true]);
  expect([32, 64, 96].map((offset) => hasKey(file.bytes, offset, otherKey))).toEqual([false, false, false]);
  expect(file.annexHead).toEqual({ processId: 0, isConfigIntact: true });
  expect(newestFirst(file)[0]).toMatchObject({ base: 8, next: 9, root: 8, cellsCrc: 0xe3819fd2, sequence: 2 });
  expect(writerState(file)).toEqual({ state: "clean", next: 9, root: 8 });
  expect(Buffer.from(blobAt(file, 8, 9)).toString()).toBe("hello");
});

test("whatever the headers, the records and the size: the same states here and in the library", () => {
  const seen = new Set<string>();
  const property = fc.property(anyFile, (chosen) => {
    const bytes = fileOf(chosen);
    const path = newPath();
    writeFileSync(path, bytes);
    const flushed = answerOf(() => readerState(decode(bytes), "flushes"));
    const committed = answerOf(() => readerState(decode(bytes), "commits"));
    const keyed = answerOf(() => readerState(decode(bytes), "commits", true));
    const mayUseKey = typeof flushed === "string" || hasOurKey(bytes);
    expect(answerOf(() => openReader(path, {}))).toEqual(flushed);
    expect(answerOf(() => openReader(path, { follow: "commits" }))).toEqual(committed);
    expect(answerOf(() => openReader(path, { writerKey }))).toEqual(mayUseKey ? keyed : "INVALID_WRITER_KEY");

    // A writer completes the part of a cell at the end, and may add more, but only after it has decided.
    const opened = answerOf(() => openWriter(path));
    expect(opened).toEqual(answerOf(() => writerState(decode(bytes))));
    seen.add(typeof opened === "string" ? opened : opened.state);
    const after = new Uint8Array(readFileSync(path));
    if (typeof opened === "string") return expect(after).toEqual(bytes);
    expect(after.length % CELL_BYTES).toBe(0);
    expect(after.length).toBeWithin(bytes.length, MAX_INDEX * CELL_BYTES + 1);
    expect(writerState(decode(after))).toEqual({ ...opened, state: "clean" });
  });
  fc.assert(property, { numRuns: 200 });
  const all = ["clean", "resumedAtCommit", "resumedAtFlush", "header", "cut", "config"];
  expect([...seen].sort()).toEqual(all.sort());
});

test("whatever stands in the cells: the same blobs here and in the library", () => {
  let chains = 0;
  const property = fc.property(anyCells, (chosen) => {
    const bytes = fileOfCells(chosen);
    const path = newPath();
    writeFileSync(path, bytes);
    using reader = StorageReader.open(path);
    const file = decode(bytes);
    for (let index = 0; index <= reader.length; index++) {
      const expected = answerOf(() => blobAt(file, index, reader.length).toHex());
      expect(answerOf(() => reader.read(index).toHex())).toBe(expected);
      expect(answerOf(() => Buffer.concat(reader.chunks(index)).toHex())).toBe(expected);
      if (expected !== "blob" && reader.chunks(index).length > 1) chains++;
    }
  });
  // A chain, which chance may not make: a full chunk, and another one that follows it.
  const full = { gapCells: 0, cells: 3, sizeOff: 0, link: "chain", previousOff: 1 } as const;
  const chain: Generated<typeof anyCells> = { bytesPerCell: FULL_CHUNK_THIRD, chunks: [full, { ...full, cells: 1 }] };
  fc.assert(property, { numRuns: 100, examples: [[chain]] });
  expect(chains).toBeGreaterThan(0);
});

const reasons: Partial<Record<ErrorCode, Refused["reason"]>> = {
  INVALID_CONFIG: "config",
  HEADER_BROKEN: "header",
  FILE_CUT: "cut",
  INDEX_OUT_OF_RANGE: "blob",
  CHUNK_CORRUPT: "blob",
};

/** What is shown, or why it is refused, in the decoder's words. */
function answerOf<T>(show: () => T): T | string {
  try {
    return show();
  } catch (error) {
    if (error instanceof Refused) return error.reason;
    if (error instanceof StorageError) return reasons[error.code] ?? error.code;
    throw error;
  }
}

function openReader(path: string, options: OpenReaderOptions): Shown {
  using reader = StorageReader.open(path, options);
  const { follows, truncations } = reader;
  return { next: reader.length, root: reader.root ?? 0, follows, truncations };
}

function openWriter(path: string): ReturnType<typeof writerState> {
  using writer = StorageWriter.open(path);
  return { next: writer.length, root: writer.root ?? 0, state: writer.recovery.state };
}

function hasOurKey(bytes: Uint8Array): boolean {
  return decode(bytes).process.some(({ torn }, i) => !torn && hasKey(bytes, 96 + i * 32, writerKey));
}

type Generated<T> = T extends fc.Arbitrary<infer V> ? V : never;

const saneState = fc.record({
  next: fc.constantFrom(START, 10, 12, 20, FILE_CELLS),
  root: fc.constantFrom(0, START, 9),
});
const edges = [0, START - 1, START, 12, FILE_CELLS, FILE_CELLS + 1, MAX_INDEX, MAX_INDEX + 1, MAX_U32];
const edgeState = fc.record({ next: fc.constantFrom(...edges), root: fc.constantFrom(...edges) });
const cutState = fc.record({ next: fc.constantFrom(FILE_CELLS + 1, MAX_INDEX), root: fc.constantFrom(0, START) });
const anyState = fc.oneof({ weight: 5, arbitrary: saneState }, edgeState, cutState);
/** Null: what both copies, or copy and record, mostly agree on. */
const otherState = fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, anyState);
const anyCopy = fc.record({ other: otherState, torn: fc.constantFrom(false, false, false, true), ours: fc.boolean() });
const anyRecord = fc.record({
  other: otherState,
  cellsBelowDisk: fc.constantFrom(0, 0, 1, 4, -1),
  sequence: fc.constantFrom(0, 1, 2, 3, 2 ** 31, 2 ** 31 + 1, MAX_U32),
  truncations: fc.nat(3),
  wrong: fc.constantFrom("nothing", "nothing", "cells", "record"),
  /** Null: the flush's. */
  baseRoot: fc.constantFrom(null, null, START, 0),
});
const anyFile = fc.record({
  disk: anyState,
  process: fc.oneof(anyState, fc.constantFrom("same", "longer", "another root")),
  diskCopies: fc.tuple(anyCopy, anyCopy),
  processCopies: fc.tuple(anyCopy, anyCopy),
  /** False: no records at all, as the original leaves files. */
  hasRecords: fc.constantFrom(true, true, true, false),
  records: fc.tuple(anyRecord, anyRecord),
  annexHead: fc.constantFrom("none", "good", "good", "good", "torn", "of another config"),
  processId: fc.constantFrom(0, 0, 7),
  /** Of a cell that was only begun, at the end of the file. */
  restBytes: fc.constantFrom(0, 0, 1, CELL_BYTES - 1),
});
const CELLS = 30;
const FULL_CHUNK_THIRD = 21_847;
/** Chunks one after the other; sizes and links are right, nearly right, or wrong. */
const anyChunk = fc.record({
  gapCells: fc.constantFrom(0, 0, 1),
  cells: fc.constantFrom(1, 2, 3),
  sizeOff: fc.constantFrom(0, 0, -1, -3, 1, 65000),
  link: fc.constantFrom("chain", "chain", "none", "wrong"),
  previousOff: fc.constantFrom(-CELLS, -1, 1, 2, CELLS),
});
const anyCells = fc.record({
  /** Three cells of the largest are a full chunk, which another one may follow. */
  bytesPerCell: fc.constantFrom(4, 5, 6, 7, 32, FULL_CHUNK_THIRD, FULL_CHUNK_THIRD),
  chunks: fc.array(anyChunk, { minLength: 1, maxLength: 15 }),
});

function fileOf(chosen: Generated<typeof anyFile>): Uint8Array<ArrayBuffer> {
  const { disk, annexHead } = chosen;
  const process = processOf(chosen);
  const bytes = fileWith(CELL_BYTES, MAX_INDEX, FILE_CELLS * CELL_BYTES + chosen.restBytes);
  chosen.diskCopies.forEach(({ other, torn }, i) => bytes.set(headerOf(other ?? disk, null, torn), 32 + i * 32));
  chosen.processCopies.forEach(({ other, torn, ours }, i) => {
    bytes.set(headerOf(other ?? process, ours ? writerKey : otherKey, torn), 96 + i * 32);
  });
  if (chosen.hasRecords)
    chosen.records.forEach((record, i) => bytes.set(recordOf(record, disk, process, bytes), 192 + i * 32));
  if (annexHead !== "none") {
    bytes.set(new TextEncoder().encode("CLR1"), 160);
    bytes.set(words(chosen.processId), 164);
    bytes.set(hash(bytes.subarray(0, annexHead === "of another config" ? 27 : 28)), 168);
    bytes.set(hash(bytes.subarray(160, annexHead === "torn" ? 179 : 180)), 180);
  }
  return bytes;
}

function processOf({ disk: { next, root }, process }: Generated<typeof anyFile>): State {
  if (typeof process !== "string") return process;
  return { next: next + (process === "longer" ? 4 : 0), root: process === "another root" ? START : root };
}

function recordOf(chosen: Generated<typeof anyRecord>, disk: State, process: State, bytes: Uint8Array): Uint8Array {
  const { next, root } = chosen.other ?? process;
  const base = Math.max(START, disk.next - chosen.cellsBelowDisk);
  const cellsCrc = crc32(bytes.subarray(base * CELL_BYTES, next * CELL_BYTES)) ^ Number(chosen.wrong === "cells");
  const raw = words(base, next, root, cellsCrc, chosen.sequence, chosen.truncations, chosen.baseRoot ?? disk.root, 0);
  raw.set(words(crc32(raw.subarray(0, 28)) ^ Number(chosen.wrong === "record")), 28);
  return raw;
}

function headerOf({ next, root }: State, key: Uint8Array | null, torn: boolean): Uint8Array {
  const state = words(root, next);
  const [plain, keyed] = [hash(state), hash(Buffer.concat([key ?? new Uint8Array(), state]))];
  if (torn) state[7] = (state[7] ?? 0) ^ 1;
  return Buffer.concat([plain, keyed, state]);
}

function fileOfCells({ bytesPerCell, chunks }: Generated<typeof anyCells>): Uint8Array {
  const start = Math.ceil(256 / bytesPerCell);
  const next = start + CELLS;
  const bytes = fileWith(bytesPerCell, next, next * bytesPerCell);
  let [last, previous] = [start - 1, 0];
  for (const { gapCells, cells, sizeOff, link, previousOff } of chunks) {
    last += gapCells + cells;
    if (last >= next) break;
    const size = Math.max(0, cells * bytesPerCell - 6 + sizeOff);
    const linked = { chain: previous, none: 0, wrong: previous + previousOff }[link];
    bytes.set(words(size).subarray(0, 2), (last + 1) * bytesPerCell - 6);
    bytes.set(words(linked), (last + 1) * bytesPerCell - 4);
    previous = last;
  }
  for (const offset of [32, 64, 96, 128]) bytes.set(headerOf({ next, root: 0 }, null, false), offset);
  return bytes;
}

/** A file of a config and of cells, no two of them alike. */
function fileWith(bytesPerCell: number, maxIndex: number, sizeBytes: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeBytes).map((_, i) => (i < 256 ? 0 : i + (i >> 8)));
  bytes.set(words(bytesPerCell, maxIndex, 1), 20);
  return bytes;
}

function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

function hash(bytes: Uint8Array): Uint8Array {
  return blake2b(bytes, { dkLen: 12 });
}
