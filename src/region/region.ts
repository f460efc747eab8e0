/**
 * The seam between the protocol and the memory: a growing array of bytes, with syncs that order its stores on the disk.
 * The protocol cannot tell a mapped file from anonymous memory, or from the recording array of the tests.
 *
 * The caller checks bounds: nothing here compares an offset with the storage's length.
 */

/**
 * What another program did to the file. `gone`: the file has no name any more, because it was deleted, or another file
 * was moved to its path. `cut`: the file is shorter than its writer made it. `overwritten`: its first 256 bytes differ
 * from those that its writer stored last, as after `cp backup live`.
 */
export type FileFault = "gone" | "cut" | "overwritten";

/** A resource that `close` releases. */
export interface Closable {
  close(): void;
}

/** Memory that is copied from by its address. */
export interface Addressed {
  /** Native address of byte 0, in memory that is never given to the user. May change when the region grows. */
  readonly address: number;
}

/** The bytes of a region, for accesses to cells. */
export interface CellMemory extends Addressed {
  /** For messages. */
  readonly path: string;
  /** The number of bytes that exist. Bytes at or past it must not be touched. */
  readonly sizeBytes: number;
  /**
   * Returns a view for the user; stores into a reader's view stay in this process. With `own`, returns a view of the
   * memory at `address`, for the library's own loads and a writer's stores.
   */
  view(offset: number, lengthBytes: number, own?: boolean): Uint8Array<ArrayBuffer>;
}

/** The common part of a reader's and a writer's region. */
export interface Region extends CellMemory {
  /**
   * Tells whether another program has interfered with the file. A reader's region detects only `gone`. A writer's
   * region stores nothing more in a file that was cut or overwritten: `write` and `grow` then do nothing.
   * @param changesOnly skips the test for `gone`, which takes half of the time
   * @throws SYSTEM
   */
  fileFault(changesOnly?: "changesOnly"): FileFault | null;
  /** Detaches every view and releases all resources. */
  close(): void;
}

/** The region of a reader. */
export interface ReadableRegion extends Region {
  /** Reads the file's size again. */
  measure(): void;
  /** Tells whether a live writer keeps the header in memory current, so that it may be believed. */
  isWriterLive(): boolean;
  /** Calls back after changes of the file until closed. Returns null if the system reports no changes. */
  watch(callback: () => void): Closable | null;
}

/** The disk space and other resources that a region uses. */
export interface RegionStat {
  /** Bytes of the file, or of the memory in place of a file. */
  readonly sizeBytes: number;
  /** Bytes of the file's blocks on the disk; 0 in memory. */
  readonly allocatedBytes: number;
  /** How many names (hard links) the file has; 0 after it was deleted or replaced. */
  readonly links: number;
  /** The file's permission bits. */
  readonly permissions: number;
  /** Live ArrayBuffers over the mapping; views are parts of them. */
  readonly windows: number;
}

/** A region that reports its resources. */
export interface Measured {
  stat(): RegionStat;
}

/** A store into the first 256 bytes; offset and length are multiples of 4. */
export interface HeaderStore {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The part of a region that a repair needs: header stores, and syncs that order them. */
export interface RepairableRegion {
  readonly sizeBytes: number;
  /**
   * Performs the stores in order, under the header lock. All are visible to other processes on return.
   * @throws DISK_FULL, SYSTEM a store failed, and may have stored a part; SYSTEM the lock cannot be released, and all
   * stores have happened
   */
  store(...stores: HeaderStore[]): void;
  /**
   * Makes `[fromBytes, toBytes)` storable, and the region at least `toBytes` long; new bytes are zero.
   * @throws DISK_FULL nothing has changed
   */
  grow(fromBytes: number, toBytes: number): void;
  /**
   * Writes `[fromBytes, toBytes)` to the disk again, past the page cache, even if earlier syncs succeeded. Used after a
   * crash.
   */
  rewriteUncached(fromBytes: number, toBytes: number): void;
  /** Returns when every store into `[0, toBytes)` and the file's size are on the disk. */
  sync(toBytes: number): void;
}

/** The region of a writer. */
export interface WritableRegion extends Region, RepairableRegion {
  /**
   * Writes cells that `grow` made storable. This takes less time than stores into fresh pages of the mapping.
   * @throws DISK_FULL, SYSTEM on a file system that allocates new blocks for a write; the range may then hold any bytes
   */
  write(offset: number, bytes: Uint8Array): void;
  /**
   * Frees the disk space of the range if the file system can. The range then reads as zeros, and needs `grow` before
   * the next store. With `diskOnly` a file in memory (tmpfs) keeps its bytes: there is no disk that could differ from
   * them, and on tmpfs reading a hole takes space, which may not be available.
   */
  deallocate(fromBytes: number, toBytes: number, diskOnly?: "diskOnly"): void;
  /** Syncs the whole file without blocking the event loop. Stores may continue during the sync. */
  syncLater(): Promise<void>;
}
