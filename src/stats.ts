/** Numbers about a storage that is open: what it takes, and what its writer has done. For operators and monitors. */

import type { Measured } from "./region/region.ts";
import type { Cells } from "./cells/cells.ts";
import type { Follows } from "./state/visible.ts";
import type { FlushStats } from "./state/metrics.ts";
import type { Publisher } from "./state/publisher.ts";
import type { Recovery } from "./state/choose-state.ts";
import type { WritableCells } from "./cells/writable.ts";

/** What every storage has. */
export interface StorageStats {
  /** Cells in use, the header area included: `length`. */
  readonly cells: number;
  /** Their bytes: `byteLength`. */
  readonly usedBytes: number;
  /** Bytes of the file as it is now, which is longer than what is used. */
  readonly fileBytes: number;
  /** Bytes of its blocks on the disk; 0 in memory. */
  readonly allocatedBytes: number;
  /** Buffers over the mapped memory that are alive, from which views are cut; of a writer also those for fields. */
  readonly windows: number;
  /** How often the storage was truncated, as far as its writers counted. */
  readonly truncations: number;
  /** Whether the file has no name any more: it was deleted, or another file was moved to its path. */
  readonly fileGone: boolean;
}

/** What a reader has besides. */
export interface ReaderStats extends StorageStats {
  readonly mode: "reader";
  readonly follows: Follows;
}

/** What a writer has besides. */
export interface WriterStats extends StorageStats {
  readonly mode: "writer";
  /** Bytes that are sure to have room on the disk, from the file's beginning on: the next step of growth begins there. */
  readonly reservedBytes: number;
  /** Cells that a power cut would take: `length` less that of the last flush. */
  readonly unflushedCells: number;
  /** Commits since opening, those that flushes make included. */
  readonly commits: number;
  /** Flushes since opening. */
  readonly flushes: FlushStats;
  /** What opening found. */
  readonly recovery: Recovery;
}

export function storageStats(region: Measured, cells: Cells, truncations: number): StorageStats {
  const { sizeBytes, allocatedBytes, links, windows } = region.stat();
  const usedBytes = cells.length * cells.bytesPerCell;
  const fileGone = links === 0;
  return { cells: cells.length, usedBytes, fileBytes: sizeBytes, allocatedBytes, windows, truncations, fileGone };
}

/** What of a writer its numbers are taken from. */
interface WriterParts {
  readonly writable: WritableCells;
  readonly publisher: Publisher;
  readonly recovery: Recovery;
}

export function writerStats(
  region: Measured,
  cells: Cells,
  { writable, publisher, recovery }: WriterParts,
): WriterStats {
  const { durable, metrics, truncations } = publisher;
  return {
    mode: "writer",
    ...storageStats(region, cells, truncations),
    reservedBytes: writable.reservedCells * cells.bytesPerCell,
    unflushedCells: cells.length - durable.next,
    commits: metrics.commits,
    flushes: metrics.flushes,
    recovery,
  };
}
