/**
 * Writes the content of a state to a file, from the records that hold it. Every byte is first checked against its hash.
 */

import { encodeArea } from "../format/area.ts";
import { checkConfig, decodeConfig } from "../format/config.ts";
import type { NewFile } from "../os/new-file.ts";
import type { FoundState } from "./find-state.ts";
import { firstOfBlock, type Geometry, tailStart } from "./geometry.ts";
import type { History } from "./history.ts";
import { blockKey, logKey } from "./keys.ts";
import type { Log } from "./log.ts";
import { decodeLine, decodeParts, Misfit, release } from "./object.ts";

/** Concurrent downloads. */
const DOWNLOADS = 4;

/** A state, and the history of a record that holds all its cells. */
export interface Content {
  readonly state: FoundState;
  readonly history: History;
  readonly geometry: Geometry;
}

/** Reads the records that hold a state. @throws Misfit one is missing or has changed */
export async function contentOf(log: Log, state: FoundState, signal?: AbortSignal): Promise<Content> {
  return checkContent(state, await log.readTo(state.record, signal));
}

/** @throws Misfit the history does not have the state's cells */
export function checkContent(state: FoundState, history: History): Content {
  const { geometry, hasState, epoch, next } = history;
  if (geometry === null || !hasState || epoch !== state.epoch || next < state.next) {
    throw new Misfit(logKey(state.record), `it does not have the cells of state ${state.sequence}`);
  }
  return { state, history, geometry };
}

export interface Writing {
  readonly writerKey: Uint8Array;
  readonly signal?: AbortSignal | undefined;
  readonly onBytes: (bytes: number) => void;
}

/**
 * Writes the state as a file that was flushed and closed. The header is written last, so that a kill leaves no storage.
 * @internal
 */
export async function writeContent(log: Log, content: Content, file: NewFile, writing: Writing): Promise<void> {
  const { state, history, geometry } = content;
  const { bytesPerCell, startIndex } = geometry;
  await writeBlocks(log, content, file, writing);
  const first = tailStart(geometry, history.next);
  if (state.next > first) {
    const tail = history.tail.bytes.subarray(0, (state.next - first) * bytesPerCell);
    await file.write(tail, first * bytesPerCell);
    writing.onBytes(tail.length);
  }
  const area = new Uint8Array(startIndex * bytesPerCell);
  const config = checkConfig(decodeConfig(Uint8Array.fromHex(state.config)));
  area.set(encodeArea(config, state, writing.writerKey));
  await file.write(area, 0);
}

async function writeBlocks(log: Log, content: Content, file: NewFile, { signal, onBytes }: Writing): Promise<void> {
  const { state, history, geometry } = content;
  const { bytesPerCell, cellsPerBlock, startIndex } = geometry;
  const count = Math.min(history.blocks.count, Math.ceil((state.next - startIndex) / cellsPerBlock));
  let next = 0;
  let hasFailed = false;
  let isSyncing = false;
  // Sync during the download, so that the disk writes blocks while the next ones are read and hashed. An error of this
  // sync must end the call, because the system reports it only once.
  const sync = async (): Promise<void> => {
    if (isSyncing) return;
    isSyncing = true;
    await file.sync();
    isSyncing = false;
  };
  const download = async (): Promise<void> => {
    while (next < count && !hasFailed) {
      const block = next++;
      try {
        signal?.throwIfAborted();
        const cells = await blockCells(log, history, block, signal);
        const first = firstOfBlock(geometry, block);
        const bytes = cells.subarray(0, (state.next - first) * bytesPerCell);
        const { length } = bytes;
        await file.write(bytes, first * bytesPerCell);
        release(cells);
        onBytes(length);
        await sync();
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  // Wait for all downloads before throwing the first error, because the caller then discards the file.
  const results = await Promise.allSettled(Array.from({ length: Math.min(DOWNLOADS, count) }, download));
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** Reads the cells of a block. @throws Misfit it is missing, damaged, or another block */
export async function blockCells(
  log: Log,
  { epoch, blocks, geometry }: History,
  block: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const hash = blocks.at(block);
  const key = blockKey(epoch, block, hash);
  const object = await log.store.get(key, signal === undefined ? {} : { signal });
  if (object === null) throw new Misfit(key, "it is missing");
  const cells = await decodeBlock(key, epoch, block, object);
  const sizeBytes = (geometry?.cellsPerBlock ?? 0) * (geometry?.bytesPerCell ?? 0);
  if (cells.length !== sizeBytes) throw new Misfit(key, `it has ${cells.length} bytes of cells, not ${sizeBytes}`);
  const line = decodeLine(key, object);
  if (line.parts[0]?.sha256 !== hash) throw new Misfit(key, "its cells are not those that the log names");
  return cells;
}

/** The cells of a block's object, checked against its line. @throws Misfit */
export async function decodeBlock(key: string, epoch: number, number: number, object: Uint8Array): Promise<Uint8Array> {
  const line = decodeLine(key, object);
  const { fields } = line;
  if (fields["kind"] !== "block" || fields["epoch"] !== epoch || fields["number"] !== number) {
    throw new Misfit(key, "it is not this block");
  }
  const [cells, ...others] = await decodeParts(key, line, object);
  if (cells === undefined || others.length > 0) throw new Misfit(key, "it is not a block");
  return cells;
}
