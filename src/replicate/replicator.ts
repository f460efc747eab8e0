/** Replication: copies the flushed states of a file to a store, in the background, beside its writer. */

import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import { StorageError } from "../error.ts";
import { checkInterval, checkOptions, signalFrom } from "../options.ts";
import { pathFrom } from "../os/file.ts";
import { createLog } from "./log.ts";
import type { ReplicaState } from "./history.ts";
import { PatientStore, Stop, Stopped } from "./patient-store.ts";
import { GRACE_MS, Replication } from "./replication.ts";
import { Requests } from "./requests.ts";
import { openTarget, type Target } from "./store/open.ts";

/** Options of `replicate`. */
export interface ReplicateOptions {
  /** Milliseconds between two looks at the file, at least 1. At most one state is replicated per look. Default 1000. */
  readonly intervalMs?: number | undefined;
  /** Ends the replication, without an error. */
  readonly signal?: AbortSignal | undefined;
  /**
   * If the file does not continue the replica, begin an epoch and upload the whole file. Default false: throw DIVERGED.
   */
  readonly newEpoch?: boolean | undefined;
  /** Allows a file on NFS, SMB, 9p or FUSE. Default false. */
  readonly allowUnsafeFilesystem?: boolean | undefined;
}

/** The progress of a replication, for monitoring. */
export interface ReplicatorStats {
  /** The newest state that the replica has of this file, or null. */
  readonly state: ReplicaState | null;
  /** The lag: milliseconds since the file was last seen completely replicated. Infinity before the first time. */
  readonly lagMs: number;
  /** When the file was last seen completely replicated. */
  readonly lastSuccess: Date | null;
  /** Whether the file is missing, so that the replicator waits for it. */
  readonly isFileMissing: boolean;
  /** Why the store has not answered the request under way, or null. */
  readonly failure: StorageError | null;
  /** Blocks sent since the start. */
  readonly blocksSent: number;
  /** Calls of the store since the start. */
  readonly requests: number;
  /** Whether every block was compared with the file since the start. */
  readonly isCompared: boolean;
}

const DEFAULT_INTERVAL_MS = 1000;
/** How many states are queued for the caller's iteration; older ones are dropped. */
const QUEUED_STATES = 1024;

/** The replications of this process, by path and target. */
const replicatedHere = new Set<string>();

/**
 * Replicates a file's flushed states to a target, beside its writer. It works in the background, and keeps the process
 * alive until `close` or until the signal is aborted. Iterate over it to get each replicated state, or await
 * `replicated()`. An error ends it: the iteration, `replicated` and `ended` reject with this error.
 * @throws TypeError; the iteration: FENCED another machine replicates to the target; DIVERGED the file does not
 * continue the replica; CHANGED_IN_PLACE; FENCING_UNSUPPORTED; REPLICA_CORRUPT; STORE_UNREACHABLE, STORE_REFUSED at the
 * start; NO_SUCH_FILE at the start; what opening the file throws
 *
 * @example
 * await using replicator = replicate("data.cellar", "s3://bucket/data");
 * for await (const state of replicator) console.log(state.sequence, state.length);
 */
export function replicate(path: string | URL, target: Target, options: ReplicateOptions = {}): Replicator {
  return new Replicator(path, target, options);
}

export class Replicator implements AsyncIterable<ReplicaState>, AsyncDisposable {
  /** Resolves when the caller has ended the replication; rejects with the error that ended it. */
  readonly ended: Promise<void>;
  readonly #path: string;
  readonly #stop = new Stop();
  readonly #requests = new Requests();
  readonly #replication: Replication;
  #store: PatientStore | null = null;
  #error: unknown = null;
  #hasEnded = false;
  readonly #queue: ReplicaState[] = [];
  /** Iterations that wait for a state. */
  readonly #waiting = new Set<() => void>();

  /** @internal */
  constructor(path: string | URL, target: Target, options: ReplicateOptions) {
    checkOptions(options);
    const { intervalMs = DEFAULT_INTERVAL_MS, newEpoch, allowUnsafeFilesystem } = options;
    checkInterval(intervalMs);
    // Resolve the path now: the process may change its directory later.
    this.#path = resolve(pathFrom(path));
    this.#replication = new Replication({
      path: this.#path,
      intervalMs,
      newEpoch: newEpoch === true,
      allowUnsafeFilesystem: allowUnsafeFilesystem === true,
      stop: this.#stop,
      requests: this.#requests,
      onState: (state) => this.#publish(state),
    });
    const signal = signalFrom(options.signal);
    const stop = (): void => this.#stop.stop(GRACE_MS);
    if (signal?.aborted === true) stop();
    signal?.addEventListener("abort", stop, { once: true });
    this.ended = this.#run(target).finally(() => signal?.removeEventListener("abort", stop));
    // A caller that only iterates does not handle this promise's rejection.
    this.ended.catch(() => undefined);
  }

  /**
   * Yields the states that are replicated from now on. Each state goes to one iteration; at most the newest 1,024 are
   * queued.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<ReplicaState, void> {
    for (;;) {
      const state = this.#queue.shift();
      if (state !== undefined) yield state;
      else if (this.#hasEnded) {
        if (this.#error !== null) throw this.#error;
        return;
      } else {
        const { promise, resolve: wake } = Promise.withResolvers<void>();
        this.#waiting.add(wake);
        await promise;
      }
    }
  }

  /**
   * Resolves with the newest replicated state, when the last flush before the call is replicated.
   * @param options.compared also wait until every block of the replica was compared with the file
   * @throws TRUNCATED the storage was truncated, or the file replaced, before that; CLOSED the replicator was closed;
   * the error that ended the replicator (all as rejections)
   */
  async replicated(options: { readonly compared?: boolean | undefined } = {}): Promise<ReplicaState> {
    checkOptions(options);
    if (this.#hasEnded || this.#stop.isStopped) throw this.#error ?? closed(this.#path);
    return this.#requests.add(options.compared === true);
  }

  stats(): ReplicatorStats {
    const { state, lastSuccessMs, isFileMissing, blocksSent, isCompared } = this.#replication.progress;
    return {
      state,
      lagMs: lastSuccessMs === null ? Infinity : Math.max(0, performance.now() - lastSuccessMs),
      lastSuccess: lastSuccessMs === null ? null : new Date(performance.timeOrigin + lastSuccessMs),
      isFileMissing,
      failure: this.#store?.failure ?? null,
      blocksSent,
      requests: this.#store?.requests ?? 0,
      isCompared,
    };
  }

  /**
   * Ends the replication within a second. The effect of a request under way stays; a later start continues from there.
   */
  async close(): Promise<void> {
    this.#stop.stop(GRACE_MS);
    await this.ended.catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(target: Target): Promise<void> {
    let key = "";
    try {
      const store = openTarget(target);
      key = this.#claim(store.url);
      this.#store = new PatientStore(store, this.#stop);
      const log = await createLog(this.#store);
      await this.#replication.run(log);
    } catch (error) {
      if (!(error instanceof Stopped)) this.#error = error;
    } finally {
      replicatedHere.delete(key);
      this.#hasEnded = true;
      this.#requests.end(this.#error ?? closed(this.#path));
      this.#wake();
    }
    if (this.#error !== null) throw this.#error;
  }

  /** Refuses a second replication of the file to the target in this process: the two would fence each other. */
  #claim(url: string): string {
    const key = `${realpathOr(this.#path)}\n${url}`;
    if (replicatedHere.has(key)) {
      const message = `${this.#path}: this process (${process.pid}) replicates the file to ${url} already: use that replicator, or close it`;
      throw new StorageError("FENCED", message, { path: this.#path });
    }
    replicatedHere.add(key);
    return key;
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  #publish(state: ReplicaState): void {
    this.#queue.push(state);
    if (this.#queue.length > QUEUED_STATES) this.#queue.shift();
    this.#wake();
  }
}

function closed(path: string): StorageError {
  return new StorageError("CLOSED", `${path}: the replicator is closed`, { path });
}

function realpathOr(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    // The file does not exist: opening it reports the error.
    return path;
  }
}
