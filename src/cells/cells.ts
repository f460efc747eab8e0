/** The cells of an open storage: checks of indices, views, and fields. */

import { StorageError, wrongType } from "../error.ts";
import { chunkCells } from "../format/chunk.ts";
import { MAX_CHUNK_BYTES, startIndexOf } from "../format/layout.ts";
import type { Header } from "../format/header.ts";
import type { CellMemory } from "../region/region.ts";
import { FieldAccess } from "./field-access.ts";
import { ReadAhead } from "./read-ahead.ts";

/** The longest view, and the longest blob that `read` returns. */
export const MAX_VIEW_BYTES: number = 2 ** 31;

/** The advice in messages about an index that is not one of data. */
export const INDEX_ORIGIN = "an index comes from write(), allocate() or root";

/** The cells of a reader. The subclass `WritableCells` is for a writer: some of its cells may not be in memory yet. */
export class Cells {
  readonly region: CellMemory;
  readonly path: string;
  readonly bytesPerCell: number;
  readonly startIndex: number;
  /** For loads and stores of checked fields. */
  readonly fields: FieldAccess;
  readonly readAhead: ReadAhead;
  #length: number;
  #root: number;
  #closed = false;
  /** Thrown by every access if not null: FILE_CHANGED, after which nothing in the file may be read. */
  #refusal: StorageError | null = null;

  constructor(region: CellMemory, bytesPerCell: number, { next, root }: Header) {
    this.region = region;
    this.path = region.path;
    this.bytesPerCell = bytesPerCell;
    this.startIndex = startIndexOf(bytesPerCell);
    this.fields = new FieldAccess(region, bytesPerCell);
    const chunkBytes = chunkCells(MAX_CHUNK_BYTES, bytesPerCell) * bytesPerCell;
    this.readAhead = new ReadAhead(region, this.startIndex * bytesPerCell, chunkBytes);
    this.#length = next;
    this.#root = root;
  }

  /** The number of cells in use, including the header area. */
  get length(): number {
    return this.#length;
  }

  /** 0 for none. */
  get root(): number {
    return this.#root;
  }

  get closed(): boolean {
    return this.#closed;
  }

  setState(length: number, root: number): void {
    this.#length = length;
    this.#root = root;
  }

  /** Makes every access throw CLOSED. */
  close(): void {
    this.#closed = true;
  }

  /** Makes every access throw `error` until the storage is closed. */
  refuse(error: StorageError): void {
    this.#refusal = error;
  }

  /** @throws CLOSED, FILE_CHANGED */
  checkOpen(): void {
    if (this.#closed) throw closedError(this.path);
    if (this.#refusal !== null) throw this.#refusal;
  }

  /**
   * Checks that the cell may be read. If it is staged, writes it to the region.
   * @throws INDEX_OUT_OF_RANGE not an index of data; TypeError not a number
   */
  prepareRead(index: number): void {
    this.checkIndex(index);
    this.ensureInMemory(index);
  }

  /** @throws INDEX_OUT_OF_RANGE not an index of data; TypeError not a number */
  checkIndex(index: number): void {
    if (typeof index === "number" && index >= this.startIndex && index < this.#length && Number.isInteger(index))
      return;
    if (typeof index !== "number") throw wrongType("index", "a number", index);
    const empty = this.#length === this.startIndex;
    const range = empty ? "there are no cells yet" : `expected an index from ${this.startIndex} to ${this.#length - 1}`;
    this.#outOfRange(index, `${range}, got ${index}: ${this.adviceOn(index)}`);
  }

  /** Returns the advice for an access to a cell that is not there. */
  protected adviceOn(index: number): string {
    // The most frequent mistake with a reader: the cell exists, but the reader shows an earlier state.
    return index >= this.#length
      ? "a newer cell can be read after the writer's commit(), or flush() if the reader follows flushes, and then the reader's refresh()"
      : INDEX_ORIGIN;
  }

  /** Writes the staged cells to the region if the cell is one of them. A reader has none. */
  protected ensureInMemory(_index: number): void {}

  /** Returns a view of `count` units of `unitBytes` bytes, from the first byte of the cell. */
  view(index: number, count: number, unitBytes: number): Uint8Array<ArrayBuffer> {
    this.checkOpen();
    this.prepareRead(index);
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
    return this.region.view(offset, lengthBytes);
  }

  /**
   * Checks a field of `lengthBytes` bytes at `offset` bytes from the first byte of a cell. The field may lie in later
   * cells.
   * @throws CLOSED; INDEX_OUT_OF_RANGE; TypeError
   */
  checkField(index: number, offset: number, lengthBytes: number): void {
    this.checkOpen();
    // The same as `prepareRead`, but inline: the compiler limits how many levels of calls it inlines.
    this.checkIndex(index);
    this.ensureInMemory(index);
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
    this.ensureInMemory(index + Math.floor((offset + lengthBytes - 1) / this.bytesPerCell));
  }

  #outOfRange(index: number, what: string): never {
    throw new StorageError("INDEX_OUT_OF_RANGE", `${this.path}: ${what}`, { path: this.path, index });
  }
}

export function closedError(path: string): StorageError {
  return new StorageError(
    "CLOSED",
    `${path}: the storage is closed: open it again; a stream, a copy or a flush must be awaited before close()`,
    { path },
  );
}
