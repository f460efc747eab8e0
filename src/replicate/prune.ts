/**
 * Pruning: deletes objects that no remaining state needs, and forgets states on request. No other code deletes objects.
 * It writes nothing, so a kill at any moment leaves every remaining state complete, and a repeated prune continues.
 */

import { wrongType } from "../error.ts";
import { checkOptions, signalFrom } from "../options.ts";
import type { History } from "./history.ts";
import { BLOCK_PREFIX, blockKey, blockNameOf, logKey } from "./keys.ts";
import { type Log, openLog, rereading } from "./log.ts";
import { SHA_BYTES } from "./object.ts";
import { openTarget, type Target } from "./store/open.ts";

/** The options of `prune`. */
export interface PruneOptions {
  /**
   * Forget states from before this time: full records made before it are deleted with all states that they name, except
   * the last one of an epoch. Default: no state is forgotten.
   */
  readonly before?: Date | undefined;
  /** Delete every epoch except the newest with a state. Default false. */
  readonly epochs?: boolean | undefined;
  /** Only report what would be deleted. Default false. */
  readonly dryRun?: boolean | undefined;
  /** Cancels it; rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The objects that were deleted, or would be. */
export interface PruneResult {
  /** Records that are not full; a full record names their states. */
  readonly records: number;
  /** Full records, with the states that they name. */
  readonly fullRecords: number;
  readonly states: number;
  readonly blocks: number;
}

/** An existing full record. */
interface Full {
  readonly sequence: number;
  readonly epoch: number;
  readonly time: number;
}

/** Keys of a listing. */
const PAGE = 1000;
/** Concurrent requests. */
const REQUESTS = 8;

/**
 * Deletes all records before the newest full record, except full records, and the blocks that no remaining record
 * names. With `before` or `epochs` it also deletes states.
 * @throws NOT_A_REPLICA; REPLICA_CORRUPT; STORE_UNREACHABLE, STORE_REFUSED; the signal's reason; TypeError
 *
 * @example
 * await prune("s3://bucket/data", { before: new Date(Date.now() - 30 * 24 * 3600 * 1000) });
 */
export async function prune(target: Target, options: PruneOptions = {}): Promise<PruneResult> {
  checkOptions(options);
  const { before, epochs = false, dryRun = false } = options;
  if (before !== undefined && !(before instanceof Date && !Number.isNaN(before.getTime()))) {
    throw wrongType("before", "a valid Date", before);
  }
  const signal = signalFrom(options.signal);
  const log = await openLog(openTarget(target), signal);
  // Read the newest state before listing: blocks past it may belong to a record that does not exist yet.
  const history = await log.readToEnd(signal);
  const remove = async (key: string): Promise<void> => {
    if (!dryRun) await log.store.delete(key, signal === undefined ? {} : { signal });
  };
  const { fulls, records } = await removeRecords(log, history, remove, signal);
  const forgotten = forgettable(fulls, history, before, epochs);
  let states = 0;
  // Delete the oldest first, so that after a kill the rest is still found from the newest on.
  for (const { sequence } of forgotten) {
    signal?.throwIfAborted();
    const named = await rereading(log.url, () => log.fullStates(sequence, signal));
    if (named?.line.kind === "full") states += named.states.length + (named.line.repeats === 0 ? 1 : 0);
    await remove(logKey(sequence));
  }
  const remaining = fulls.filter((full) => !forgotten.includes(full));
  const blocks = await removeBlocks(log, history, remaining, remove, signal);
  return { records, fullRecords: forgotten.length, states, blocks };
}

type Remove = (key: string) => Promise<void>;

/** Removes records of states and blocks before the newest full record. Openings stay: they fence old sessions. */
async function removeRecords(
  log: Log,
  { full: newestFull }: History,
  remove: Remove,
  signal?: AbortSignal,
): Promise<{ readonly fulls: Full[]; readonly records: number }> {
  const fulls: Full[] = [];
  let records = 0;
  for (let upTo = newestFull; upTo > 0;) {
    const page = await log.upTo(upTo, PAGE, signal);
    await eachOf(page, async (sequence) => {
      signal?.throwIfAborted();
      // The blocks that a damaged record names are unknown, so nothing may be deleted.
      const line = await rereading(log.url, () => log.line(sequence, signal));
      if (line === null || line.kind === "opening") return;
      if (line.kind === "full") fulls.push({ sequence, epoch: line.epoch, time: line.time });
      else {
        await remove(logKey(sequence));
        records++;
      }
    });
    upTo = page.length < PAGE ? 0 : (page.at(-1) ?? 1) - 1;
  }
  return { fulls: fulls.sort((a, b) => a.sequence - b.sequence), records };
}

/**
 * The full records to forget, oldest first: never the last of an epoch that stays, nor the newest epoch with a state.
 */
function forgettable(
  fulls: readonly Full[],
  { state, full }: History,
  before: Date | undefined,
  epochs: boolean,
): Full[] {
  const newestEpoch = state?.epoch ?? 0;
  const isLast = (one: Full): boolean =>
    !fulls.some(({ epoch, sequence }) => epoch === one.epoch && sequence > one.sequence);
  return fulls.filter((one) => {
    if (one.sequence === full) return false;
    const isOldEpoch = epochs && one.epoch < newestEpoch;
    return isOldEpoch || (before !== undefined && one.time < before.getTime() && !isLast(one));
  });
}

/** Removes the blocks of the newest state and before that no remaining record names. */
async function removeBlocks(
  log: Log,
  history: History,
  remaining: readonly Full[],
  remove: Remove,
  signal?: AbortSignal,
): Promise<number> {
  const named = new Set<string>();
  const name = (epoch: number, hashes: Uint8Array): void => {
    for (let block = 0; block * SHA_BYTES < hashes.length; block++) {
      const hash = hashes.subarray(block * SHA_BYTES, (block + 1) * SHA_BYTES).toHex();
      named.add(blockKey(epoch, block, hash));
    }
  };
  name(history.epoch, history.blocks.bytes);
  // The last full record of an epoch names all blocks of the earlier ones.
  const lasts = new Map(remaining.map(({ epoch, sequence }) => [epoch, sequence]));
  for (const [epoch, sequence] of lasts) {
    const stored = await rereading(log.url, () => log.get(sequence, signal));
    // If it is null, another `prune` has deleted it.
    if (stored?.record.kind === "full") name(epoch, stored.record.blocks);
  }
  // Keep all blocks past the newest state: they are uploaded before the record that names them.
  const frontier = history.stateBlocks;
  let blocks = 0;
  for (let after = ""; ;) {
    const page = await log.store.list(BLOCK_PREFIX, { after, most: PAGE, ...(signal === undefined ? {} : { signal }) });
    await eachOf(page, async (key) => {
      signal?.throwIfAborted();
      const block = blockNameOf(key);
      const isBelow =
        block !== null && (block.epoch < history.epoch || (block.epoch === history.epoch && block.number < frontier));
      if (!isBelow || named.has(key)) return;
      await remove(key);
      blocks++;
    });
    if (page.length < PAGE) return blocks;
    after = page.at(-1) ?? "";
  }
}

/** Calls `call` for each item, a few at a time. */
async function eachOf<T>(items: readonly T[], call: (item: T) => Promise<void>): Promise<void> {
  for (let i = 0; i < items.length; i += REQUESTS) await Promise.all(items.slice(i, i + REQUESTS).map(call));
}
