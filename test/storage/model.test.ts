/**
 * Random sequences of operations. After each one the library shows what a model of plain arrays shows; after each
 * commit, flush, close and kill the second decoder finds the same in the bytes of the file.
 */

import { expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { StorageReader, type StorageState, StorageWriter } from "../../src/index.ts";
import { blobAt, decode, readerState, type State, writerState } from "../support/decoder.ts";
import { useFolder } from "../support/folder.ts";
import { type Answer, Model, openAsOriginal, orOverflow, patternBytes } from "../support/golden.ts";

const seed = process.env["SEED"];
fc.configureGlobal({ includeErrorInReport: true, ...(seed === undefined ? {} : { seed: Number(seed) }) });
setDefaultTimeout(60_000);
const newPath = useFolder();
const CHUNK_BYTES = 65535;

const cellSizes = [4, 5, 6, 7, 31, 32, 33, 36, 64, 100, 255, 256, 257, 4096, 65535];
const anyStep = fc.constantFrom({ resizeStepBytes: 1 }, { resizeStepBytes: 100 }, {});
const anyCells = fc.record({
  bytesPerCell: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...cellSizes) }, fc.integer({ min: 4, max: 65535 })),
  /** Null: as many as an index can count. */
  mostCells: fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, fc.nat(60)),
});
/** What an operation may choose from; the first three make sizes around the edges of chunks and cells. */
const anyChoice = fc.record({
  chunks: fc.constantFrom(0, 0, 0, 0, 0, 0, 1, 2),
  cells: fc.nat(3),
  off: fc.integer({ min: -8, max: 2 }),
  at: fc.nat(),
  fill: fc.nat(255),
  step: anyStep,
});
type Choice = typeof anyChoice extends fc.Arbitrary<infer T> ? T : never;

/** One storage, its model, and its readers. */
interface Run {
  readonly model: Model;
  writer: StorageWriter;
  /** Null: in memory. */
  path: string | null;
  version: number;
  truncations: number;
  /** Indices of cells that may be changed in place. */
  allocated: number[];
  readers: { readonly reader: StorageReader; readonly followed: "committed" | "flushed"; shown: Shown }[];
}

type Shown = State & { readonly truncations: number };

/** Each does the same to the library and to the model. */
const operations = {
  write(run: Run, { chunks, cells, off, fill }: Choice): void {
    const bytes = patternBytes(fill, Math.max(0, chunks * CHUNK_BYTES + cells * run.model.bytesPerCell + off));
    take(run, (storage) => storage.write(bytes));
  },
  allocate(run: Run, { cells, at, fill }: Choice): void {
    const count = cells * 3 + 1;
    const first = take(run, (storage) => storage.allocate(count));
    if (first === "index overflow") return;
    const given = run.writer.cells(first, count);
    expectSame(given, new Uint8Array(given.length));
    if (at % 4 === 0) return;
    given.set(patternBytes(fill, given.length));
    run.model.from(first).set(given);
    for (let i = 0; i < count; i++) run.allocated.push(first + i);
  },
  tooMuch(run: Run, { fill }: Choice): void {
    const count = run.model.maxIndex - run.model.next + 1 + fill;
    expect(take(run, (storage) => storage.allocate(count))).toBe("index overflow");
  },
  change({ model, writer, allocated }: Run, { at, fill }: Choice): void {
    const index = allocated.at(-1 - (at % 10));
    if (index === undefined) return;
    writer.cell(index)[at % model.bytesPerCell] = fill;
    model.from(index)[at % model.bytesPerCell] = fill;
  },
  root({ model, writer }: Run, { at }: Choice): void {
    const count = model.next - model.startIndex;
    model.root = count === 0 || at % 5 === 0 ? 0 : model.startIndex + (at % count);
    writer.root = model.root === 0 ? null : model.root;
  },
  version(run: Run, { fill }: Choice): void {
    run.version = fill * 0x01010101;
    run.writer.overrideVersion(run.version);
  },
  commit(run: Run): void {
    run.writer.commit();
    run.model.commit();
  },
  async flush(run: Run, { at }: Choice): Promise<void> {
    run.model.flush();
    expect(stateOf(at % 2 === 0 ? run.writer.flushSync() : await run.writer.flush())).toEqual(run.model.state);
  },
  async overlappingFlushes(run: Run, choice: Choice): Promise<void> {
    const { model, writer } = run;
    const [first, flushes] = [model.state, [writer.flush()]];
    operations.write(run, choice);
    flushes.push(writer.flush());
    operations.root(run, choice);
    flushes.push(writer.flush());
    const overtaken = choice.at % 3 === 0;
    if (overtaken) writer.flushSync();
    // Those that are called while the first one runs share the next.
    const states = (await Promise.all(flushes)).map(stateOf);
    expect(states).toEqual([overtaken ? model.state : first, model.state, model.state]);
    model.flush();
  },
  truncate(run: Run, { at, cells }: Choice): void {
    run.writer.truncate(at % 2 === 0 ? {} : { capacityCells: cells * 10 + 1 });
    run.truncations++;
    cut(run, { root: 0, next: run.model.startIndex });
  },
  reopen(run: Run, { step }: Pick<Choice, "step">): void {
    if (run.path === null) return;
    run.writer.close();
    run.model.flush();
    expect(openAsOriginal(checkFile(run))).toEqual({ reader: run.model.state, writer: run.model.state });
    run.writer = StorageWriter.open(run.path, step);
    expect(run.writer.recovery).toEqual({ state: "clean", skippedCells: 0, tornCopies: 0 });
  },
  /** What the file holds now, as another file, is what a killed writer leaves. */
  kill(run: Run, choice: Choice): void {
    if (run.path === null) return;
    const before = (["allocate", "commit", "change"] as const).slice(0, choice.at % 4);
    for (const name of before) operations[name](run, choice);
    const { committed, flushed, provesCommit, proven } = run.model;
    const bytes = checkFile(run);
    closeAll(run);
    run.path = newPath();
    writeFileSync(run.path, bytes);
    using reader = StorageReader.open(run.path);
    expect(stateOf(reader)).toEqual(flushed);
    using follower = StorageReader.open(run.path, { follow: "commits" });
    expect(stateOf(follower)).toEqual(provesCommit ? committed : flushed);
    const isClean = committed.next === flushed.next && committed.root === flushed.root;
    const state = isClean ? "clean" : proven !== null ? "resumedAtCommit" : "resumedAtFlush";
    cut(run, { next: committed.next, root: (isClean ? committed : (proven ?? flushed)).root });
    expect(writerState(decode(bytes))).toEqual({ state, ...run.model.state });
    run.writer = StorageWriter.open(run.path, choice.step);
    const skippedCells = isClean ? 0 : committed.next - (proven ?? flushed).next;
    expect(run.writer.recovery).toEqual({ state, skippedCells, tornCopies: 0 });
  },
  reader(run: Run, { at }: Choice): void {
    if (run.path === null) return;
    const [follow, followed] = at % 2 === 0 ? (["commits", "committed"] as const) : (["flushes", "flushed"] as const);
    const reader = StorageReader.open(run.path, { follow });
    run.readers.push({ reader, followed, shown: { ...run.model[followed], truncations: run.truncations } });
    expect([reader.follows, reader.config.version]).toEqual([follow, run.version]);
    operations.refresh(run);
  },
  refresh({ model, readers, truncations }: Run): void {
    for (const one of readers) {
      const now = { ...model[one.followed], truncations };
      expect(one.reader.refresh()).toBe(!Bun.deepEquals(one.shown, now));
      one.shown = now;
      if (now.next === model.startIndex) continue;
      const cells = one.reader.cells(model.startIndex, now.next - model.startIndex);
      expectSame(cells, model.data.subarray(0, cells.length));
    }
  },
};

const often = ["write", "write", "allocate", "allocate", "change", "change", "root", "commit", "commit"] as const;
const seldom = ["tooMuch", "version", "flush", "overlappingFlushes", "truncate"] as const;
const inFiles = ["reopen", "kill", "reader", "refresh"] as const;
const anyStepOf = fc.tuple(fc.constantFrom(...often, ...seldom, ...inFiles), anyChoice);
const anySteps = fc.array(anyStepOf, { maxLength: 25, size: "max" });

test.each(["in a file", "in memory"])("whatever is done %s: library, model and decoder agree", async (medium) => {
  const property = fc.asyncProperty(anyCells, anyStep, anySteps, async ({ bytesPerCell, mostCells }, step, steps) => {
    const model = new Model(bytesPerCell, mostCells === null ? 2 ** 32 - 1 : Math.ceil(256 / bytesPerCell) + mostCells);
    const options = { bytesPerCell, maxIndex: model.maxIndex, ...step };
    const path = medium === "in a file" ? newPath() : null;
    const writer = path === null ? StorageWriter.inMemory(options) : StorageWriter.create(path, options);
    const run: Run = { model, writer, path, version: 1, truncations: 0, allocated: [], readers: [] };
    try {
      for (const [name, choice] of steps) {
        await operations[name](run, choice);
        checkStorages(run);
        checkFile(run);
      }
      operations.reopen(run, { step });
    } finally {
      closeAll(run);
    }
  });
  await fc.assert(property, { numRuns: medium === "in memory" ? 200 : 100 });
});

/** Both give out the same cells, or refuse for want of indices: then nothing has changed. */
function take({ model, writer, path }: Run, from: (storage: Pick<Model, "write" | "allocate">) => Answer): Answer {
  const answer = from(model);
  const before = path === null || answer !== "index overflow" ? null : readFileSync(path);
  expect(orOverflow(() => from(writer))).toBe(answer);
  if (before !== null && path !== null) expectSame(readFileSync(path), before);
  return answer;
}

function cut(run: Run, state: State): void {
  run.model.flush(state);
  run.allocated = run.allocated.filter((index) => index < state.next);
}

function closeAll(run: Run): void {
  for (const { reader } of run.readers) reader.close();
  run.readers = [];
  run.writer.close();
  if (run.path !== null) rmSync(run.path);
}

function checkStorages({ model, writer, version, readers }: Run): void {
  const { startIndex, bytesPerCell, maxIndex } = model;
  expect(stateOf(writer)).toEqual(model.state);
  expect(writer.config).toEqual({ headString: "", bytesPerCell, maxIndex, version });
  expect([writer.startIndex, writer.byteLength]).toEqual([startIndex, model.next * bytesPerCell]);
  if (model.data.length > 0) expectSame(writer.cells(startIndex, model.next - startIndex), model.data);
  for (const [index, blob] of model.blobs) expectSame(writer.read(index), blob);
  const shown = readers.map(({ reader }) => ({ ...stateOf(reader), truncations: reader.truncations }));
  expect(shown).toEqual(readers.map((one) => one.shown));
}

/** The file holds what the model says, by the second decoder. Returns its bytes. */
function checkFile({ model, writer, path, version, truncations }: Run): Uint8Array {
  if (path === null) return new Uint8Array();
  const bytes = readFileSync(path);
  const file = decode(bytes);
  const { startIndex, bytesPerCell, maxIndex, committed, flushed } = model;
  expect(file.config).toEqual({ headString: "", bytesPerCell, maxIndex, version });
  expect(file.annexHead).toEqual({ processId: writer.closed ? 0 : process.pid, isConfigIntact: true });
  expect([file.fileCells * bytesPerCell, file.fileCells <= maxIndex]).toEqual([bytes.length, true]);
  expect([...file.disk, ...file.process]).toMatchObject([flushed, flushed, committed, committed]);
  expect(readerState(file, "flushes")).toEqual({ ...flushed, follows: "flushes", truncations });
  expect(readerState(file, "commits")).toMatchObject({ ...(model.provesCommit ? committed : flushed), truncations });
  const offset = startIndex * bytesPerCell;
  expectSame(bytes.subarray(offset, offset + model.data.length), model.data);
  for (const [index, blob] of model.blobs) expectSame(blobAt(file, index, model.next), blob);
  return bytes;
}

function stateOf({ root, length }: StorageState): State {
  return { root: root ?? 0, next: length };
}

function expectSame(a: Uint8Array, b: Uint8Array): void {
  expect(Buffer.compare(a, b)).toBe(0);
}
