/** Compares a file with the replica. The file continues the replica if it begins with the cells of the newest state. */

import { completeBlocks, firstOfBlock, tailStart } from "./geometry.ts";
import type { History } from "./history.ts";
import { STEP_BYTES } from "./object.ts";
import type { FileIdentity } from "./record.ts";
import { type FlushedState, FIXED_CONFIG_CHARACTERS, type Source } from "./source.ts";
import type { Stop } from "./patient-store.ts";

/** The result of a comparison. */
export interface Comparison {
  /** The difference, as a part of a sentence; null if the file continues the replica. */
  readonly difference: string | null;
  /** How many of the named blocks equal those of the file. Only blocks past the newest state may differ. */
  readonly keptBlocks: number;
}

/**
 * Compares the config, the tail and the last blocks; with `all`, every block. At least some bytes must be compared:
 * another file may have the same length.
 * @throws TRUNCATED the storage was truncated during the comparison; SYSTEM
 */
export async function compare(
  source: Source,
  state: FlushedState,
  history: History,
  options: { readonly all: boolean; readonly stop: Stop },
): Promise<Comparison> {
  const { geometry, blocks, stateBlocks, hasState, next } = history;
  const differs = (difference: string): Comparison => ({ difference, keptBlocks: 0 });
  if (geometry === null) return { difference: null, keptBlocks: 0 };
  if (state.config.slice(0, FIXED_CONFIG_CHARACTERS) !== history.config.slice(0, FIXED_CONFIG_CHARACTERS)) {
    return differs("its head string, cell size or max index differs");
  }
  if (hasState && state.next < next)
    return differs(`it has ${state.next} cells, the replica's newest state has ${next}`);
  const tailIndex = hasState ? await firstChangedInTail(source, history) : null;
  source.check(state);
  if (tailIndex !== null) return differs(`cell ${tailIndex} differs`);
  const isSame = (block: number): Promise<boolean> => isBlockSame(source, state, history, block);
  for (let block = stateBlocks - 1; block >= (options.all ? 0 : stateBlocks - 1) && block >= 0; block--) {
    options.stop.check();
    if (!(await isSame(block))) return differs(`cells of block ${block} differ`);
  }
  if (blocks.count === stateBlocks) {
    // An empty state has no cells to compare: any other file would begin with it.
    const isProven = next > geometry.startIndex || isSameFile(source.identity, history.file);
    return isProven
      ? { difference: null, keptBlocks: blocks.count }
      : differs("it is another file, and the newest state has no cells to compare");
  }
  if (!options.all && (await isSame(blocks.count - 1))) return { difference: null, keptBlocks: blocks.count };
  let keptBlocks = stateBlocks;
  while (keptBlocks < blocks.count && (await isSame(keptBlocks))) {
    options.stop.check();
    keptBlocks++;
  }
  // No state needs the blocks past the newest one, so they may differ. But if no cell was compared, this may be any
  // other file.
  const isProven = hasState && next > geometry.startIndex;
  if (keptBlocks < blocks.count && !isProven) return differs(`cells of block ${keptBlocks} differ`);
  return { difference: null, keptBlocks };
}

/** Tells whether the records of a session are of this same file. */
export function isSameFile(a: FileIdentity, b: FileIdentity | null): boolean {
  return b !== null && a.host === b.host && a.inode === b.inode && a.created === b.created;
}

/** Tells whether the file has a block's cells. @throws TRUNCATED */
export async function isBlockSame(
  source: Source,
  state: FlushedState,
  { geometry, blocks }: History,
  block: number,
): Promise<boolean> {
  if (geometry === null || block >= completeBlocks(geometry, state.next)) return false;
  const hash = await hashOfBlock(source, block);
  source.check(state);
  return hash === blocks.at(block);
}

/** The SHA-256 of a block's cells in the file. */
export async function hashOfBlock(source: Source, block: number): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  await readBlockInto(source, block, (step) => hasher.update(step));
  return hasher.digest("hex");
}

/** Returns the first cell of the newest state's tail that differs in the file, or null. Check the state afterwards. */
export async function firstChangedInTail(source: Source, { geometry, tail, next }: History): Promise<number | null> {
  if (geometry === null) return null;
  const first = tailStart(geometry, next);
  const expected = tail.bytes;
  const buffer = new Uint8Array(Math.min(STEP_BYTES, expected.length));
  for (let offset = 0; offset < expected.length; offset += STEP_BYTES) {
    const step = buffer.subarray(0, Math.min(STEP_BYTES, expected.length - offset));
    await source.readBytes(first * geometry.bytesPerCell + offset, step);
    const changed = firstDifference(step, expected.subarray(offset, offset + step.length));
    if (changed !== null) return first + Math.floor((offset + changed) / geometry.bytesPerCell);
  }
  return null;
}

/** The offset of the first byte that differs between two runs of the same length, or null. */
export function firstDifference(a: Uint8Array, b: Uint8Array): number | null {
  if (Buffer.compare(a, b) === 0) return null;
  return a.findIndex((byte, i) => byte !== b[i]);
}

async function readBlockInto(source: Source, block: number, onStep: (step: Uint8Array) => void): Promise<void> {
  const { geometry } = source;
  const { bytesPerCell, cellsPerBlock } = geometry;
  const start = firstOfBlock(geometry, block) * bytesPerCell;
  const end = start + cellsPerBlock * bytesPerCell;
  const buffer = new Uint8Array(STEP_BYTES);
  for (let offset = start; offset < end; offset += STEP_BYTES) {
    const step = buffer.subarray(0, Math.min(STEP_BYTES, end - offset));
    await source.readBytes(offset, step);
    onStep(step);
  }
}
