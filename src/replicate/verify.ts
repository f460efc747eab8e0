/** Verifies a replica: compares its records and hashes with the store, a local file, and every object. */

import { StorageError } from "../error.ts";
import type { Finding } from "../offline/check.ts";
import { checkOptions, signalFrom } from "../options.ts";
import { pathFrom } from "../os/file.ts";
import { firstChangedInTail, isBlockSame } from "./compare.ts";
import { decodeBlock } from "./content.ts";
import { firstOfBlock } from "./geometry.ts";
import type { History } from "./history.ts";
import { BLOCK_PREFIX, blockKey, blockNameOf, logKey } from "./keys.ts";
import { type Log, openLog, rereading } from "./log.ts";
import { Misfit, release } from "./object.ts";
import { FIXED_CONFIG_CHARACTERS, Source } from "./source.ts";
import { fullRecords } from "./states.ts";
import { openTarget, type Target } from "./store/open.ts";

/** The options of `verify`. */
export interface VerifyOptions {
  /** A file that is replicated here: its cells are compared with the recorded hashes, without a download. */
  readonly against?: string | URL | undefined;
  /** Reads every object of the replica. Default false: blocks are only listed. */
  readonly download?: boolean | undefined;
  /** Cancels it; rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const PAGE = 1000;

/**
 * Verifies a replica: its records, and that every block exists. With options it also compares a file, and reads every
 * object. Never changes anything.
 * @throws NOT_A_REPLICA; what opening `against` throws; STORE_UNREACHABLE, STORE_REFUSED; the signal's reason;
 * TypeError
 *
 * @example
 * for await (const { level, message } of verify("s3://bucket/data")) if (level === "damage") console.error(message);
 */
export async function* verify(target: Target, options: VerifyOptions = {}): AsyncGenerator<Finding, void> {
  checkOptions(options);
  const { against, download = false } = options;
  const path = against === undefined ? undefined : pathFrom(against);
  const signal = signalFrom(options.signal);
  const log = await openLog(openTarget(target), signal);
  const history = yield* verifyLog(log, signal);
  if (history === null) return;
  const { histories, fulls } = yield* verifyEpochs(log, history, signal);
  yield* verifyBlocks(log, history, histories, signal);
  if (download) yield* verifyObjects(log, history, fulls, signal);
  if (path !== undefined) yield* verifyFile(history, path, log.replica.blockBytes, signal);
}

/** Checks the records from the newest full record on. */
async function* verifyLog(log: Log, signal?: AbortSignal): AsyncGenerator<Finding, History | null> {
  try {
    const history = await log.readToEnd(signal);
    const { state, sequence } = history;
    const newest = state === null ? "no state yet" : `newest state ${state.sequence}, epoch ${state.epoch}`;
    yield { part: "log", level: "ok", message: `${sequence} records, ${newest}` };
    return history;
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    yield { part: "log", level: "damage", message: error.message };
    return null;
  }
}

/** Checks every full record. Returns the last history of each epoch. */
async function* verifyEpochs(
  log: Log,
  history: History,
  signal?: AbortSignal,
): AsyncGenerator<Finding, { readonly histories: readonly History[]; readonly fulls: readonly number[] }> {
  const lasts = new Map([[history.epoch, history]]);
  let good = 0;
  let fulls: number[] = [];
  try {
    fulls = await rereading(log.url, () => fullRecords(log, 1, signal));
  } catch (error) {
    if (!isCorrupt(error)) throw error;
    yield { part: "full records", level: "damage", message: `${error.message}; the records before it are not checked` };
  }
  for (const full of fulls.toReversed()) {
    signal?.throwIfAborted();
    try {
      const one = await log.readTo(full, signal);
      good++;
      if (!lasts.has(one.epoch)) lasts.set(one.epoch, one);
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      yield { part: `record ${full}`, level: "damage", message: error.message };
    }
  }
  yield { part: "full records", level: "ok", message: `${good} are intact` };
  return { histories: [...lasts.values()], fulls };
}

/** Checks that every named block exists. */
async function* verifyBlocks(
  log: Log,
  history: History,
  histories: readonly History[],
  signal?: AbortSignal,
): AsyncGenerator<Finding, void> {
  const missing = new Set<string>();
  for (const { epoch, blocks } of histories) {
    for (let block = 0; block < blocks.count; block++) missing.add(blockKey(epoch, block, blocks.at(block)));
  }
  const named = missing.size;
  let others = 0;
  for await (const key of keysOf(log, signal)) if (!missing.delete(key)) others++;
  for (const key of missing) {
    const isOld = (blockNameOf(key)?.epoch ?? 0) < history.epoch;
    const hint = isOld
      ? "; if its epoch was pruned, a late PUT has brought back its record: prune the epochs again"
      : "";
    yield { part: key, level: "damage", message: `${key}: it is missing${hint}` };
  }
  if (missing.size === 0) yield { part: "blocks", level: "ok", message: `all ${named} exist` };
  if (others === 0) return;
  const message = `no record names ${others} blocks: their uploads were killed, or still run; prune deletes the old ones`;
  yield { part: "blocks", level: "note", message };
}

/** Checks that every object matches its line. */
async function* verifyObjects(
  log: Log,
  history: History,
  fulls: readonly number[],
  signal?: AbortSignal,
): AsyncGenerator<Finding, void> {
  let good = 0;
  let late = 0;
  let forgotten = 0;
  const options = signal === undefined ? {} : { signal };
  for await (const key of keysOf(log, signal)) {
    const name = blockNameOf(key);
    const object = name === null ? null : await log.store.get(key, options);
    // It was pruned since it was listed.
    if (name === null || object === null) continue;
    const damage = await damageOf(() => decodeBlock(key, name.epoch, name.number, object));
    release(object);
    if (damage === null) good++;
    else yield { part: key, level: "damage", message: damage };
  }
  for (let upTo = history.sequence; upTo > 0;) {
    const page = await log.upTo(upTo, PAGE, signal);
    for (const sequence of page) {
      const damage = await damageOf(async () => {
        const stored = await log.get(sequence, signal);
        const isNamed = stored?.record.kind === "state" || stored?.record.kind === "blocks";
        if (isNamed && sequence < history.full) late++;
        if (stored?.record.kind === "full" && sequence < history.full && !fulls.includes(sequence)) forgotten++;
        if (stored !== null && stored.record.kind !== "opening") release(stored.record.blocks);
      });
      if (damage === null) good++;
      else yield { part: logKey(sequence), level: "damage", message: damage };
    }
    upTo = page.length < PAGE ? 0 : (page.at(-1) ?? 1) - 1;
  }
  yield { part: "objects", level: "ok", message: `${good} were read and are intact` };
  if (late > 0) {
    const message = `${late} records are not needed, because a full record names their states: prune deletes them`;
    yield { part: "log", level: "note", message };
  }
  if (forgotten > 0) {
    const message = `${forgotten} full records of pruned states came back by a late PUT: the same prune deletes them again`;
    yield { part: "log", level: "note", message };
  }
}

/** Checks that the file's cells match the hashes of the newest state. */
async function* verifyFile(
  history: History,
  path: string,
  blockBytes: number,
  signal?: AbortSignal,
): AsyncGenerator<Finding, void> {
  const part = "file";
  const { geometry, blocks, hasState, config, next, stateBlocks } = history;
  const source = Source.open(path, blockBytes, true);
  try {
    const state = await source.look();
    const wrong = (message: string): Finding => ({ part, level: "damage", message: `${path}: ${message}` });
    if (state === null) return yield { part, level: "note", message: `${path}: a writer is opening it: try again` };
    if (geometry === null || !hasState) return yield { part, level: "note", message: "the epoch has no state yet" };
    if (state.config.slice(0, FIXED_CONFIG_CHARACTERS) !== config.slice(0, FIXED_CONFIG_CHARACTERS)) {
      return yield wrong("its head string, cell size or max index differs from the replica");
    }
    if (state.next < next) return yield wrong(`it has ${state.next} cells, the replica's newest state has ${next}`);
    let changed = 0;
    for (let block = 0; block < stateBlocks; block++) {
      signal?.throwIfAborted();
      if (await isBlockSame(source, state, history, block)) continue;
      changed++;
      const first = firstOfBlock(geometry, block);
      yield wrong(`cells ${first} to ${first + geometry.cellsPerBlock - 1}, block ${block}, differ from the replica`);
    }
    const index = await firstChangedInTail(source, history);
    source.check(state);
    if (index !== null) yield wrong(`cell ${index} differs from the replica`);
    else if (changed === 0)
      yield { part, level: "ok", message: `${path}: ${blocks.count} blocks and the tail are the same` };
  } finally {
    source.close();
  }
}

async function* keysOf(log: Log, signal?: AbortSignal): AsyncGenerator<string, void> {
  for (let after = ""; ;) {
    const page = await log.store.list(BLOCK_PREFIX, { after, most: PAGE, ...(signal === undefined ? {} : { signal }) });
    yield* page;
    if (page.length < PAGE) return;
    after = page.at(-1) ?? "";
  }
}

async function damageOf(read: () => Promise<unknown>): Promise<string | null> {
  try {
    await read();
    return null;
  } catch (error) {
    if (error instanceof Misfit) return error.message;
    throw error;
  }
}

function isCorrupt(error: unknown): error is StorageError {
  return error instanceof StorageError && error.code === "REPLICA_CORRUPT";
}
