/**
 * The original, as data: the files that it wrote, what was done to each and what it answered, its rules for opening,
 * and its operations on plain arrays. Run as a program, this replays one file in a process of its own, up to the
 * SIGKILL that ended the original's: `bun golden.ts NAME PATH`.
 */

import { blake2b } from "@noble/hashes/blake2.js";
import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { type StorageConfig, StorageError, StorageWriter } from "../../src/index.ts";
import type { State } from "./decoder.ts";

export type GoldenOp =
  | { readonly op: "write"; readonly seed: number; readonly size: number; readonly answer: Answer }
  | { readonly op: "alloc"; readonly cells: number; readonly fillSeed?: number; readonly answer: Answer }
  | { readonly op: "setRoot"; readonly root: number }
  | { readonly op: "overrideVersion"; readonly version: number }
  | { readonly op: "commit" | "flush" | "truncate" | "close" | "kill" };

/** An index, or that there is none left. */
export type Answer = number | "index overflow";

export interface GoldenHeader {
  readonly hash: string;
  readonly keyedHash: string;
  readonly root: number;
  readonly next: number;
}

export interface GoldenCase {
  readonly name: string;
  readonly why: string;
  readonly fileBytes: number;
  readonly sha256: string;
  /** As it was at creation. */
  readonly config: StorageConfig;
  readonly resizeStepBytes: number;
  readonly writerKey: string;
  readonly ops: readonly GoldenOp[];
  readonly startIndex: number;
  readonly lengthAtEnd: number;
  readonly disk: readonly GoldenHeader[];
  readonly process: readonly GoldenHeader[];
  /** By index. */
  readonly blobs: Readonly<Record<string, { readonly size: number; readonly sha256: string }>>;
  readonly reopenedByReader: GoldenState;
  readonly reopenedByWriter: GoldenState;
}

interface GoldenState {
  readonly answer: "ok";
  readonly root: string;
  readonly length: number;
}

const folder = join(import.meta.dir, "..", "golden");
const HASH_BYTES = 12;
const MAX_CHUNK_BYTES = 65535;

export const goldenCases: readonly GoldenCase[] = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8")).cases;

/** The file of a case. */
export function goldenBytes(name: string): Uint8Array {
  return gunzipSync(readFileSync(join(folder, `${name}.bin.gz`)));
}

/** The bytes that the original was given: of a blob, or of the cells of one allocation taken as one piece. */
export function patternBytes(seed: number, sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let i = 0; i < sizeBytes; i++) bytes[i] = seed + i * 7 + (i >> 8);
  return bytes;
}

/** The key of a case's writer. */
export function keyOf(golden: GoldenCase): Uint8Array {
  return Uint8Array.fromHex(golden.writerKey);
}

/** Does what was done, up to a `close` or a `kill`, and tells what each step answered; a `kill` is the caller's. */
export function replay(golden: GoldenCase, path: string): (Answer | null)[] {
  const { config, resizeStepBytes } = golden;
  const writer = StorageWriter.create(path, { ...config, resizeStepBytes, writerKey: keyOf(golden) });
  return golden.ops.map((op) => step(writer, op));
}

function step(writer: StorageWriter, op: GoldenOp): Answer | null {
  switch (op.op) {
    case "write":
      return orOverflow(() => writer.write(patternBytes(op.seed, op.size)));
    case "alloc":
      return orOverflow(() => {
        const first = writer.allocate(op.cells);
        const cells = writer.cells(first, op.cells);
        if (op.fillSeed !== undefined) cells.set(patternBytes(op.fillSeed, cells.length));
        return first;
      });
    case "setRoot":
      writer.root = op.root;
      return null;
    case "overrideVersion":
      writer.overrideVersion(op.version);
      return null;
    case "flush":
      writer.flushSync();
      return null;
    case "commit":
    case "truncate":
    case "close":
      writer[op.op]();
      return null;
    case "kill":
      // What the original wrote is in the mapping at once; here it is staged until somebody wants to see it.
      if (writer.length > writer.startIndex) writer.cell(writer.length - 1);
      return null;
  }
}

/** The index that is given out, or that there is none left. */
export function orOverflow(take: () => Answer): Answer {
  try {
    return take();
  } catch (error) {
    if (error instanceof StorageError && error.code === "INDEX_OVERFLOW") return "index overflow";
    throw error;
  }
}

/**
 * What the original would show of a file, as its `open_existing_for_read` and `open_existing_for_write` decide it.
 * Null where it refuses to write the file for its headers.
 * @throws where it refuses the file for its config or its size
 */
export function openAsOriginal(bytes: Uint8Array): { readonly reader: State; readonly writer: State } | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [bytesPerCell, maxIndex] = [view.getUint32(20, true), view.getUint32(24, true)];
  if (bytesPerCell < 4 || bytesPerCell >= 0x10000 || maxIndex === 0) throw new Error("check_config");
  if (bytes.length % bytesPerCell !== 0) throw new Error("a part of a cell at the end");
  if (bytes.length / bytesPerCell > maxIndex) throw new Error("more cells than max_index");
  const disk = readAsOriginal(bytes, 32) ?? readAsOriginal(bytes, 64);
  const shown = readAsOriginal(bytes, 96) ?? readAsOriginal(bytes, 128);
  if (disk === null || shown === null) return null;
  if (disk.next > shown.next || disk.root > shown.root) return null;
  return { reader: disk, writer: { root: disk.root, next: shown.next } };
}

function readAsOriginal(bytes: Uint8Array, offset: number): State | null {
  const header = bytes.subarray(offset, offset + 32);
  const hash = blake2b(header.subarray(24), { dkLen: HASH_BYTES });
  if (!hash.every((byte, i) => byte === header[i])) return null;
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  return { root: view.getUint32(24, true), next: view.getUint32(28, true) };
}

/** A storage in plain arrays. */
export class Model {
  readonly bytesPerCell: number;
  readonly startIndex: number;
  readonly maxIndex: number;
  /** The cells from `startIndex` on. */
  data: Uint8Array = new Uint8Array();
  root = 0;
  committed: State;
  flushed: State;
  /** The commit before the last one: its record is there too. */
  #previous: State;
  /** By index. */
  readonly blobs: Map<number, Uint8Array> = new Map();
  /** The cells since the last flush, as they were when a commit covered them. */
  #covered: Uint8Array = new Uint8Array();

  constructor(bytesPerCell: number, maxIndex: number) {
    this.bytesPerCell = bytesPerCell;
    this.startIndex = Math.ceil(256 / bytesPerCell);
    this.maxIndex = maxIndex;
    this.committed = this.flushed = this.#previous = this.state;
  }

  get next(): number {
    return this.startIndex + this.data.length / this.bytesPerCell;
  }

  get state(): State {
    return { root: this.root, next: this.next };
  }

  /** Whether the cells of the last commit are as they were when it was made: then a kill loses nothing of it. */
  get provesCommit(): boolean {
    return this.#isWhole(this.committed);
  }

  /** Of the last two commits the newest whose cells are as they were; null if there is none since the flush. */
  get proven(): State | null {
    if (this.provesCommit) return this.committed;
    return this.#previous.next > this.flushed.next && this.#isWhole(this.#previous) ? this.#previous : null;
  }

  /** The cells from an index on. */
  from(index: number): Uint8Array {
    return this.data.subarray((index - this.startIndex) * this.bytesPerCell);
  }

  write(bytes: Uint8Array): Answer {
    const chunks = chunksOf(bytes, this.next, this.bytesPerCell);
    const first = this.allocate(chunks.length / this.bytesPerCell);
    if (first === "index overflow") return first;
    this.from(first).set(chunks);
    this.blobs.set(this.next - 1, bytes);
    return this.next - 1;
  }

  allocate(count: number): Answer {
    const first = this.next;
    if (first + count > this.maxIndex) return "index overflow";
    this.data = Buffer.concat([this.data, new Uint8Array(count * this.bytesPerCell)]);
    return first;
  }

  commit(): void {
    this.#covered = Buffer.concat([this.#covered, this.from(this.committed.next)]);
    this.#previous = this.committed;
    this.committed = this.state;
  }

  /** Goes on from a state, which is durable; the cells after it are gone. */
  flush({ root, next }: State = this.state): void {
    this.data = this.data.slice(0, (next - this.startIndex) * this.bytesPerCell);
    for (const index of this.blobs.keys()) if (index >= next) this.blobs.delete(index);
    this.root = root;
    this.committed = this.flushed = this.#previous = this.state;
    this.#covered = new Uint8Array();
  }

  #isWhole({ next }: State): boolean {
    const covered = this.#covered.subarray(0, (next - this.flushed.next) * this.bytesPerCell);
    return Buffer.compare(this.from(this.flushed.next).subarray(0, covered.length), covered) === 0;
  }
}

/** The cells that a blob becomes from an index on. */
function chunksOf(bytes: Uint8Array, firstIndex: number, bytesPerCell: number): Uint8Array {
  const chunks: Uint8Array[] = [];
  let [next, previous] = [firstIndex, 0];
  for (let done = 0; done === 0 || done < bytes.length; done += MAX_CHUNK_BYTES) {
    const piece = bytes.subarray(done, done + MAX_CHUNK_BYTES);
    const cells = Math.ceil((piece.length + 6) / bytesPerCell);
    const chunk = new Uint8Array(cells * bytesPerCell);
    chunk.set(piece);
    new DataView(chunk.buffer).setUint16(chunk.length - 6, piece.length, true);
    new DataView(chunk.buffer).setUint32(chunk.length - 4, previous, true);
    chunks.push(chunk);
    next += cells;
    previous = next - 1;
  }
  return Buffer.concat(chunks);
}

if (import.meta.main) {
  const [name, path] = process.argv.slice(2);
  const golden = goldenCases.find((one) => one.name === name);
  if (golden === undefined || path === undefined) throw new Error(`bun golden.ts NAME PATH, got ${process.argv}`);
  writeSync(process.stdout.fd, `${JSON.stringify({ answers: replay(golden, path) })}\n`);
  process.kill(process.pid, "SIGKILL");
}
