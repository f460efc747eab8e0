/**
 * Stores a blob while its bytes arrive, in the same chunks as `write` would. Other cells may be allocated in between,
 * because chunks are linked.
 */

import { MAX_CHUNK_BYTES } from "../format/layout.ts";
import type { Publisher } from "../state/publisher.ts";
import { type Snapshot, writerSnapshot } from "../state/snapshot.ts";
import type { WritableCells } from "./writable.ts";

/** The most that is stored in one call, in whole chunks. */
const MAX_STORE_BYTES = 1024 * MAX_CHUNK_BYTES;

/** Call `end` or `discard` last. Nothing refers to the blob's cells before `end`. */
export class StreamedBlob {
  readonly #cells: WritableCells;
  readonly #publisher: Publisher;
  readonly #truncations: number;
  readonly #snapshot: Snapshot;
  /** Cells whose disk space was reserved before this blob. */
  readonly #reservedCells: number;
  /** Bytes that do not fill a chunk yet. */
  readonly #rest = new Uint8Array(MAX_CHUNK_BYTES);
  #restBytes = 0;
  /** The last index of the last stored chunk, 0 if there is none. */
  #last = 0;
  /** The first of this blob's adjacent cells that end at `#last`. */
  #runStart = 0;

  constructor(cells: WritableCells, publisher: Publisher) {
    this.#cells = cells;
    this.#publisher = publisher;
    this.#reservedCells = cells.reservedCells;
    this.#truncations = publisher.truncations;
    this.#snapshot = writerSnapshot(publisher, cells.path);
  }

  /** Aborted when the storage is closed. */
  get closeSignal(): AbortSignal {
    return this.#cells.closeSignal;
  }

  /** @throws CLOSED, FILE_CHANGED, FAILED; TRUNCATED the chunks stored so far are gone */
  check(): void {
    this.#cells.check();
    this.#snapshot.check();
  }

  /** Stores or buffers the next bytes. The caller may reuse their memory afterwards. @throws INDEX_OVERFLOW, DISK_FULL */
  append(piece: Uint8Array): void {
    const bytes = this.#cells.copyIfFreed(piece);
    for (let done = 0; done < bytes.length;) {
      const leftBytes = bytes.length - done;
      if (this.#restBytes === 0 && leftBytes >= MAX_CHUNK_BYTES) {
        const wholeBytes = Math.min(leftBytes - (leftBytes % MAX_CHUNK_BYTES), MAX_STORE_BYTES);
        this.#store(bytes.subarray(done, done + wholeBytes));
        done += wholeBytes;
      } else {
        const takenBytes = Math.min(leftBytes, MAX_CHUNK_BYTES - this.#restBytes);
        this.#rest.set(bytes.subarray(done, done + takenBytes), this.#restBytes);
        this.#restBytes += takenBytes;
        done += takenBytes;
        if (this.#restBytes === MAX_CHUNK_BYTES) this.#storeRest();
      }
    }
  }

  /** Stores the last chunk, and returns the blob's index. @throws INDEX_OVERFLOW, DISK_FULL */
  end(): number {
    // An empty blob is one empty chunk.
    if (this.#restBytes > 0 || this.#last === 0) this.#storeRest();
    return this.#last;
  }

  /**
   * Frees the blob's last cells, if no other cells were allocated since and no other process can have seen them. Also
   * frees the disk space that was reserved for the blob.
   */
  discard(): void {
    if (this.#cells.closed || this.#last === 0 || this.#publisher.truncations !== this.#truncations) return;
    const { length } = this.#cells;
    if (length === this.#last + 1) {
      const from = Math.max(this.#runStart, this.#publisher.claimedCells, this.#cells.root + 1);
      if (from < length) this.#cells.freeFrom(from);
    }
    this.#cells.releaseReserve(this.#reservedCells);
  }

  #storeRest(): void {
    this.#store(this.#rest.subarray(0, this.#restBytes));
    this.#restBytes = 0;
  }

  /** Stores whole chunks, or the end of the blob. */
  #store(bytes: Uint8Array): void {
    const first = this.#cells.length;
    const last = this.#cells.write(bytes, this.#last);
    if (this.#last === 0 || first !== this.#last + 1) this.#runStart = first;
    this.#last = last;
  }
}
