/** A region over a heap array: what an image of the disk is opened in. Nothing is synced, nothing is recorded. */

import { ptr } from "bun:ffi";
import { StorageError } from "../../../src/error.ts";
import type { HeaderStore, ReadableRegion, WritableRegion } from "../../../src/region/region.ts";

export class ArrayRegion implements ReadableRegion, WritableRegion {
  readonly path = "(array)";
  readonly memory: Uint8Array<ArrayBuffer>;
  readonly address: number;
  sizeBytes = 0;
  /** Whether the file system can deallocate, as most can. */
  canDeallocate = true;
  /** Bytes that may not be zero; above them everything is. */
  #usedBytes = 0;

  constructor(maxBytes: number) {
    this.memory = new Uint8Array(new ArrayBuffer(maxBytes));
    this.address = Number(ptr(this.memory));
  }

  /** Becomes the file that `image` is. */
  load(image: Uint8Array): void {
    this.memory.set(image);
    this.memory.fill(0, image.length, Math.max(image.length, this.#usedBytes, this.sizeBytes));
    this.#usedBytes = image.length;
    this.sizeBytes = image.length;
  }

  view(offset: number, lengthBytes: number): Uint8Array<ArrayBuffer> {
    if (offset < 0 || offset + lengthBytes > this.sizeBytes) {
      throw new RangeError(`view of [${offset}, ${offset + lengthBytes}) in a region of ${this.sizeBytes} bytes`);
    }
    return this.memory.subarray(offset, offset + lengthBytes);
  }

  write(offset: number, bytes: Uint8Array): void {
    this.memory.set(bytes, offset);
  }

  store(...stores: HeaderStore[]): void {
    for (const { offset, bytes } of stores) this.memory.set(bytes, offset);
  }

  fileFault(): null {
    return null;
  }

  grow(_fromBytes: number, toBytes: number): void {
    if (toBytes > this.memory.length) throw new StorageError("DISK_FULL", "the array is full", { path: this.path });
    this.sizeBytes = Math.max(this.sizeBytes, toBytes);
  }

  deallocate(fromBytes: number, toBytes: number): void {
    if (this.canDeallocate) this.memory.fill(0, fromBytes, toBytes);
  }

  rewriteUncached(_fromBytes: number, _toBytes: number): void {}

  sync(_toBytes: number): void {}

  async syncLater(): Promise<void> {}

  measure(): void {}

  watch(): null {
    return null;
  }

  isWriterLive(): boolean {
    return false;
  }

  close(): void {}
}
