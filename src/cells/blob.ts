/**
 * Reads blobs. A blob is a chain of chunks: the footers are followed from the last chunk back, and the data is copied
 * from the first chunk on.
 */

import { StorageError } from "../error.ts";
import { chunkCells, firstIndexOf } from "../format/chunk.ts";
import { FOOTER, FOOTER_BYTES, MAX_CHUNK_BYTES } from "../format/layout.ts";
import { addressOf, libc } from "../os/libc.ts";
import { type Cells, MAX_VIEW_BYTES } from "./cells.ts";
import { type Range, ChunkReadAhead } from "./read-ahead.ts";

/** Bytes `[from, to)` of a blob. Bytes past its end are left out. */
export interface Part {
  readonly from: number;
  readonly to: number;
}

/** How many bytes are read ahead for the views of one call. More could fill the memory with data that is never used. */
const MAX_VIEWS_AHEAD_BYTES = 64 * 1024 * 1024;

/** The chunks of a blob, as far as its footers have been followed. */
export class Chain {
  readonly #cells: Cells;
  readonly #index: number;
  /** The last index of each chunk, the last chunk first. */
  readonly #lasts: number[] = [];
  #next: number;
  #lastChunkBytes = 0;

  /** The caller has checked the blob's index by `prepareBlob`. */
  constructor(cells: Cells, index: number) {
    this.#cells = cells;
    this.#index = index;
    this.#next = index;
  }

  /**
   * Follows at most `count` footers. Each is checked before it is used, and each step goes to a lower index.
   * @returns whether all chunks are found
   * @throws CHUNK_CORRUPT
   */
  follow(count: number): boolean {
    const { bytesPerCell, readAhead } = this.#cells;
    for (let left = count; left > 0 && this.#next !== 0; left--) {
      const last = this.#next;
      const found = this.#lasts.length;
      if (found > 0) readAhead.beforeFooter(found, (last + 1) * bytesPerCell);
      const { sizeBytes, previous } = chunkAt(this.#cells, last, found > 0);
      if (found === 0) this.#lastChunkBytes = sizeBytes;
      this.#lasts.push(last);
      this.#next = previous;
    }
    return this.#next === 0;
  }

  get count(): number {
    return this.#lasts.length;
  }

  /** The length of the chunks found so far: all but the last are full. */
  get lengthBytes(): number {
    return (this.count - 1) * MAX_CHUNK_BYTES + this.#lastChunkBytes;
  }

  /** Returns the last index of a chunk. Chunk 0 is the first. For a chunk before it, returns 0. */
  lastOf(chunk: number): number {
    return this.#lasts[this.count - 1 - chunk] ?? 0;
  }

  /** How many bytes of data a chunk has. */
  sizeOf(chunk: number): number {
    return chunk === this.count - 1 ? this.#lastChunkBytes : MAX_CHUNK_BYTES;
  }

  /** The range of a chunk in the region, from its first cell to its last. */
  rangeOf(chunk: number): Range {
    const { bytesPerCell } = this.#cells;
    const endBytes = (this.lastOf(chunk) + 1) * bytesPerCell;
    return { fromBytes: endBytes - chunkCells(this.sizeOf(chunk), bytesPerCell) * bytesPerCell, toBytes: endBytes };
  }

  /** The chunks `[first, end)` that have bytes of a part; none if the part is empty. */
  chunksOf({ from, to }: Part): { readonly first: number; readonly end: number } {
    const first = Math.floor(from / MAX_CHUNK_BYTES);
    return { first, end: from < to ? Math.ceil(to / MAX_CHUNK_BYTES) : first };
  }

  /** How many bytes of a part are in the chunks `[first, end)`. */
  lengthOf({ from, to }: Part, first: number, end: number): number {
    return Math.min(to, end * MAX_CHUNK_BYTES) - Math.max(from, first * MAX_CHUNK_BYTES);
  }

  /** Copies the bytes of a part that are in a chunk to an address. Returns how many. */
  copyChunk(chunk: number, { from, to }: Part, targetAddress: number): number {
    const startBytes = chunk * MAX_CHUNK_BYTES;
    const fromBytes = Math.max(0, from - startBytes);
    const lengthBytes = Math.min(this.sizeOf(chunk), to - startBytes) - fromBytes;
    const source = this.#cells.region.address + this.rangeOf(chunk).fromBytes + fromBytes;
    if (lengthBytes > 0) libc().memcpy(targetAddress, source, lengthBytes);
    return lengthBytes;
  }

  /** Cuts the requested part off at the blob's end. */
  partOf({ from, to }: Part): Part {
    const end = Math.min(to, this.lengthBytes);
    return { from: Math.min(from, end), to: end };
  }

  /** The error for a chunk that has changed since its footer was followed. */
  changed(): StorageError {
    const { path } = this.#cells;
    const message = `${path}: the blob at ${this.#index} changed while it was read: the writer has stored over it: refresh(), and read again`;
    return new StorageError("CHUNK_CORRUPT", message, { path, index: this.#index });
  }
}

/**
 * Returns the chunk that ends at an index of data. The cell must be in memory.
 * @param isFollowed another chunk of the blob follows, so this one must be full
 * @throws CHUNK_CORRUPT
 */
export function chunkAt(
  cells: Cells,
  last: number,
  isFollowed: boolean,
): { readonly first: number; readonly sizeBytes: number; readonly previous: number } {
  const { bytesPerCell, fields, startIndex } = cells;
  const footer = bytesPerCell - FOOTER_BYTES;
  const sizeBytes = fields.u16(last, footer + FOOTER.size.offset);
  const previous = fields.u32(last, footer + FOOTER.previous.offset);
  const first = firstIndexOf(last, sizeBytes, previous, isFollowed, startIndex, bytesPerCell);
  if (first === 0) throw corrupt(cells, last, sizeBytes, previous);
  return { first, sizeBytes, previous };
}

/** Returns a copy of the blob's bytes, or of a part of them. */
export function readBlob(cells: Cells, index: number, part?: Part): Uint8Array<ArrayBuffer> {
  prepareBlob(cells, index);
  const { bytesPerCell, readAhead } = cells;
  const { first, sizeBytes, previous } = chunkAt(cells, index, false);
  // Most blobs are one chunk.
  if (previous !== 0) return readChain(cells, index, part);
  const from = part === undefined ? 0 : Math.min(part.from, sizeBytes);
  const lengthBytes = part === undefined ? sizeBytes : Math.min(part.to, sizeBytes) - from;
  const offset = first * bytesPerCell + from;
  readAhead.beforeData(offset, lengthBytes);
  const bytes = new Uint8Array(lengthBytes);
  if (lengthBytes > 0) libc().memcpy(bytes, cells.region.address + offset, lengthBytes);
  return bytes;
}

/**
 * Prepares the reading of the blob that ends at an index: checks the index, writes staged cells to the region, and
 * reads the blob ahead.
 * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError
 */
export function prepareBlob(cells: Cells, index: number): void {
  cells.checkOpen();
  cells.prepareRead(index);
  cells.readAhead.beforeBlob((index + 1) * cells.bytesPerCell);
}

function readChain(cells: Cells, index: number, requested?: Part): Uint8Array<ArrayBuffer> {
  const chain = chainOf(cells, index);
  const part = chain.partOf(requested ?? { from: 0, to: Infinity });
  const lengthBytes = part.to - part.from;
  if (lengthBytes > MAX_VIEW_BYTES) {
    const message = `${cells.path}: read() copies at most 2^31 bytes, and the blob at ${index} has ${lengthBytes}: use stream(), or read it in parts`;
    throw new StorageError("UNSUPPORTED", message, { path: cells.path, index });
  }
  const bytes = new Uint8Array(lengthBytes);
  if (lengthBytes > 0) copyPart(cells, chain, part, bytes);
  return bytes;
}

/**
 * Copies the blob's bytes, or those of a part, into the caller's memory, as far as they fit.
 * @returns how many bytes were copied
 */
export function readBlobInto(cells: Cells, index: number, target: Uint8Array, requested: Part): number {
  prepareBlob(cells, index);
  const chain = chainOf(cells, index);
  const part = chain.partOf({ from: requested.from, to: Math.min(requested.to, requested.from + target.length) });
  if (part.to > part.from) copyPart(cells, chain, part, target);
  return part.to - part.from;
}

function copyPart(cells: Cells, chain: Chain, part: Part, target: Uint8Array): void {
  const { first, end } = chain.chunksOf(part);
  const ahead = new ChunkReadAhead(cells.readAhead, chain, end);
  // Copy by address. A view for each chunk would cost more than the copy, and memory until the garbage collector runs.
  let address = addressOf(target);
  for (let chunk = first; chunk < end; chunk++) {
    ahead.before(chunk);
    address += chain.copyChunk(chunk, part, address);
  }
}

/** Returns the blob's chunks as views, first to last. */
export function chunkViews(cells: Cells, index: number): Uint8Array<ArrayBuffer>[] {
  prepareBlob(cells, index);
  const { bytesPerCell, readAhead } = cells;
  const { first, sizeBytes, previous } = chunkAt(cells, index, false);
  if (previous === 0) {
    readAhead.beforeView(first * bytesPerCell, sizeBytes);
    return [cells.viewBytes(first * bytesPerCell, sizeBytes)];
  }
  const chain = chainOf(cells, index);
  const most = Math.min(chain.count, Math.ceil(MAX_VIEWS_AHEAD_BYTES / MAX_CHUNK_BYTES));
  new ChunkReadAhead(readAhead, chain, most, most).before(0);
  return Array.from({ length: chain.count }, (_, chunk) =>
    cells.viewBytes(chain.rangeOf(chunk).fromBytes, chain.sizeOf(chunk)),
  );
}

/** Returns the length of the blob in bytes. */
export function blobLength(cells: Cells, index: number): number {
  prepareBlob(cells, index);
  return chainOf(cells, index).lengthBytes;
}

/** Follows all footers of a blob. The caller has called `prepareBlob`. */
function chainOf(cells: Cells, index: number): Chain {
  const chain = new Chain(cells, index);
  chain.follow(Infinity);
  return chain;
}

function corrupt(cells: Cells, index: number, sizeBytes: number, previous: number): StorageError {
  const message = `${cells.path}: no chunk ends at index ${index}: its footer says ${sizeBytes} bytes after index ${previous}; was this index returned by write()?`;
  return new StorageError("CHUNK_CORRUPT", message, { path: cells.path, index });
}
