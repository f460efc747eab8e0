/** Reading blobs: chains of chunks, from their last chunk back. */

import { StorageError } from "../error.ts";
import { firstIndexOf } from "../format/chunk.ts";
import { FOOTER, FOOTER_BYTES } from "../format/layout.ts";
import { addressOf, libc } from "../os/libc.ts";
import { type Cells, MAX_VIEW_BYTES } from "./cells.ts";

/** Called for each chunk, from the last to the first. */
type Visit = (offsetBytes: number, sizeBytes: number) => void;

/** A chunk that may be believed. */
interface Chunk {
  readonly first: number;
  readonly sizeBytes: number;
  /** The last index of the chunk before it, 0 for none. */
  readonly previous: number;
}

/**
 * The chunk that ends at an index of data, which must be in memory.
 * @throws CHUNK_CORRUPT
 */
export function chunkAt(cells: Cells, last: number): Chunk {
  const footer = cells.bytesPerCell - FOOTER_BYTES;
  const sizeBytes = cells.fields.u16(last, footer + FOOTER.size.offset);
  const previous = cells.fields.u32(last, footer + FOOTER.previous.offset);
  const first = firstIndexOf(last, sizeBytes, previous, cells.startIndex, cells.bytesPerCell);
  if (first === 0) throw corrupt(cells, last, sizeBytes, previous);
  return { first, sizeBytes, previous };
}

/** The blob's bytes, copied. */
export function readBlob(cells: Cells, index: number): Uint8Array<ArrayBuffer> {
  cells.checkOpen();
  cells.reach(index);
  const footer = cells.bytesPerCell - FOOTER_BYTES;
  const sizeBytes = cells.fields.u16(index, footer + FOOTER.size.offset);
  const previous = cells.fields.u32(index, footer + FOOTER.previous.offset);
  // Most blobs are one chunk: without the two walks.
  if (previous !== 0) return readChunks(cells, index);
  const first = firstIndexOf(index, sizeBytes, previous, cells.startIndex, cells.bytesPerCell);
  if (first === 0) throw corrupt(cells, index, sizeBytes, previous);
  const bytes = new Uint8Array(sizeBytes);
  if (sizeBytes > 0) libc().memcpy(bytes, cells.region.address + first * cells.bytesPerCell, sizeBytes);
  return bytes;
}

function readChunks(cells: Cells, index: number): Uint8Array<ArrayBuffer> {
  const lengthBytes = blobLength(cells, index);
  if (lengthBytes > MAX_VIEW_BYTES) {
    const message = `${cells.path}: the blob at ${index} has ${lengthBytes} bytes, more than read() copies: use chunks()`;
    throw new StorageError("UNSUPPORTED", message, { path: cells.path, index });
  }
  const bytes = new Uint8Array(lengthBytes);
  // Not a view for each chunk: it would cost more than the copy, and memory until the collector comes.
  const address = addressOf(bytes);
  const { memcpy } = libc();
  let left = lengthBytes;
  walk(cells, index, (offsetBytes, sizeBytes) => {
    left -= sizeBytes;
    // The memory is shared: it may have changed since its length was taken.
    if (left < 0) throw changed(cells, index);
    if (sizeBytes > 0) memcpy(address + left, cells.region.address + offsetBytes, sizeBytes);
  });
  if (left !== 0) throw changed(cells, index);
  return bytes;
}

/** The blob's chunks as views, first to last. */
export function chunkViews(cells: Cells, index: number): Uint8Array<ArrayBuffer>[] {
  const views: Uint8Array<ArrayBuffer>[] = [];
  walk(cells, index, (offsetBytes, sizeBytes) => views.push(cells.viewBytes(offsetBytes, sizeBytes)));
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
  cells.reach(index);
  const { bytesPerCell, startIndex, fields } = cells;
  const footer = bytesPerCell - FOOTER_BYTES;
  for (let last = index; last !== 0;) {
    const sizeBytes = fields.u16(last, footer + FOOTER.size.offset);
    const previous = fields.u32(last, footer + FOOTER.previous.offset);
    const first = firstIndexOf(last, sizeBytes, previous, startIndex, bytesPerCell);
    if (first === 0) throw corrupt(cells, last, sizeBytes, previous);
    visit(first * bytesPerCell, sizeBytes);
    last = previous;
  }
}

function corrupt(cells: Cells, index: number, sizeBytes: number, previous: number): StorageError {
  const message = `${cells.path}: no chunk ends at index ${index}: its footer says ${sizeBytes} bytes after index ${previous}; was this index returned by write()?`;
  return new StorageError("CHUNK_CORRUPT", message, { path: cells.path, index });
}

export function changed(cells: Cells, index: number): StorageError {
  const message = `${cells.path}: the blob at ${index} changed while it was read: the writer has stored over it: refresh(), and read again`;
  return new StorageError("CHUNK_CORRUPT", message, { path: cells.path, index });
}
