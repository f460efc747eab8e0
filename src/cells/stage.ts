/**
 * Blobs on their way into the region. They are laid out as chunks in a buffer on the heap, and written from there
 * many at a time: that costs the kernel a third of what storing them into fresh pages one by one does, and their CRC
 * is taken while they are in the processor's cache. Whoever wants to see them drains the stage first.
 */

import { wrongType } from "../error.ts";
import { blobCells, chunkCells } from "../format/chunk.ts";
import { FOOTER, FOOTER_BYTES, MAX_CHUNK_BYTES } from "../format/layout.ts";
import type { WritableRegion } from "../region/region.ts";
import type { Space } from "./space.ts";

/** What is written at once, from one multiple of it to the next: smaller than the cache of a processor. */
const PIECE_BYTES = 256 * 1024;
/** A piece that is not full yet, and the chunk that fills it: with its footer and the rest of its last cell. */
const STAGE_BYTES = PIECE_BYTES + 128 * 1024;

/** Is told of the bytes of each run of cells, while they are at hand. */
export type Feed = (firstIndex: number, bytes: Uint8Array) => void;

export class Stage {
  readonly #region: WritableRegion;
  readonly #bytesPerCell: number;
  readonly #space: Space;
  readonly #feed: Feed;
  #bytes: Uint8Array = new Uint8Array(0);
  #fields: DataView = new DataView(this.#bytes.buffer);
  #usedBytes = 0;
  /** The cell that the first byte belongs to. */
  #firstIndex: number;

  constructor(region: WritableRegion, bytesPerCell: number, space: Space, feed: Feed) {
    this.#region = region;
    this.#bytesPerCell = bytesPerCell;
    this.#space = space;
    this.#feed = feed;
    this.#firstIndex = space.length;
  }

  /** The first cell that is not in the region. */
  get drained(): number {
    return this.#usedBytes === 0 ? this.#space.length : this.#firstIndex;
  }

  /**
   * Takes cells, and lays the blob out in them, or a part of one whose chunk before ends at `previous`.
   * @returns its index, the last one of its last chunk
   * @throws INDEX_OVERFLOW, DISK_FULL, SYSTEM; TypeError its length changes meanwhile; the cells are to be taken back, of
   * which some may have been written
   */
  add(blob: Uint8Array, previous: number): number {
    // Once: another thread may make a shared buffer longer meanwhile.
    const lengthBytes = blob.length;
    const first = this.#space.take(blobCells(lengthBytes, this.#bytesPerCell));
    if (this.#usedBytes === 0) this.#firstIndex = first;
    if (lengthBytes <= MAX_CHUNK_BYTES) return this.#addChunk(first, blob, lengthBytes, previous);
    return this.#addChunks(first, blob, lengthBytes, previous);
  }

  /**
   * Writes what is staged to the region.
   * @throws DISK_FULL, SYSTEM; it stays staged, and may be drained later
   */
  drain(): void {
    if (this.#usedBytes > 0) this.#drainFirst(this.#usedBytes);
  }

  /** Takes the cells from `first` on back, staged or written. */
  takeBack(first: number): void {
    this.#space.giveBack(first);
    const staged = (first - this.#firstIndex) * this.#bytesPerCell;
    if (staged >= 0) this.#usedBytes = Math.min(this.#usedBytes, staged);
    else this.restart();
  }

  /** Forgets what is staged: its cells were taken back. */
  restart(): void {
    this.#usedBytes = 0;
  }

  #addChunks(firstIndex: number, blob: Uint8Array, lengthBytes: number, previousOfFirst: number): number {
    let first = firstIndex;
    let previous = previousOfFirst;
    for (let done = 0; done < lengthBytes; done += MAX_CHUNK_BYTES) {
      const end = Math.min(done + MAX_CHUNK_BYTES, lengthBytes);
      previous = this.#addChunk(first, blob.subarray(done, end), end - done, previous);
      first = previous + 1;
    }
    return previous;
  }

  /** The chunk's data, zeros up to the footer, the footer. Returns its last index. */
  #addChunk(first: number, data: Uint8Array, lengthBytes: number, previous: number): number {
    const cells = chunkCells(lengthBytes, this.#bytesPerCell);
    const chunkBytes = cells * this.#bytesPerCell;
    if (this.#usedBytes + chunkBytes > this.#bytes.length) this.#makeRoom();
    const start = this.#usedBytes;
    const footer = start + chunkBytes - FOOTER_BYTES;
    if (data.length <= lengthBytes) this.#bytes.set(data, start);
    if (data.length !== lengthBytes) throw wrongType("bytes", `${lengthBytes} bytes, as there were`, data.length);
    for (let at = start + lengthBytes; at < footer; at++) this.#bytes[at] = 0;
    this.#fields.setUint16(footer + FOOTER.size.offset, lengthBytes, true);
    this.#fields.setUint32(footer + FOOTER.previous.offset, previous, true);
    this.#usedBytes = start + chunkBytes;
    if (this.#usedBytes >= PIECE_BYTES) this.#drainPieces();
    return first + cells - 1;
  }

  /** Whole cells up to a multiple of a piece, in the file: the kernel writes whole pages in long runs fastest. */
  #drainPieces(): void {
    const startBytes = this.#firstIndex * this.#bytesPerCell;
    const endBytes = Math.floor((startBytes + this.#usedBytes) / PIECE_BYTES) * PIECE_BYTES;
    const cells = Math.floor((endBytes - startBytes) / this.#bytesPerCell);
    if (cells > 0) this.#drainFirst(cells * this.#bytesPerCell);
  }

  /** Writes the first bytes that are staged, whole cells. */
  #drainFirst(lengthBytes: number): void {
    const bytes = this.#bytes.subarray(0, lengthBytes);
    this.#region.write(this.#firstIndex * this.#bytesPerCell, bytes);
    this.#feed(this.#firstIndex, bytes);
    this.#firstIndex += lengthBytes / this.#bytesPerCell;
    this.#bytes.copyWithin(0, lengthBytes, this.#usedBytes);
    this.#usedBytes -= lengthBytes;
  }

  /** At the first chunk, or where a write failed before: what is staged stays, and must be written now. */
  #makeRoom(): void {
    this.drain();
    if (this.#bytes.length > 0) return;
    this.#bytes = new Uint8Array(STAGE_BYTES);
    this.#fields = new DataView(this.#bytes.buffer);
  }
}
