/** Whole cells and whole pages at the end of a file. */

import { StorageError } from "../error.ts";
import type { CheckedConfig } from "../format/config.ts";
import { pageSizeBytes } from "../os/mapping.ts";
import type { WritableRegion } from "../region/region.ts";

/**
 * Makes the file whole cells, and long enough that the page of the last of `cells` is whole too: a part of a page
 * cannot be renewed. A foreign tool, or a writer killed where blocks cannot be reserved, may have left a part of a
 * cell at the end.
 * @returns the whole cells that the file has now
 */
export function makeWhole(
  region: Pick<WritableRegion, "sizeBytes" | "grow">,
  { bytesPerCell, maxIndex }: CheckedConfig,
  cells: number,
): number {
  const pageEnd = wholePages(cells * bytesPerCell);
  const fileCells = Math.ceil(region.sizeBytes / bytesPerCell);
  const wholeCells = Math.max(fileCells, Math.min(maxIndex, Math.ceil(pageEnd / bytesPerCell)));
  if (wholeCells * bytesPerCell <= region.sizeBytes) return wholeCells;
  try {
    region.grow(region.sizeBytes, wholeCells * bytesPerCell);
    return wholeCells;
  } catch (error) {
    // A full disk keeps no storage from opening: the part of a cell is made whole when the file grows.
    if (!(error instanceof StorageError) || error.code !== "DISK_FULL") throw error;
    return Math.floor(region.sizeBytes / bytesPerCell);
  }
}

export function wholePages(sizeBytes: number): number {
  return Math.ceil(sizeBytes / pageSizeBytes()) * pageSizeBytes();
}
