/**
 * Adds one flushed state to the replica: first the blocks that it completes, four at a time, then the record that names
 * them. All data is copied first; the copy is checked, hashed and sent, never the file itself. One block is hashed at a
 * time, while others are read and stored.
 */

import { StorageError } from "../error.ts";
import { firstChangedInTail, firstDifference } from "./compare.ts";
import { completeBlocks, firstOfBlock, type Geometry, tailStart } from "./geometry.ts";
import { blockKey } from "./keys.ts";
import type { Log } from "./log.ts";
import { encodeLine, joined, LINE_BYTES, release, SHA_BYTES, sha256InSteps, allocateUnzeroed } from "./object.ts";
import type { Stop } from "./patient-store.ts";
import type { RecordBody, Session } from "./session.ts";
import type { FlushedState, Source } from "./source.ts";

/** Concurrent uploads. */
const UPLOADS = 4;
/** The most blocks that are uploaded before a record names them. After a kill at most these are sent again. */
const UNNAMED_BLOCKS = 64;
/** States from one full record to the next. */
const STATES_PER_FULL = 1024;
/** Bytes of records from one full record to the next. */
const BYTES_PER_FULL: number = 64 * 1024 * 1024;

/** The arguments of `addState`. */
export interface Adding {
  readonly log: Log;
  readonly session: Session;
  readonly source: Source;
  readonly state: FlushedState;
  /** How many of the named blocks the file has too. The blocks after them are named again. */
  readonly keptBlocks: number;
  /** Whether the file does not continue the replica, so that its cells begin an epoch. */
  readonly beginsEpoch: boolean;
  readonly stop: Stop;
  readonly onBlock: () => void;
}

/**
 * Adds the state, and returns when its record is stored.
 * @throws TRUNCATED the storage was truncated during the call, and no record was added; CHANGED_IN_PLACE; FENCED;
 * Reopen; as the store throws
 */
export async function addState(adding: Adding): Promise<void> {
  const { session, source, state, beginsEpoch, stop } = adding;
  const { history } = session;
  const isFirst = beginsEpoch || history.epoch === 0;
  if (isFirst && history.states.length > 0) await session.append(await lastOfEpoch(adding));
  const epoch = isFirst ? history.epoch + 1 : history.epoch;
  const { geometry } = source;
  const complete = completeBlocks(geometry, state.next);
  let named = isFirst ? 0 : adding.keptBlocks;
  let hashes = new Uint8Array(0);
  do {
    const end = Math.min(complete, named + UNNAMED_BLOCKS);
    const isExtension = !isFirst && history.hasState;
    hashes = await uploadBlocks(adding, epoch, named, end, isExtension);
    if (end === complete) break;
    if (isExtension) await checkTail(adding);
    source.check(state);
    const { config, truncations } = state;
    const file = source.identity;
    await session.append({ kind: "blocks", epoch, file, truncations, config, firstBlock: named, blocks: hashes });
    named = end;
  } while (true);
  stop.check();
  await session.append(await recordOf(adding, { epoch, isFirst, firstBlock: named, hashes }));
}

/** Makes the record of the state: a state record, or a full one. */
async function recordOf(
  adding: Adding,
  how: { readonly epoch: number; readonly isFirst: boolean; readonly firstBlock: number; readonly hashes: Uint8Array },
): Promise<RecordBody> {
  const { session, source, state } = adding;
  const { history } = session;
  const { geometry } = source;
  const { next, root, config, truncations } = state;
  const isExtension = !how.isFirst && history.hasState;
  const start = tailStart(geometry, next);
  // The previous record has the beginning of the tail, if the tail still begins at the same cell.
  const isSameTail = isExtension && start === tailStart(geometry, history.next);
  const first = isSameTail ? history.next : start;
  const cells = allocateUnzeroed((next - first) * geometry.bytesPerCell);
  await source.read(first, cells);
  if (isExtension) await checkTail(adding);
  source.check(state);
  const tailHash = isSameTail ? await history.tail.sha256With(cells) : await sha256InSteps(cells);
  // Earlier records of the epoch may name blocks even if this is its first state.
  const kept = how.firstBlock;
  const blocksHash = await history.blocks.sha256With(kept, how.hashes);
  const common = { epoch: how.epoch, file: source.identity, truncations, config, root, next, tailHash, blocksHash };
  const bytes = history.bytesSinceFull + LINE_BYTES + cells.length + how.hashes.length;
  if (isExtension && history.states.length + 1 < STATES_PER_FULL && bytes <= BYTES_PER_FULL) {
    return { ...common, kind: "state", first, firstBlock: how.firstBlock, blocks: how.hashes, cells };
  }
  // Check before the record is stored: it cannot be removed later.
  if (kept + how.hashes.length / SHA_BYTES !== completeBlocks(geometry, next)) {
    throw new Error(`a full record of ${kept} and ${how.hashes.length / SHA_BYTES} blocks does not name all blocks`);
  }
  return {
    ...common,
    kind: "full",
    first: start,
    firstBlock: 0,
    blocks: await joined(history.blocks.bytes.subarray(0, kept * SHA_BYTES), how.hashes),
    cells: isSameTail ? await joined(history.tail.bytes, cells) : cells,
    states: how.isFirst ? [] : history.states,
    previousFull: history.full,
    previousEpoch: how.isFirst ? history.full : history.previousEpoch,
    repeats: 0,
  };
}

/**
 * Makes the full record before the first record of a new epoch. Without it, only records that `prune` deletes would
 * name the last states of the ending epoch, whose cells are no longer in the file.
 */
async function lastOfEpoch({ session }: Adding): Promise<RecordBody> {
  const { history } = session;
  const { geometry, file, states } = history;
  const last = states.at(-1);
  if (geometry === null || file === null || last === undefined)
    throw new Error("an epoch without a state has no last one");
  const blocks = await joined(history.blocks.bytes.subarray(0, history.stateBlocks * SHA_BYTES));
  return {
    kind: "full",
    epoch: history.epoch,
    file,
    truncations: history.truncations,
    config: last.config,
    root: history.root,
    next: history.next,
    first: tailStart(geometry, history.next),
    firstBlock: 0,
    blocks,
    cells: await joined(history.tail.bytes),
    tailHash: history.tail.sha256(),
    blocksHash: await history.blocks.sha256With(history.stateBlocks, new Uint8Array(0)),
    states,
    previousFull: history.full,
    previousEpoch: history.previousEpoch,
    repeats: last.sequence,
  };
}

/** Uploads blocks, some at a time, and returns their hashes. */
async function uploadBlocks(
  adding: Adding,
  epoch: number,
  from: number,
  to: number,
  isExtension: boolean,
): Promise<Uint8Array<ArrayBuffer>> {
  const hashes = new Uint8Array((to - from) * SHA_BYTES);
  let next = from;
  let hasFailed = false;
  const upload = async (): Promise<void> => {
    while (next < to && !hasFailed) {
      const block = next++;
      try {
        const hash = await uploadBlock(adding, epoch, block, isExtension);
        hashes.set(Uint8Array.fromHex(hash), (block - from) * SHA_BYTES);
        adding.onBlock();
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  // Wait for all uploads before throwing the first error, so that none reads the file afterwards.
  const results = await Promise.allSettled(Array.from({ length: Math.min(UPLOADS, to - from) }, upload));
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return hashes;
}

async function uploadBlock(adding: Adding, epoch: number, block: number, isExtension: boolean): Promise<string> {
  const { log, session, source, state, stop } = adding;
  const { geometry } = source;
  stop.check();
  // Leave room for the line in front, so that the cells are copied only once.
  const buffer = allocateUnzeroed(LINE_BYTES + geometry.cellsPerBlock * geometry.bytesPerCell);
  const cells = buffer.subarray(LINE_BYTES);
  await source.read(firstOfBlock(geometry, block), cells);
  source.check(state);
  if (isExtension && block === session.history.stateBlocks) checkBlockHasTail(adding, cells);
  const hash = await sha256InSteps(cells);
  const line = blockLine(epoch, block, cells.length, hash);
  const object = buffer.subarray(LINE_BYTES - line.length);
  object.set(line);
  await log.store.put(blockKey(epoch, block, hash), object);
  release(buffer);
  return hash;
}

/** The line of a block. It holds neither time nor session, so that the same key always has the same bytes. */
export function blockLine(epoch: number, number: number, bytes: number, sha256: string): Uint8Array {
  return encodeLine({ kind: "block", format: 1, epoch, number }, [{ name: "cells", bytes, sha256 }]);
}

/** Checks that the replicated tail is still in the file. @throws CHANGED_IN_PLACE, TRUNCATED */
async function checkTail({ session, source, state }: Adding): Promise<void> {
  const changed = await firstChangedInTail(source, session.history);
  if (changed === null) return;
  source.check(state);
  throw changedInPlace(source.path, changed);
}

/** Checks that the copy of a block begins with the replicated tail, which has become a part of it. */
function checkBlockHasTail({ session, source }: Adding, cells: Uint8Array): void {
  const tail = session.history.tail.bytes;
  const changed = firstDifference(cells.subarray(0, tail.length), tail);
  if (changed === null) return;
  const first = tailStart(source.geometry, session.history.next);
  throw changedInPlace(source.path, first + Math.floor(changed / source.geometry.bytesPerCell));
}

function changedInPlace(path: string, index: number): StorageError {
  const message = `${path}: cell ${index} was changed after it was replicated, by a program or by the disk: the replica is unchanged: restore it, or upload this file with newEpoch`;
  return new StorageError("CHANGED_IN_PLACE", message, { path, index });
}

/** The error for a block that differs between file and replica. */
export function blockChanged(path: string, block: number, geometry: Geometry): StorageError {
  const index = firstOfBlock(geometry, block);
  const message = `${path}: block ${block}, cells ${index} to ${index + geometry.cellsPerBlock - 1}, was changed after it was replicated, by a program or by the disk: the replica is unchanged: restore it, or upload this file with newEpoch`;
  return new StorageError("CHANGED_IN_PLACE", message, { path, index });
}
