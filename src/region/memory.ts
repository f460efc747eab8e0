/** A region over anonymous memory, for storages without a file. There is no disk, so a sync does nothing. */

import { StorageError } from "../error.ts";
import { libc } from "../os/libc.ts";
import { Mapping } from "../os/mapping.ts";
import { closed, releaseWhenCollected } from "../os/release.ts";
import type { RegionStat, HeaderStore, Measured, WritableRegion } from "./region.ts";

/** The permissions of a copy in a file: readable by all, like a new file. */
const PERMISSIONS = 0o644;
/** The most address space to reserve; only touched pages take memory. */
const MAX_RESERVED_BYTES = 2 ** 40;

export class MemoryRegion implements WritableRegion, Measured {
  readonly path = "(in memory)";
  readonly address: number;
  readonly #mapping: Mapping;
  #sizeBytes: number;

  /** Maps `sizeBytes` zero bytes, and reserves addresses for up to `maxBytes`, or as many as are available. */
  constructor(sizeBytes: number, maxBytes: number) {
    this.#sizeBytes = sizeBytes;
    this.#mapping = Mapping.of("anonymous", -1, Math.min(maxBytes, MAX_RESERVED_BYTES), sizeBytes, this.path);
    this.address = this.#mapping.address;
    releaseWhenCollected(this, Mapping.prototype.abandon.bind(this.#mapping));
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  store(...stores: HeaderStore[]): void {
    for (const { offset, bytes } of stores) this.write(offset, bytes);
  }

  view(offset: number, lengthBytes: number, own = false): Uint8Array<ArrayBuffer> {
    if (own) return new Uint8Array(this.#mapping.ownBuffer(offset, lengthBytes));
    return this.#mapping.view(offset, lengthBytes, this.sizeBytes);
  }

  write(offset: number, bytes: Uint8Array): void {
    libc().memcpy(this.address + offset, bytes, bytes.byteLength);
  }

  stat(): RegionStat {
    const { windows } = this.#mapping;
    return { sizeBytes: this.sizeBytes, allocatedBytes: 0, permissions: PERMISSIONS, links: 1, windows };
  }

  fileFault(): null {
    return null;
  }

  grow(_fromBytes: number, toBytes: number): void {
    if (toBytes > this.#mapping.lengthBytes) {
      const message = `${this.path}: ${toBytes} bytes do not fit in the address space that was reserved: use a file, or a smaller maxIndex`;
      throw new StorageError("DISK_FULL", message, { path: this.path });
    }
    this.#sizeBytes = Math.max(this.#sizeBytes, toBytes);
  }

  deallocate(): void {}

  sync(): void {}

  async syncLater(): Promise<void> {}

  rewriteUncached(): void {}

  close(): void {
    closed(this);
    this.#mapping.release();
  }
}
