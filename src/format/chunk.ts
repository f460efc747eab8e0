/**
 * Chunks: how many cells bytes take, and which footers are possible. A chunk's data begins at its first cell; the last
 * 6 bytes of its last cell are its footer.
 */

import { FOOTER_BYTES, MAX_CHUNK_BYTES } from "./layout.ts";

/** The cells that a chunk of `sizeBytes` takes. */
export function chunkCells(sizeBytes: number, bytesPerCell: number): number {
  // `| 0` makes it an integer for the compiler too, which makes writes faster.
  return Math.ceil((sizeBytes + FOOTER_BYTES) / bytesPerCell) | 0;
}

/** The cells that a blob of `sizeBytes` takes: full chunks, then the rest. An empty blob is one empty chunk. */
export function blobCells(sizeBytes: number, bytesPerCell: number): number {
  if (sizeBytes <= MAX_CHUNK_BYTES) return chunkCells(sizeBytes, bytesPerCell);
  const fullChunks = Math.ceil(sizeBytes / MAX_CHUNK_BYTES) - 1;
  const lastBytes = sizeBytes - fullChunks * MAX_CHUNK_BYTES;
  return fullChunks * chunkCells(MAX_CHUNK_BYTES, bytesPerCell) + chunkCells(lastBytes, bytesPerCell);
}

/**
 * Returns the first index of the chunk that ends at `lastIndex`, or 0 if its footer is impossible. The rules:
 * - The chunk begins at or after `startIndex`, and the previous chunk ends before it begins. So there are no cycles.
 * - A chunk that another one follows (`isFollowed`) is full, and only a whole blob is empty. So a chain has no more
 *   chunks than its bytes need, and wrong footers cannot make a read slow or large.
 */
export function firstIndexOf(
  lastIndex: number,
  sizeBytes: number,
  previous: number,
  isFollowed: boolean,
  startIndex: number,
  bytesPerCell: number,
): number {
  const firstIndex = lastIndex + 1 - chunkCells(sizeBytes, bytesPerCell);
  if (firstIndex < startIndex) return 0;
  if (previous !== 0 && (previous < startIndex || previous >= firstIndex || sizeBytes === 0)) return 0;
  if (isFollowed && sizeBytes !== MAX_CHUNK_BYTES) return 0;
  return firstIndex;
}
