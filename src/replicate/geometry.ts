/** Computes which cells are in which block of an epoch. The config of an epoch is fixed, except the version. */

import { type CheckedConfig, checkConfig, decodeConfig } from "../format/config.ts";
import { startIndexOf } from "../format/layout.ts";

export interface Geometry {
  readonly config: CheckedConfig;
  readonly bytesPerCell: number;
  /** The first index for data: block 0 begins here. */
  readonly startIndex: number;
  readonly cellsPerBlock: number;
}

/** @throws INVALID_CONFIG the 32 bytes are not a config */
export function geometryOf(config: Uint8Array, blockBytes: number, path?: string): Geometry {
  const checked = checkConfig(decodeConfig(config), path);
  const { bytesPerCell } = checked;
  const startIndex = startIndexOf(bytesPerCell);
  return { config: checked, bytesPerCell, startIndex, cellsPerBlock: Math.floor(blockBytes / bytesPerCell) };
}

/** How many blocks the cells before `next` fill. */
export function completeBlocks({ startIndex, cellsPerBlock }: Geometry, next: number): number {
  return Math.floor((next - startIndex) / cellsPerBlock);
}

/** The first index of a block. */
export function firstOfBlock({ startIndex, cellsPerBlock }: Geometry, block: number): number {
  return startIndex + block * cellsPerBlock;
}

/** The first index of the tail: the cells behind the last complete block. */
export function tailStart(geometry: Geometry, next: number): number {
  return firstOfBlock(geometry, completeBlocks(geometry, next));
}
