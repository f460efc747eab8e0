/** What a contestant does with blobs. Each is in a process of its own, so these calls are always to the same one. */

import type { BlobAt } from "../data.ts";

export interface Store {
  /** Stores the blobs 0 to `count - 1` in one transaction, visible afterwards. */
  writeAll(count: number, blobAt: BlobAt): void | Promise<void>;
  /** What it can do once after writing to make reading fast; not timed. */
  settle?(): void;
  /** Blob `i`, copied: the caller may keep it. */
  read(i: number): Uint8Array | Promise<Uint8Array>;
  close(): void | Promise<void>;
}

/** Answers at once, so that a million reads are no million turns of the event loop. */
export interface DirectStore extends Store {
  read(i: number): Uint8Array;
}

/** Has a read without a copy, or the nearest to it: good until the next one. */
export interface ViewStore extends DirectStore {
  view(i: number): Uint8Array;
}

/** Can store one blob so that it survives a power cut, before the call returns. */
export interface DurableStore extends DirectStore {
  writeDurably(i: number, blob: Uint8Array): void;
}

/** What a store is opened for. */
export interface Purpose {
  readonly folder: string;
  /** How many blobs it will get, and of what size. */
  readonly count: number;
  readonly sizeBytes: number;
}
