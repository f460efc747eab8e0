/**
 * The seam between the protocol and the memory: an array of bytes that grows, with stores whose order on the disk
 * can be told. The protocol cannot tell a mapped file from anonymous memory, or from the recording array of the tests.
 *
 * Bounds are the caller's: nothing here checks an offset against the storage's length.
 */

/**
 * What another program did to the file. `gone`: it has no name any more, so it was deleted, or another file was moved to
 * its path. `cut`: it is shorter than its writer made it. `overwritten`: its first 256 bytes are not those that its
 * writer stored last, as after `cp backup live`.
 */
export type FileFault = "gone" | "cut" | "overwritten";

/** Something that ends by `close`. */
export interface Closable {
  close(): void;
}

/** What a reader needs. */
export interface ReadableRegion {
  /** For messages. */
  readonly path: string;
  /** Native address of byte 0, in memory that nobody else gets. May change when the region grows. */
  readonly address: number;
  /** Bytes that exist. Nothing at or past it may be touched. */
  readonly sizeBytes: number;
  /**
   * A view for the user; stores into a reader's view stay in this process. With `own`, a view of the memory at
   * `address`, for the library's own loads and a writer's stores.
   */
  view(offset: number, lengthBytes: number, own?: boolean): Uint8Array<ArrayBuffer>;
  /**
   * Looks whether another program has interfered with the file. A reader's can tell only that it is gone. A writer's whose
   * file was cut or overwritten stores nothing in it any more: `write` and `grow` do nothing.
   * @throws SYSTEM
   */
  fileFault(): FileFault | null;
  /** Looks at the file's size again. */
  measure(): void;
  /** Whether a writer holds the header in memory current, so that it may be believed. */
  isWriterLive(): boolean;
  /** Calls back after changes of the file until closed; null where the system does not tell of any. */
  watch(callback: () => void): Closable | null;
  /** Detaches every view and gives everything back. */
  close(): void;
}

/** What a region takes of the system. */
export interface RegionStat {
  /** Bytes of the file, or of the memory that stands for one. */
  readonly sizeBytes: number;
  /** Bytes of its blocks on the disk; 0 in memory. */
  readonly allocatedBytes: number;
  /** The names that the file has in its file system; 0 after it was deleted or replaced. */
  readonly links: number;
  /** The file's permission bits. */
  readonly permissions: number;
  /** Buffers over the mapping that are alive: views are cut from them. */
  readonly windows: number;
}

/** A region that tells. */
export interface Measured {
  stat(): RegionStat;
}

/** A store into the first 256 bytes; offset and length are multiples of 4. */
export interface HeaderStore {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** What a writer needs besides. */
export interface WritableRegion extends Omit<ReadableRegion, "measure" | "isWriterLive" | "watch"> {
  /**
   * Writes cells that `grow` made storable: cheaper than stores into fresh pages.
   * @throws DISK_FULL, SYSTEM a file system that allocates anew; the range may hold anything then
   */
  write(offset: number, bytes: Uint8Array): void;
  /**
   * Stores one after the other, under the header lock: all are visible to other processes on return.
   * @throws SYSTEM the lock cannot be given back; all are stored then
   */
  store(...stores: HeaderStore[]): void;
  /**
   * Makes `[fromBytes, toBytes)` storable, and the region at least `toBytes` long; new bytes are zero.
   * @throws DISK_FULL, and nothing has changed
   */
  grow(fromBytes: number, toBytes: number): void;
  /**
   * Gives the space of the range back, where the file system can: it reads as zeros then, and needs `grow` before the
   * next store. With `diskOnly` a file in memory (tmpfs) keeps its bytes: no disk differs from them, and reading a hole
   * takes space there, which may be missing.
   */
  deallocate(fromBytes: number, toBytes: number, diskOnly?: "diskOnly"): void;
  /** After a crash: sends `[fromBytes, toBytes)` to the disk as it is, whatever earlier syncs have said of it. */
  rewriteUncached(fromBytes: number, toBytes: number): void;
  /** Returns when every store into `[0, toBytes)`, and the size, is on the disk. */
  sync(toBytes: number): void;
  /** The same for the whole file, without blocking the event loop. Stores go on meanwhile. */
  syncLater(): Promise<void>;
}
