/** The cells of an open storage: checks of indices, views, and fields. */

import { StorageError, wrongType } from "../error.ts";
import { chunkCells } from "../format/chunk.ts";
import { MAX_CHUNK_BYTES, startIndexOf } from "../format/layout.ts";
import type { StorageConfig } from "../format/config.ts";
import type { ReadableRegion } from "../region/region.ts";
import { FieldAccess } from "./field-access.ts";
import { ReadAhead } from "./read-ahead.ts";

/** The longest view, and the longest blob that `read` returns. */
export const MAX_VIEW_BYTES: number = 2 ** 31;

type CellMemory = Pick<ReadableRegion, "path" | "address" | "sizeBytes" | "view">;

/** How a writer takes part in accesses to its cells. */
export interface CellOwner {
  /** Writes the staged blobs to the region, and sets `inMemory`. */
  drain(): void;
  /** A view of cells below `end` is returned to the caller. */
  exposed(end: number): void;
}

export class Cells {
  readonly region: CellMemory;
  readonly path: string;
  readonly bytesPerCell: number;
  readonly startIndex: number;
  /** For loads and stores of checked fields. */
  readonly fields: FieldAccess;
  readonly readAhead: ReadAhead;
  /** 0 for none. Set by the owner of the storage. */
  root: number;
  closed = false;
  /** Thrown by every access if not null: FILE_CHANGED, after which nothing in the file may be read. */
  #refusal: StorageError | null = null;
  /** Set by a writer. */
  owner: CellOwner | null = null;
  #length: number;
  #inMemory: number;
  #closeController: AbortController | undefined;

  constructor(region: CellMemory, config: Pick<StorageConfig, "bytesPerCell">, length: number, root: number) {
    this.region = region;
    this.path = region.path;
    this.bytesPerCell = config.bytesPerCell;
    this.startIndex = startIndexOf(config.bytesPerCell);
    this.fields = new FieldAccess(region, config.bytesPerCell);
    const chunkBytes = chunkCells(MAX_CHUNK_BYTES, config.bytesPerCell) * config.bytesPerCell;
    this.readAhead = new ReadAhead(region, this.startIndex * config.bytesPerCell, chunkBytes);
    this.root = root;
    this.#length = length;
    this.#inMemory = length;
  }

  /** The number of cells in use, including the header area. */
  get length(): number {
    return this.#length;
  }

  /** How many of them are in memory; the others are staged. */
  get inMemory(): number {
    return this.#inMemory;
  }

  setLength(length: number, inMemory: number = length): void {
    this.#length = length;
    this.#inMemory = inMemory;
  }

  /** Aborted with the reason CLOSED when the storage is closed, to end waiting operations. */
  get closeSignal(): AbortSignal {
    if (this.#closeController === undefined) {
      this.#closeController = new AbortController();
      // A getter of the caller may have closed the storage; then the signal is aborted at once.
      if (this.closed) this.#closeController.abort(closedError(this.path));
    }
    return this.#closeController.signal;
  }

  /** The storage is closed from now on. */
  close(): void {
    this.closed = true;
    this.#closeController?.abort(closedError(this.path));
  }

  /** Lets every access throw `error` from now on, until the storage is closed. */
  refuse(error: StorageError): void {
    this.#refusal = error;
  }

  /** @throws CLOSED, FILE_CHANGED */
  checkOpen(): void {
    if (this.closed) throw closedError(this.path);
    if (this.#refusal !== null) throw this.#refusal;
  }

  /**
   * Checks that the cell may be read, and brings it into memory.
   * @throws INDEX_OUT_OF_RANGE not an index of data; TypeError not a number
   */
  reach(index: number): void {
    this.checkIndex(index);
    if (index >= this.#inMemory) this.owner?.drain();
  }

  /** @throws INDEX_OUT_OF_RANGE not an index of data; TypeError not a number */
  checkIndex(index: number): void {
    if (typeof index === "number" && index >= this.startIndex && index < this.#length && Number.isInteger(index))
      return;
    if (typeof index !== "number") throw wrongType("index", "a number", index);
    const empty = this.#length === this.startIndex;
    const range = empty ? "there are no cells yet" : `expected an index from ${this.startIndex} to ${this.#length - 1}`;
    // The most frequent mistake with a reader: the cell exists, but the reader shows an earlier state.
    const isNewer = this.owner === null && index >= this.#length;
    const advice = isNewer
      ? "a newer cell can be read after the writer's commit(), or flush() if the reader follows flushes, and then the reader's refresh()"
      : "an index comes from write(), allocate() or root";
    this.#outOfRange(index, `${range}, got ${index}: ${advice}`);
  }

  /** Returns a view of `count` units of `unitBytes` bytes, from the first byte of the cell. */
  view(index: number, count: number, unitBytes: number): Uint8Array<ArrayBuffer> {
    this.checkOpen();
    this.reach(index);
    const offset = index * this.bytesPerCell;
    const mostBytes = Math.min(this.#length * this.bytesPerCell - offset, MAX_VIEW_BYTES);
    if (!(typeof count === "number" && count >= 0 && count * unitBytes <= mostBytes && Number.isInteger(count))) {
      if (typeof count !== "number") throw wrongType("length of a view", "a number", count);
      const noun = unitBytes === 1 ? "bytes" : "cells";
      const why = mostBytes === MAX_VIEW_BYTES ? "a view has at most 2^31 bytes" : "there are no more up to the end";
      const most = Math.floor(mostBytes / unitBytes);
      this.#outOfRange(index, `from index ${index} on: expected 0 to ${most} ${noun}, got ${count}: ${why}`);
    }
    return this.viewBytes(offset, count * unitBytes);
  }

  /** Returns a view of bytes whose bounds the caller has checked. */
  viewBytes(offset: number, lengthBytes: number): Uint8Array<ArrayBuffer> {
    if (this.owner !== null) {
      const endBytes = offset + lengthBytes;
      if (endBytes > this.#inMemory * this.bytesPerCell) this.owner.drain();
      this.owner.exposed(Math.ceil(endBytes / this.bytesPerCell));
    }
    return this.region.view(offset, lengthBytes);
  }

  /**
   * Checks a field of `lengthBytes` bytes at `offset` bytes from the first byte of a cell. The field may lie in later
   * cells.
   * @throws CLOSED; INDEX_OUT_OF_RANGE; TypeError
   */
  checkField(index: number, offset: number, lengthBytes: number): void {
    this.checkOpen();
    this.reach(index);
    if (typeof offset === "number" && offset >= 0 && offset <= this.bytesPerCell - lengthBytes) {
      if (Number.isInteger(offset)) return;
    }
    this.#checkFarField(index, offset, lengthBytes);
  }

  #checkFarField(index: number, offset: number, lengthBytes: number): void {
    if (typeof offset !== "number") throw wrongType("offset", "a number", offset);
    const mostBytes = (this.#length - index) * this.bytesPerCell - lengthBytes;
    if (!(offset >= 0 && offset <= mostBytes && Number.isInteger(offset))) {
      const what = `a field of ${lengthBytes} bytes from index ${index} on: expected an offset from 0 to ${mostBytes}`;
      this.#outOfRange(index, `${what}, got ${offset}: the storage ends there`);
    }
    if (this.#inMemory < this.#length) this.owner?.drain();
  }

  #outOfRange(index: number, what: string): never {
    throw new StorageError("INDEX_OUT_OF_RANGE", `${this.path}: ${what}`, { path: this.path, index });
  }
}

function closedError(path: string): StorageError {
  return new StorageError(
    "CLOSED",
    `${path}: the storage is closed: open it again; a stream, a copy or a flush must be awaited before close()`,
    { path },
  );
}
