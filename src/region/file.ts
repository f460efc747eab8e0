/** The writer's region over a file. */

import { printable } from "../error.ts";
import { MS_SYNC } from "../os/constants.ts";
import { fsError, libcError } from "../os/errno.ts";
import {
  closeFile,
  growFile,
  punchHole,
  readStart,
  readStartInto,
  reopenFile,
  seekEnd,
  sizeOf,
  statOf,
  syncFile,
  writeFile,
} from "../os/file.ts";
import { fdatasyncLater, fsyncLater } from "../os/event-loop.ts";
import { isInMemory } from "../os/filesystem.ts";
import { libc } from "../os/libc.ts";
import { withHeaderLock, type WriterLock } from "../os/lock.ts";
import { pageSizeBytes } from "../os/mapping.ts";
import { closed, releaseAfter, releaseAll, releaseWhenCollected } from "../os/release.ts";
import { rewriteUncached } from "../os/rewrite.ts";
import { FileMemory, type OpenFile } from "./file-memory.ts";
import type { FileFault, RegionStat, HeaderStore, Measured, WritableRegion } from "./region.ts";

/** The system resources of a writer's region. They hold no reference to the region, so that they can outlive it. */
interface Held {
  readonly path: string;
  readonly fd: number;
  readonly lock: WriterLock;
  readonly memory: FileMemory;
  /** For asynchronous syncs, and to measure the file. Null if the file could not be opened a second time. */
  asyncFd: number | null;
}

/** The writer's region. Owns the descriptor and the writer's lock. */
export class FileRegion implements WritableRegion, Measured {
  readonly path: string;
  readonly #fd: number;
  readonly #lock: WriterLock;
  readonly #memory: FileMemory;
  readonly #held: Held;
  #sizeBytes: number;
  /** The header area that this writer stored last, and a buffer for the header area of the file. */
  readonly #storedArea: Uint8Array;
  readonly #fileArea: Uint8Array;
  /** How another program has changed the file, or null. After a change nothing more is stored in the file. */
  #change: FileFault | null = null;
  /** A new file gets its name only after its writer has announced itself. */
  #isAnnounced = false;
  /**
   * Growths so far, and those whose size is known to be on the disk. Starts with one unsynced growth, because an
   * earlier writer may have been killed.
   */
  #growths = 1;
  #durableGrowths = 0;
  #syncsInFlight = 0;
  #closed = false;

  /** @param openPath a path by which the file can be opened now; a new file cannot be opened by its own path yet */
  constructor(file: OpenFile, lock: WriterLock, openPath: string = file.path) {
    this.path = file.path;
    this.#fd = file.fd;
    this.#lock = lock;
    this.#sizeBytes = file.sizeBytes;
    this.#fileArea = new Uint8Array(file.headerBytes);
    this.#storedArea = readStart(file.fd, file.headerBytes, file.path);
    // Open it now, not at the first flush: a descriptor opened later misses errors that were reported to the sync of
    // another program before.
    const asyncFd = reopenFile(file.fd, openPath);
    try {
      this.#memory = new FileMemory(file, "shared");
    } catch (error) {
      releaseAfter(error, () => asyncFd !== null && closeFile(asyncFd, file.path));
    }
    this.#held = { path: file.path, fd: file.fd, lock, memory: this.#memory, asyncFd };
    releaseWhenCollected(this, releaseDropped.bind(null, this.#held));
  }

  get address(): number {
    return this.#memory.address;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  view(offset: number, lengthBytes: number, own = false): Uint8Array<ArrayBuffer> {
    if (own) return new Uint8Array(this.#memory.ownBuffer(offset, lengthBytes));
    return this.#memory.view(offset, lengthBytes, this.#sizeBytes);
  }

  write(offset: number, bytes: Uint8Array): void {
    // A write up to the end would restore the size of a file that was cut, and so hide the cut.
    if (offset + bytes.length >= this.#sizeBytes) this.#findCut();
    if (this.#change !== null) return;
    this.#put(offset, bytes);
  }

  stat(): RegionStat {
    return { ...statOf(this.#fd, this.path), windows: this.#memory.windows };
  }

  store(...stores: HeaderStore[]): void {
    withHeaderLock(this.#fd, this.path, () => {
      for (const { offset, bytes } of stores) {
        this.#storeHeader(offset, bytes);
      }
    });
  }

  /**
   * Stores into the header area. A failed write may have stored a part, so the expected bytes are then read from the
   * file.
   */
  #storeHeader(offset: number, bytes: Uint8Array): void {
    try {
      this.#put(offset, bytes);
      this.#storedArea.set(bytes, offset);
    } catch (error) {
      readStartInto(this.#fd, this.#storedArea, this.path);
      throw error;
    }
  }

  /**
   * Writes by `pwrite`, not by a store into the mapping. A store makes a whole folio dirty, which has up to 2 MiB in a
   * file that was read or copied before. On a copy-on-write file system a store can also fail on a full disk, with
   * SIGBUS. Other processes see the writes in order, because the kernel locks the file for each write.
   */
  #put(offset: number, bytes: Uint8Array): void {
    if (writeFile(this.#fd, offset, bytes, this.path)) return;
    // The write is past the process's file size limit, in a file that is already longer: store through the mapping.
    libc().memcpy(this.address + offset, bytes, bytes.length);
  }

  fileFault(changesOnly?: "changesOnly"): FileFault | null {
    if (changesOnly !== undefined) return (this.#change ??= this.#changeOf(this.#measure()));
    const { sizeBytes, links } = statOf(this.#fd, this.path);
    this.#change ??= this.#changeOf(sizeBytes);
    return this.#change ?? (links === 0 && this.#isAnnounced ? "gone" : null);
  }

  #findCut(): void {
    if (this.#measure() < this.#sizeBytes) this.#change ??= "cut";
  }

  /** The size of the file now. The descriptor for syncs takes no locks, so its position may move. */
  #measure(): number {
    const { asyncFd } = this.#held;
    return asyncFd === null ? sizeOf(this.#fd, this.path) : seekEnd(asyncFd, this.path);
  }

  #changeOf(sizeBytes: number): FileFault | null {
    if (sizeBytes < this.#sizeBytes) return "cut";
    // Read by `pread`: the file may have been cut by now, and then its mapping must not be touched.
    if (readStartInto(this.#fd, this.#fileArea, this.path) < this.#fileArea.length) return "cut";
    return Buffer.compare(this.#fileArea, this.#storedArea) === 0 ? null : "overwritten";
  }

  grow(fromBytes: number, toBytes: number): void {
    if (this.#change !== null) return;
    growFile(this.#fd, fromBytes, toBytes, this.path);
    this.#growths++;
    this.#memory.cover(toBytes);
    this.#sizeBytes = Math.max(this.#sizeBytes, toBytes);
  }

  deallocate(fromBytes: number, toBytes: number, diskOnly?: "diskOnly"): void {
    // The file may now be a backup that was copied over this one.
    if (this.#change !== null) return;
    if (diskOnly !== undefined && isInMemory(this.path)) return;
    punchHole(this.#fd, fromBytes, toBytes, this.path);
  }

  rewriteUncached(fromBytes: number, toBytes: number): void {
    const pageBytes = pageSizeBytes();
    const start = Math.floor(fromBytes / pageBytes) * pageBytes;
    const end = Math.min(this.#sizeBytes, Math.ceil(toBytes / pageBytes) * pageBytes);
    rewriteUncached(this.#fd, this.path, start, end);
  }

  sync(toBytes: number): void {
    const pages = Math.ceil(toBytes / pageSizeBytes());
    if (libc().msync(this.address, pages * pageSizeBytes(), MS_SYNC) !== 0) throw libcError("msync", this.path);
    if (this.#durableGrowths === this.#growths) return;
    // Sync the file too after a growth: msync need not make a new size durable, and a header must not refer past the
    // size.
    syncFile(this.#fd, this.path);
    this.#durableGrowths = this.#growths;
  }

  syncLater(): Promise<void> {
    if (this.#held.asyncFd !== null) return this.#syncThrough(this.#held.asyncFd);
    // Do not open the file now: a new open file description gets no report of earlier errors. Throw at once, not as a
    // rejection, so that no synchronous flush comes between the error and its report.
    this.sync(this.#sizeBytes);
    return Promise.resolve();
  }

  async #syncThrough(fd: number): Promise<void> {
    const growths = this.#growths;
    const sync = growths === this.#durableGrowths ? fdatasyncLater : fsyncLater;
    this.#syncsInFlight++;
    try {
      await sync(fd);
      this.#durableGrowths = Math.max(this.#durableGrowths, growths);
    } catch (thrown) {
      throw fsError(thrown, this.path);
    } finally {
      this.#syncsInFlight--;
      if (this.#closed) this.#closeAsyncFd();
    }
  }

  /** Tells readers that the header in memory is current. */
  announce(): void {
    this.#lock.announce();
    this.#isAnnounced = true;
  }

  close(): void {
    this.#closed = true;
    closed(this);
    releaseAll(
      () => this.#memory.release(),
      () => this.#lock.release(),
      () => closeFile(this.#fd, this.path),
      () => this.#closeAsyncFd(),
    );
  }

  /**
   * Closes the descriptor after the last sync has returned: before, another file could get the same number while a sync
   * uses it.
   */
  #closeAsyncFd(): void {
    if (this.#syncsInFlight > 0 || this.#held.asyncFd === null) return;
    closeFile(this.#held.asyncFd, this.path);
    this.#held.asyncFd = null;
  }
}

/**
 * Releases the resources of a writer that was dropped without `close`. No sync is in flight, because a sync keeps the
 * region alive. Views come first, so that they store nothing into the file once another writer can lock it.
 */
function releaseDropped({ path, fd, lock, memory, asyncFd }: Held): void {
  const message = `${printable(path)}: a writer was dropped without close(): its lock is released, and its uncommitted writes are lost`;
  process.emitWarning(message, { type: "StorageWarning", code: "CELLAR_DROPPED_WRITER" });
  releaseAll(
    () => memory.abandon(),
    () => lock.release(),
    () => closeFile(fd, path),
    () => {
      if (asyncFd !== null) closeFile(asyncFd, path);
    },
  );
}
