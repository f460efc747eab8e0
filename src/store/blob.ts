/** Blobs: chains of chunks, written forward and read from their last chunk back. */

import { StorageError } from "../error.ts";
import { chunkCells, firstIndexOf } from "../format/chunk.ts";
import { FOOTER, FOOTER_BYTES, MAX_CHUNK_BYTES } from "../format/layout.ts";
import { libc, loadU16, loadU32 } from "../os/libc.ts";
import { type Cells, MAX_VIEW_BYTES } from "./cells.ts";
import type { Space } from "./space.ts";

/** Called for each chunk, from the last to the first. */
type Visit = (offsetBytes: number, sizeBytes: number) => void;

/** Filled and copied for every chunk that is written: two bytes of size, four of the chunk before. */
const footer = new Uint8Array(FOOTER_BYTES);

/** A chunk that may be believed. */
interface Chunk {
  readonly first: number;
  readonly sizeBytes: number;
  /** The last index of the chunk before it, 0 for none. */
  readonly previous: number;
}

/**
 * The chunk that ends at an index of data.
 * @throws CHUNK_CORRUPT
 */
export function chunkAt(cells: Cells, last: number): Chunk {
  const footerAddress = footerOf(cells, last);
  const sizeBytes = loadU16(footerAddress + FOOTER.size.offset);
  const previous = loadU32(footerAddress + FOOTER.previous.offset);
  const first = firstIndexOf(last, sizeBytes, previous, cells.startIndex, cells.bytesPerCell);
  if (first === 0) throw corrupt(cells, last, sizeBytes, previous);
  return { first, sizeBytes, previous };
}

/**
 * Stores `bytes` as chunks into cells that were just taken from `firstIndex` on, after those that end at `previous`.
 * @returns the blob's index: the last one of its last chunk
 */
export function writeBlob(cells: Cells, space: Space, firstIndex: number, bytes: Uint8Array, previous = 0): number {
  const { memcpy } = libc();
  const { bytesPerCell } = cells;
  const { address } = cells.region;
  let first = firstIndex;
  for (let done = 0; ; done += MAX_CHUNK_BYTES) {
    const sizeBytes = Math.min(MAX_CHUNK_BYTES, bytes.length - done);
    const next = first + chunkCells(sizeBytes, bytesPerCell);
    const start = first * bytesPerCell;
    const footerStart = next * bytesPerCell - FOOTER_BYTES;
    if (sizeBytes > 0) memcpy(address + start, sizeBytes === bytes.length ? bytes : bytes.subarray(done), sizeBytes);
    space.clear(start + sizeBytes, footerStart);
    footer[0] = sizeBytes;
    footer[1] = sizeBytes >>> 8;
    footer[2] = previous;
    footer[3] = previous >>> 8;
    footer[4] = previous >>> 16;
    footer[5] = previous >>> 24;
    memcpy(address + footerStart, footer, FOOTER_BYTES);
    previous = next - 1;
    first = next;
    if (done + sizeBytes >= bytes.length) return previous;
  }
}

/** The blob's bytes, copied. */
export function readBlob(cells: Cells, index: number): Uint8Array {
  cells.checkOpen();
  cells.checkIndex(index);
  const footerAddress = footerOf(cells, index);
  const sizeBytes = loadU16(footerAddress + FOOTER.size.offset);
  const previous = loadU32(footerAddress + FOOTER.previous.offset);
  // Most blobs are one chunk: without the two walks.
  if (previous !== 0) return readChunks(cells, index);
  const first = firstIndexOf(index, sizeBytes, previous, cells.startIndex, cells.bytesPerCell);
  if (first === 0) throw corrupt(cells, index, sizeBytes, previous);
  const bytes = new Uint8Array(sizeBytes);
  if (sizeBytes > 0) libc().memcpy(bytes, cells.region.address + first * cells.bytesPerCell, sizeBytes);
  return bytes;
}

function readChunks(cells: Cells, index: number): Uint8Array {
  const lengthBytes = blobLength(cells, index);
  if (lengthBytes > MAX_VIEW_BYTES) {
    const message = `${cells.path}: the blob at ${index} has ${lengthBytes} bytes, more than read() copies: use chunks()`;
    throw new StorageError("UNSUPPORTED", message, { path: cells.path, index });
  }
  const bytes = new Uint8Array(lengthBytes);
  const { memcpy } = libc();
  let left = lengthBytes;
  walk(cells, index, (offsetBytes, sizeBytes) => {
    left -= sizeBytes;
    // The memory is shared: it may have changed since its length was taken.
    if (left < 0) throw changed(cells, index);
    if (sizeBytes > 0) memcpy(bytes.subarray(left), cells.region.address + offsetBytes, sizeBytes);
  });
  if (left !== 0) throw changed(cells, index);
  return bytes;
}

/** The blob's chunks as views, first to last. */
export function chunkViews(cells: Cells, index: number): Uint8Array[] {
  const views: Uint8Array[] = [];
  walk(cells, index, (offsetBytes, sizeBytes) => views.push(cells.region.view(offsetBytes, sizeBytes)));
  return views.reverse();
}

/** The blob's bytes in all. */
export function blobLength(cells: Cells, index: number): number {
  let lengthBytes = 0;
  walk(cells, index, (_offsetBytes, sizeBytes) => {
    lengthBytes += sizeBytes;
  });
  return lengthBytes;
}

/** Follows the chain. Each footer is checked before it is used, and each step goes to a lower index. */
function walk(cells: Cells, index: number, visit: Visit): void {
  cells.checkOpen();
  cells.checkIndex(index);
  const { bytesPerCell, startIndex } = cells;
  for (let last = index; last !== 0;) {
    const footerAddress = footerOf(cells, last);
    const sizeBytes = loadU16(footerAddress + FOOTER.size.offset);
    const previous = loadU32(footerAddress + FOOTER.previous.offset);
    const first = firstIndexOf(last, sizeBytes, previous, startIndex, bytesPerCell);
    if (first === 0) throw corrupt(cells, last, sizeBytes, previous);
    visit(first * bytesPerCell, sizeBytes);
    last = previous;
  }
}

/** The address of the footer of the chunk that ends at a checked index. */
function footerOf(cells: Cells, lastIndex: number): number {
  return cells.region.address + (lastIndex + 1) * cells.bytesPerCell - FOOTER_BYTES;
}

function corrupt(cells: Cells, index: number, sizeBytes: number, previous: number): StorageError {
  const message = `${cells.path}: no chunk ends at index ${index}: its footer says ${sizeBytes} bytes after index ${previous}; was this index returned by write()?`;
  return new StorageError("CHUNK_CORRUPT", message, { path: cells.path, index });
}

export function changed(cells: Cells, index: number): StorageError {
  const message = `${cells.path}: the blob at ${index} changed while it was read: it is being written over`;
  return new StorageError("CHUNK_CORRUPT", message, { path: cells.path, index });
}
