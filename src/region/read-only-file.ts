/** The reader's region over a file, which it cannot change. */

import { closeFile, statOf, sizeOf } from "../os/file.ts";
import { type FileEvents, watchFile } from "../os/file-events.ts";
import { isWriterLive } from "../os/lock.ts";
import { closed, releaseAfter, releaseAll, releaseWhenCollected } from "../os/release.ts";
import { FileMemory, type OpenFile } from "./file-memory.ts";
import type { FileFault, RegionStat, Measured, ReadableRegion } from "./region.ts";

/**
 * The reader's region, over a descriptor that may be read-only. It has two mappings: one for headers, footers and
 * copies, which is never given to the caller, and a private one for views, so that a stray store into a view stays in
 * this process.
 */
export class ReadOnlyFileRegion implements ReadableRegion, Measured {
  readonly path: string;
  readonly #fd: number;
  readonly #trusted: FileMemory;
  readonly #views: FileMemory;
  #sizeBytes: number;

  constructor(file: OpenFile) {
    this.path = file.path;
    this.#fd = file.fd;
    this.#sizeBytes = file.sizeBytes;
    this.#trusted = new FileMemory(file, "sharedReadOnly");
    try {
      this.#views = new FileMemory(file, "private");
    } catch (error) {
      releaseAfter(error, () => this.#trusted.release());
    }
    releaseWhenCollected(this, releaseDropped.bind(null, file, this.#trusted, this.#views));
  }

  get address(): number {
    return this.#trusted.address;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  view(offset: number, lengthBytes: number, own = false): Uint8Array<ArrayBuffer> {
    if (own) return new Uint8Array(this.#trusted.ownBuffer(offset, lengthBytes));
    return this.#views.view(offset, lengthBytes, this.#sizeBytes);
  }

  stat(): RegionStat {
    return { ...statOf(this.#fd, this.path), windows: this.#views.windows };
  }

  fileFault(): FileFault | null {
    return statOf(this.#fd, this.path).links === 0 ? "gone" : null;
  }

  measure(): void {
    const sizeBytes = sizeOf(this.#fd, this.path);
    this.#trusted.cover(sizeBytes);
    this.#views.cover(sizeBytes);
    this.#sizeBytes = sizeBytes;
  }

  isWriterLive(): boolean {
    return isWriterLive(this.#fd, this.path);
  }

  watch(callback: () => void): FileEvents | null {
    return watchFile(this.#fd, callback);
  }

  close(): void {
    closed(this);
    releaseAll(
      () => this.#trusted.release(),
      () => this.#views.release(),
      () => closeFile(this.#fd, this.path),
    );
  }
}

/** Releases the resources of a reader that was dropped without `close`. */
function releaseDropped({ fd, path }: OpenFile, trusted: FileMemory, views: FileMemory): void {
  releaseAll(
    () => trusted.abandon(),
    () => views.abandon(),
    () => closeFile(fd, path),
  );
}
