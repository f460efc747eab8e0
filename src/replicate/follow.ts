/** Follows a replica: keeps a local file at its newest state, for readers on this machine. */

import { dirname, resolve } from "node:path";
import { StorageError } from "../error.ts";
import type { Header } from "../format/header.ts";
import { checkInterval, checkOptions, signalFrom } from "../options.ts";
import { pathFrom } from "../os/file.ts";
import { checkFilesystem } from "../os/filesystem.ts";
import { firstDifference, hashOfBlock } from "./compare.ts";
import { blockCells } from "./content.ts";
import { findFile, FollowerFile, followerKey, ownWrites, restoreNewest } from "./follower-file.ts";
import { completeBlocks, firstOfBlock, tailStart } from "./geometry.ts";
import type { History, ReplicaState } from "./history.ts";
import { type Log, openLog, rereading } from "./log.ts";
import { Misfit, release } from "./object.ts";
import { PatientStore, Stop, Stopped } from "./patient-store.ts";
import { FIXED_CONFIG_CHARACTERS, Source } from "./source.ts";
import { openTarget, type Target } from "./store/open.ts";

/** Options of `follow`. */
export interface FollowOptions {
  /** Milliseconds between two requests for a new record, at least 1. Default 1000. */
  readonly intervalMs?: number | undefined;
  /** End at the newest state instead of waiting for more. Default false. */
  readonly once?: boolean | undefined;
  /** Ends it, without an error. */
  readonly signal?: AbortSignal | undefined;
  /** Allows a file on NFS, SMB, 9p or FUSE. Default false. */
  readonly allowUnsafeFilesystem?: boolean | undefined;
}

const DEFAULT_INTERVAL_MS = 1000;
/** After this many empty answers, or this long a sleep, list the log: `prune` may have deleted the requested record. */
const POLLS_PER_LISTING = 60;
const SLEEP_MS = 60_000;
const GRACE_MS = 500;

/**
 * Keeps a file at the newest state of a replica, and yields each new state of the file. Local readers and `watch` see
 * the states as if a writer had flushed them. After a new epoch, or a power cut of this machine, another file replaces
 * it at the path, and local readers must open it again.
 * @throws NOT_A_REPLICA; NO_SUCH_STATE with `once`, the replica has no state; DIVERGED another writer has changed the
 * file; REPLICA_CORRUPT; WRITER_LOCKED; DISK_FULL, FAILED, SYSTEM; UNSUPPORTED; STORE_UNREACHABLE, STORE_REFUSED at the
 * start; TypeError
 *
 * @example
 * for await (const state of follow("s3://bucket/data", "replica.cellar")) console.log(state.sequence, state.length);
 */
export async function* follow(
  target: Target,
  path: string | URL,
  options: FollowOptions = {},
): AsyncGenerator<ReplicaState, void> {
  checkOptions(options);
  const { intervalMs = DEFAULT_INTERVAL_MS, once = false, allowUnsafeFilesystem = false } = options;
  checkInterval(intervalMs);
  const place = resolve(pathFrom(path));
  if (!allowUnsafeFilesystem) checkFilesystem(dirname(place), place);
  const signal = signalFrom(options.signal);
  const stop = new Stop();
  const onAbort = (): void => stop.stop(GRACE_MS);
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  const follower = new Following(place, stop, allowUnsafeFilesystem);
  try {
    yield* follower.run(openTarget(target), intervalMs, once);
  } catch (error) {
    // Ignore errors of work that the stop has interrupted.
    if (!(error instanceof Stopped) && !stop.hard.aborted) throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
    follower.close();
  }
}

class Following {
  readonly #path: string;
  readonly #stop: Stop;
  readonly #allowUnsafe: boolean;
  #file: FollowerFile | null = null;

  constructor(path: string, stop: Stop, allowUnsafe: boolean) {
    this.#path = path;
    this.#stop = stop;
    this.#allowUnsafe = allowUnsafe;
  }

  close(): void {
    this.#file?.close();
    this.#file = null;
  }

  async *run(
    target: ReturnType<typeof openTarget>,
    intervalMs: number,
    once: boolean,
  ): AsyncGenerator<ReplicaState, void> {
    const log = await openLog(new PatientStore(target, this.#stop));
    let history = await this.#restart(log);
    let yielded = 0;
    let emptyPolls = 0;
    let polledAt = performance.now();
    for (;;) {
      this.#stop.check();
      if (history.state !== null && history.state.sequence !== yielded) {
        yielded = history.state.sequence;
        yield history.state;
      }
      // After a long sleep or many empty answers, list the log: the next record may have been made and deleted.
      const sleptMs = performance.now() - polledAt;
      if (sleptMs > Math.max(SLEEP_MS, 2 * intervalMs) || emptyPolls >= POLLS_PER_LISTING) {
        emptyPolls = 0;
        polledAt = performance.now();
        if ((await log.newest()) !== history.sequence) history = await this.#restart(log);
        continue;
      }
      polledAt = performance.now();
      const moved = await this.#take(log, history);
      if (moved === "misfit") history = await this.#restart(log);
      else if (moved === "moved") emptyPolls = 0;
      else {
        if (once) {
          if (yielded === 0) throw noState(log);
          return;
        }
        emptyPolls++;
        await this.#stop.sleep(intervalMs);
      }
    }
  }

  /** Applies the next record, if it exists. After "misfit", the log must be read again. */
  async #take(log: Log, history: History): Promise<"moved" | "nothing" | "misfit"> {
    try {
      const stored = await log.get(history.sequence + 1);
      if (stored === null) return "nothing";
      await history.apply(stored);
      const { kind } = stored.record;
      if (kind === "state" || kind === "full") await this.#advance(log, history);
      return "moved";
    } catch (error) {
      if (error instanceof Misfit) return "misfit";
      throw error;
    }
  }

  /** Reads the log to its end, and brings the file to the newest state. */
  async #restart(log: Log): Promise<History> {
    return rereading(log.url, async () => {
      const history = await log.readToEnd();
      if (history.state !== null) await this.#advance(log, history);
      return history;
    });
  }

  /** Brings the file to the newest state. @throws Misfit */
  async #advance(log: Log, history: History): Promise<void> {
    this.#file ??= await this.#find(log, history);
    const isOfEpoch = this.#file !== null && this.#file.epoch === (history.state?.epoch ?? 0);
    if (this.#file === null || !isOfEpoch) return this.#restoreFile(log, history, this.#file !== null);
    // The newest state may be of an older epoch, or the file may have it already.
    if (!history.hasState || this.#file.shows(history)) return;
    await this.#file.advance(log, history, this.#stop.hard);
  }

  /** Opens the file at the path, and replaces it if it is of an older epoch. Returns null if there is none. */
  async #find(log: Log, history: History): Promise<FollowerFile | null> {
    const key = followerKey(log.replica.id);
    const found = findFile(this.#path, key);
    if (found === null) return null;
    const { opening } = found.inspection;
    if (opening instanceof StorageError) throw opening;
    // If the last commit is not whole, compare only the flushed cells.
    const epoch = await this.#epochOf(log, history, found.isWhole ? opening.header : opening.disk);
    if (epoch === null) throw ownWrites(this.#path);
    if (!found.isWhole || epoch !== history.state?.epoch || !history.hasState) {
      await this.#restoreFile(log, history, true);
      return this.#file;
    }
    return FollowerFile.open(this.#path, epoch, key, this.#allowUnsafe);
  }

  async #restoreFile(log: Log, history: History, replaces: boolean): Promise<void> {
    this.close();
    const writerKey = followerKey(log.replica.id);
    const epoch = await restoreNewest(log, history, this.#path, { writerKey, signal: this.#stop.hard, replaces });
    this.#file = FollowerFile.open(this.#path, epoch, writerKey, this.#allowUnsafe);
  }

  /** Returns the newest epoch whose cells begin with those of the file; null if there is none. */
  async #epochOf(log: Log, history: History, header: Header): Promise<number | null> {
    const source = Source.open(this.#path, log.replica.blockBytes, this.#allowUnsafe);
    try {
      for (let one = history; ;) {
        if (one.hasState && (await isBeginning(log, source, header, one))) return one.epoch;
        const { previousEpoch } = one;
        if (previousEpoch === 0 || previousEpoch >= one.sequence || (await log.line(previousEpoch)) === null)
          return null;
        one = await log.readTo(previousEpoch);
      }
    } finally {
      source.close();
    }
  }
}

/** Tells whether the history's newest state begins with the cells of the file's last flush. */
async function isBeginning(log: Log, source: Source, { next }: Header, history: History): Promise<boolean> {
  const { geometry, config } = history;
  if (geometry === null || next > history.next) return false;
  if (source.fixedConfig !== config.slice(0, FIXED_CONFIG_CHARACTERS)) return false;
  const complete = completeBlocks(geometry, next);
  const last = complete - 1;
  if (complete > 0 && (await hashOfBlock(source, last)) !== history.blocks.at(last)) return false;
  const first = tailStart(geometry, next);
  const rest = new Uint8Array((next - first) * geometry.bytesPerCell);
  await source.read(first, rest);
  const isInTail = first >= firstOfBlock(geometry, history.stateBlocks);
  if (rest.length === 0) return true;
  if (isInTail) return firstDifference(rest, history.tail.bytes.subarray(0, rest.length)) === null;
  const cells = await blockCells(log, history, complete);
  const isSame = firstDifference(rest, cells.subarray(0, rest.length)) === null;
  release(cells);
  return isSame;
}

function noState(log: Log): StorageError {
  return new StorageError("NO_SUCH_STATE", `${log.url}: the replica has no state yet: try later`, { path: log.url });
}
