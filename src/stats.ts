/** Numbers about an open storage for operators and monitoring: the space that it uses, and the work of its writer. */

import type { Measured } from "./region/region.ts";
import type { Cells } from "./cells/cells.ts";
import type { Follows } from "./state/visible.ts";
import type { FlushStats } from "./state/metrics.ts";
import type { Recovery } from "./state/choose-state.ts";

/** The numbers of every storage. */
export interface StorageStats {
  /** Cells in use, including the header area: `length`. */
  readonly cells: number;
  /** Bytes of these cells: `byteLength`. */
  readonly usedBytes: number;
  /** The file's size in bytes. It includes reserved space that is not in use. */
  readonly fileBytes: number;
  /** Bytes of the file's blocks on the disk; 0 in memory. */
  readonly allocatedBytes: number;
  /** Live ArrayBuffers over the mapped memory; views are parts of them. For a writer, those for fields are included. */
  readonly windows: number;
  /** How often the storage was truncated; only writers of Cellar count this. */
  readonly truncations: number;
  /** Whether the file has lost its name: it was deleted, or another file was moved to its path. */
  readonly fileGone: boolean;
}

/** The numbers of a reader. */
export interface ReaderStats extends StorageStats {
  readonly mode: "reader";
  readonly follows: Follows;
}

/** The numbers of a writer. */
export interface WriterStats extends StorageStats {
  readonly mode: "writer";
  /** Bytes from the file's beginning whose disk space is reserved. The next step of growth begins there. */
  readonly reservedBytes: number;
  /** Cells that a power cut would lose: `length` minus the length of the last flush. */
  readonly unflushedCells: number;
  /** Commits since opening, including those that flushes make. */
  readonly commits: number;
  /** Flushes since opening. */
  readonly flushes: FlushStats;
  /** What opening found in the file. */
  readonly recovery: Recovery;
}

export function storageStats(region: Measured, cells: Cells, truncations: number): StorageStats {
  const { sizeBytes, allocatedBytes, links, windows } = region.stat();
  const usedBytes = cells.length * cells.bytesPerCell;
  const fileGone = links === 0;
  return { cells: cells.length, usedBytes, fileBytes: sizeBytes, allocatedBytes, windows, truncations, fileGone };
}
