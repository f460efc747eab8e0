/** What a life has written: blobs by their index, and bytes in cells that are no blob. Kept outside the storage. */

import { blobAt } from "./history.ts";
import { Random } from "./random.ts";
import type { Span } from "./recording-region.ts";

interface Blob {
  readonly index: number;
  readonly bytes: Uint8Array;
}

export class Written {
  readonly #salt: number;
  #blobs: Blob[] = [];
  #fills: Span[] = [];
  #contents = 0;

  constructor(salt: number) {
    this.#salt = salt;
  }

  /** New bytes, none of them zero. */
  content(sizeBytes: number): Uint8Array {
    const random = new Random(this.#salt * 7919 + this.#contents++);
    return new Uint8Array(sizeBytes).map(() => 1 + random.below(255));
  }

  blob(index: number, bytes: Uint8Array): void {
    this.#blobs.push({ index, bytes });
  }

  fill(offset: number, bytes: Uint8Array): void {
    this.#fills.push({ offset, bytes });
  }

  /** A blob by when it was written. A life that began with a crash may not have written it: then null. */
  blobAt(number: number): Blob | null {
    return this.#blobs[number] ?? null;
  }

  /** Cells from this one on are gone. */
  cut(next: number, bytesPerCell: number): void {
    this.#blobs = this.#blobs.filter(({ index }) => index < next);
    this.#fills = this.#fills.filter(({ offset }) => offset < next * bytesPerCell);
  }

  /** @throws memory has other bytes than were written */
  check(memory: Uint8Array, bytesPerCell: number): void {
    for (const { index, bytes } of this.#blobs) {
      if (Buffer.compare(blobAt(memory, index, bytesPerCell), bytes) === 0) continue;
      throw new Error(`the blob at ${index} is not what was written`);
    }
    for (const { offset, bytes } of this.#fills) {
      if (Buffer.compare(memory.subarray(offset, offset + bytes.length), bytes) === 0) continue;
      throw new Error(`the cells at byte ${offset} are not what was written`);
    }
  }
}
