/**
 * Buffers blobs on their way into the region. They are laid out as chunks in a buffer on the heap, and written many at
 * a time. That takes the kernel a third of the time of storing them into fresh pages one by one, and their CRC is taken
 * while they are in the processor's cache. Drain the stage before reading its cells.
 */

import { wrongType } from "../error.ts";
import { chunkCells } from "../format/chunk.ts";
import { FOOTER, FOOTER_BYTES, MAX_CHUNK_BYTES } from "../format/layout.ts";
import type { WritableRegion } from "../region/region.ts";
import type { CommitChecksum } from "../state/commit-checksum.ts";

/** Bytes of a write, which ends at a multiple of this size in the file. Smaller than a processor's cache. */
const PIECE_BYTES = 256 * 1024;
/**
 * Room for a piece that is not full yet and the chunk that fills it, with its footer and the padding of its last cell.
 */
const STAGE_BYTES = PIECE_BYTES + 128 * 1024;

export class Stage {
  readonly #region: WritableRegion;
  readonly #bytesPerCell: number;
  readonly #running: CommitChecksum;
  #bytes: Uint8Array = new Uint8Array(0);
  #fields: DataView = new DataView(this.#bytes.buffer);
  #usedBytes = 0;
  /** The cell of the first staged byte. Cells below it are in the region. */
  #firstIndex = 0;

  constructor(region: WritableRegion, bytesPerCell: number, running: CommitChecksum) {
    this.#region = region;
    this.#bytesPerCell = bytesPerCell;
    this.#running = running;
  }

  /** The first cell that may not be in the region. */
  get firstIndex(): number {
    return this.#firstIndex;
  }

  /** Tells whether a cell in use is staged. */
  holds(index: number): boolean {
    return this.#usedBytes > 0 && index >= this.#firstIndex;
  }

  /**
   * Stages `lengthBytes` bytes in the cells from `first` on, which follow the cells staged before. The bytes are a
   * blob, or a part of a blob whose previous chunk ends at `previous`.
   * @throws DISK_FULL, SYSTEM; TypeError the blob's length has changed. The caller then calls `dropFrom`; some of the
   * cells may have been written
   */
  add(first: number, blob: Uint8Array, lengthBytes: number, previous: number): void {
    if (this.#usedBytes === 0) this.#firstIndex = first;
    if (lengthBytes <= MAX_CHUNK_BYTES) this.#addChunk(first, blob, lengthBytes, previous);
    else this.#addChunks(first, blob, lengthBytes, previous);
  }

  /**
   * Writes the staged bytes to the region.
   * @throws DISK_FULL, SYSTEM; the bytes stay staged, and may be drained later
   */
  drain(): void {
    if (this.#usedBytes > 0) this.#drainFirst(this.#usedBytes);
  }

  /** Drops the staged cells from `first` on. */
  dropFrom(first: number): void {
    const keptBytes = Math.max(0, (first - this.#firstIndex) * this.#bytesPerCell);
    this.#usedBytes = Math.min(this.#usedBytes, keptBytes);
    this.#firstIndex = Math.min(this.#firstIndex, first);
  }

  #addChunks(firstIndex: number, blob: Uint8Array, lengthBytes: number, previousOfFirst: number): void {
    let first = firstIndex;
    let previous = previousOfFirst;
    for (let done = 0; done < lengthBytes; done += MAX_CHUNK_BYTES) {
      const end = Math.min(done + MAX_CHUNK_BYTES, lengthBytes);
      previous = this.#addChunk(first, blob.subarray(done, end), end - done, previous);
      first = previous + 1;
    }
  }

  /** Stages a chunk: its data, zeros up to the footer, and the footer. Returns its last index. */
  #addChunk(first: number, data: Uint8Array, lengthBytes: number, previous: number): number {
    const cells = chunkCells(lengthBytes, this.#bytesPerCell);
    const chunkBytes = cells * this.#bytesPerCell;
    if (this.#usedBytes + chunkBytes > this.#bytes.length) this.#makeRoom();
    const start = this.#usedBytes;
    const footer = start + chunkBytes - FOOTER_BYTES;
    if (data.length <= lengthBytes) this.#bytes.set(data, start);
    if (data.length !== lengthBytes)
      throw wrongType("bytes", `${lengthBytes} bytes, as at the beginning of the call`, data.length);
    for (let at = start + lengthBytes; at < footer; at++) this.#bytes[at] = 0;
    this.#fields.setUint16(footer + FOOTER.size.offset, lengthBytes, true);
    this.#fields.setUint32(footer + FOOTER.previous.offset, previous, true);
    this.#usedBytes = start + chunkBytes;
    if (this.#usedBytes >= PIECE_BYTES) this.#drainPieces();
    return first + cells - 1;
  }

  /** Writes whole cells up to a multiple of a piece in the file: the kernel writes long runs of whole pages fastest. */
  #drainPieces(): void {
    const startBytes = this.#firstIndex * this.#bytesPerCell;
    const endBytes = Math.floor((startBytes + this.#usedBytes) / PIECE_BYTES) * PIECE_BYTES;
    const cells = Math.floor((endBytes - startBytes) / this.#bytesPerCell);
    if (cells > 0) this.#drainFirst(cells * this.#bytesPerCell);
  }

  /** Writes the first `lengthBytes` staged bytes, which are whole cells. */
  #drainFirst(lengthBytes: number): void {
    const bytes = this.#bytes.subarray(0, lengthBytes);
    this.#region.write(this.#firstIndex * this.#bytesPerCell, bytes);
    this.#running.feed(this.#firstIndex, bytes);
    this.#firstIndex += lengthBytes / this.#bytesPerCell;
    this.#bytes.copyWithin(0, lengthBytes, this.#usedBytes);
    this.#usedBytes -= lengthBytes;
  }

  /** Allocates the buffer at the first chunk. Later, after a failed write, writes the bytes that are still staged. */
  #makeRoom(): void {
    this.drain();
    if (this.#bytes.length > 0) return;
    this.#bytes = new Uint8Array(STAGE_BYTES);
    this.#fields = new DataView(this.#bytes.buffer);
  }
}
