/** What a contestant does with blobs, and what it is opened for. */

import type { BlobAt } from "../lib/data.ts";

export interface Store {
  /** Stores the blobs 0 to `count - 1` in one transaction, visible afterwards. */
  writeAll(count: number, blobAt: BlobAt): void | Promise<void>;
  /** Once after writing, not timed: makes reading as fast as the store can. */
  settle?(): void | Promise<void>;
  /** Blob `i`, copied: the caller may keep it. */
  read(i: number): Uint8Array;
  close(): void | Promise<void>;
}

/** Has a read without a copy, or the nearest to it: valid until the next one. */
export interface ViewStore extends Store {
  view(i: number): Uint8Array;
}

/** Stores one blob in a transaction of its own. */
export interface TransactionStore extends Store {
  transact(i: number, blob: Uint8Array): void | Promise<void>;
}

export interface Purpose {
  readonly folder: string;
  /** How many blobs it will get, and of what size. */
  readonly count: number;
  readonly sizeBytes: number;
}

export type Open<S extends Store = Store> = (purpose: Purpose) => S | Promise<S>;
