/** Regions over a file: the writer's, and the reader's, which cannot change the file. */

import * as fs from "node:fs";
import { promisify } from "node:util";
import { StorageError } from "../error.ts";
import { MADV_RANDOM, MS_SYNC } from "../os/constants.ts";
import { ENOMEM, fsError, libcError } from "../os/errno.ts";
import { closeFile, growFile, reopenFile, sizeOf, syncFile, zeroRange } from "../os/file.ts";
import { libc } from "../os/libc.ts";
import { isWriterLive, withHeaderLock, type WriterLock } from "../os/lock.ts";
import { Mapping, type MappingKind, pageSizeBytes } from "../os/mapping.ts";
import { storeHeader } from "./header.ts";
import type { HeaderStore, ReadableRegion, WritableRegion } from "./region.ts";

const fsyncLater: (fd: number) => Promise<void> = promisify(fs.fsync);
const fdatasyncLater: (fd: number) => Promise<void> = promisify(fs.fdatasync);

/** A file is mapped once, longer than it is; past this a growing file is mapped again. */
const MAX_MAPPED_BYTES = 2 ** 40;

/** An open file, and how far it may grow. */
export interface OpenFile {
  readonly fd: number;
  readonly path: string;
  readonly sizeBytes: number;
  readonly maxBytes: number;
  readonly headerBytes: number;
}

/** A mapping of the file, and those that it has outgrown: they stay until close, so every view stays good. */
class FileMemory {
  readonly #file: OpenFile;
  readonly #kind: MappingKind;
  readonly #outgrown: Mapping[] = [];
  #mapping: Mapping;

  constructor(file: OpenFile, kind: MappingKind) {
    this.#file = file;
    this.#kind = kind;
    this.#mapping = this.#map(file.sizeBytes);
  }

  get address(): number {
    return this.#mapping.address;
  }

  view(offset: number, lengthBytes: number, endBytes: number): Uint8Array {
    return this.#mapping.view(offset, lengthBytes, endBytes);
  }

  ownBuffer(lengthBytes: number): ArrayBuffer {
    return this.#mapping.ownBuffer(lengthBytes);
  }

  /** Makes sure that `[0, sizeBytes)` is mapped. */
  cover(sizeBytes: number): void {
    if (sizeBytes <= this.#mapping.lengthBytes) return;
    const larger = this.#map(sizeBytes);
    this.#outgrown.push(this.#mapping);
    this.#mapping = larger;
  }

  release(): void {
    for (const mapping of [...this.#outgrown, this.#mapping]) mapping.release();
  }

  #map(sizeBytes: number): Mapping {
    const { fd, path, maxBytes } = this.#file;
    const wantedBytes = Math.min(maxBytes, Math.max(MAX_MAPPED_BYTES, 2 * sizeBytes));
    const mapping = Mapping.of(this.#kind, fd, wantedBytes, sizeBytes, path);
    // As the original: cells are read in no order. Advice only, so a refusal changes nothing that must be right.
    if (process.env["PLEBEIA_MADVISE_READ_AHEAD"] === undefined) {
      libc().madvise(mapping.address, mapping.lengthBytes, MADV_RANDOM);
    }
    return mapping;
  }
}

/** The writer's region. Owns the descriptor and the writer's lock. */
export class FileRegion implements WritableRegion {
  readonly path: string;
  readonly #header: Int32Array;
  readonly #fd: number;
  readonly #lock: WriterLock;
  readonly #memory: FileMemory;
  #sizeBytes: number;
  /** Growths so far, and those of them whose size is known to be on the disk. */
  #growths = 0;
  #durableGrowths = 0;
  /** For asynchronous syncs: opened at the first, null if it cannot be had. */
  #asyncFd: number | null | undefined;
  #syncsInFlight = 0;
  #closed = false;

  constructor(file: OpenFile, lock: WriterLock) {
    this.path = file.path;
    this.#fd = file.fd;
    this.#lock = lock;
    this.#memory = new FileMemory(file, "shared");
    this.#sizeBytes = file.sizeBytes;
    this.#header = new Int32Array(this.#memory.ownBuffer(file.headerBytes));
  }

  get address(): number {
    return this.#memory.address;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  view(offset: number, lengthBytes: number): Uint8Array {
    return this.#memory.view(offset, lengthBytes, this.#sizeBytes);
  }

  store(...stores: HeaderStore[]): void {
    withHeaderLock(this.#fd, this.path, () => {
      for (const { offset, bytes } of stores) storeHeader(this.#header, offset, bytes);
    });
  }

  grow(fromBytes: number, toBytes: number): void {
    growFile(this.#fd, fromBytes, toBytes, this.path);
    this.#growths++;
    this.#memory.cover(toBytes);
    this.#sizeBytes = Math.max(this.#sizeBytes, toBytes);
  }

  zero(fromBytes: number, toBytes: number): boolean {
    return zeroRange(this.#fd, fromBytes, toBytes, this.path);
  }

  sync(toBytes: number): void {
    const pages = Math.ceil(toBytes / pageSizeBytes());
    if (libc().msync(this.address, pages * pageSizeBytes(), MS_SYNC) !== 0) throw libcError("msync", this.path);
    if (this.#durableGrowths === this.#growths) return;
    // msync need not make a new size durable, and a header must not refer past the size.
    syncFile(this.#fd, this.path);
    this.#durableGrowths = this.#growths;
  }

  async syncLater(): Promise<void> {
    this.#asyncFd ??= reopenFile(this.#fd, this.path);
    if (this.#asyncFd === null) return this.sync(this.#sizeBytes);
    const growths = this.#growths;
    const sync = growths === this.#durableGrowths ? fdatasyncLater : fsyncLater;
    this.#syncsInFlight++;
    try {
      await sync(this.#asyncFd);
      this.#durableGrowths = Math.max(this.#durableGrowths, growths);
    } catch (thrown) {
      throw fsError(thrown, this.path);
    } finally {
      this.#syncsInFlight--;
      if (this.#closed) this.#closeAsyncFd();
    }
  }

  announce(): void {
    this.#lock.announce();
  }

  close(): void {
    this.#closed = true;
    try {
      this.#memory.release();
      this.#lock.release();
    } finally {
      closeFile(this.#fd, this.path);
      this.#closeAsyncFd();
    }
  }

  /** Not before the last sync has returned: the number could be another file's by then. */
  #closeAsyncFd(): void {
    if (this.#syncsInFlight > 0 || typeof this.#asyncFd !== "number") return;
    closeFile(this.#asyncFd, this.path);
    this.#asyncFd = null;
  }
}

/**
 * The reader's region, over a descriptor that may be read only. Two mappings: one for headers, footers and copies,
 * which nobody else gets, and a private one for views, so that a stray store into a view stays in this process.
 */
export class ReadOnlyFileRegion implements ReadableRegion {
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
    this.#views = viewMemory(file);
  }

  get address(): number {
    return this.#trusted.address;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  view(offset: number, lengthBytes: number): Uint8Array {
    return this.#views.view(offset, lengthBytes, this.#sizeBytes);
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

  close(): void {
    try {
      this.#trusted.release();
      this.#views.release();
    } finally {
      closeFile(this.#fd, this.path);
    }
  }
}

/** Where private writable memory is accounted for and refused, views cannot be written: a store kills the process. */
function viewMemory(file: OpenFile): FileMemory {
  try {
    return new FileMemory(file, "private");
  } catch (error) {
    if (!(error instanceof StorageError) || error.errno !== ENOMEM) throw error;
    return new FileMemory(file, "sharedReadOnly");
  }
}
