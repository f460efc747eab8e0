/** The work of a replicator: looks at the file, compares it with the replica, and adds new states. */

import { StorageError } from "../error.ts";
import { addState, blockChanged } from "./add-state.ts";
import { type Comparison, compare, isBlockSame, isSameFile } from "./compare.ts";
import type { History, ReplicaState } from "./history.ts";
import type { Log } from "./log.ts";
import type { Stop } from "./patient-store.ts";
import type { Requests } from "./requests.ts";
import { Reopen, Session } from "./session.ts";
import { type FlushedState, Source } from "./source.ts";

/** How long a request under way may take to end when the replicator is stopped. */
export const GRACE_MS = 500;

export interface ReplicationParts {
  readonly path: string;
  readonly intervalMs: number;
  readonly newEpoch: boolean;
  readonly allowUnsafeFilesystem: boolean;
  readonly stop: Stop;
  readonly requests: Requests;
  readonly onState: (state: ReplicaState) => void;
}

/** The progress of a replication. */
export interface Progress {
  /** The newest state that the replica has of this file, or null. */
  readonly state: ReplicaState | null;
  /** When the file was last seen completely replicated, by `performance.now`; null before the first time. */
  readonly lastSuccessMs: number | null;
  readonly isFileMissing: boolean;
  readonly blocksSent: number;
  readonly isCompared: boolean;
}

/** The replicator's work. */
export class Replication {
  readonly #parts: ReplicationParts;
  readonly #stop: Stop;
  readonly #requests: Requests;
  #source: Source | null = null;
  /** Whether `newEpoch` was given and its epoch has not begun yet. */
  #mayBeginEpoch: boolean;
  /** The error that the comparison in the background has found. */
  #comparisonError: unknown = null;
  #progress: Progress = { state: null, lastSuccessMs: null, isFileMissing: false, blocksSent: 0, isCompared: false };

  constructor(parts: ReplicationParts) {
    this.#parts = parts;
    this.#mayBeginEpoch = parts.newEpoch;
    this.#stop = parts.stop;
    this.#requests = parts.requests;
  }

  /** The progress now. */
  get progress(): Progress {
    return this.#progress;
  }

  /** Works until it is stopped. @throws Stopped; the error that ends the replication */
  async run(log: Log): Promise<never> {
    try {
      for (;;) await this.#runSession(log);
    } catch (error) {
      // The error of the comparison in the background has stopped all other work.
      throw this.#comparisonError ?? error;
    } finally {
      this.#requests.fileClosed();
      this.#source?.close();
    }
  }

  /** Reads the log, and replicates until the log has to be read again. */
  async #runSession(log: Log): Promise<void> {
    const history = await log.readToEnd();
    const session = new Session(log, history);
    this.#report({ state: history.state });
    const life = new AbortController();
    try {
      await this.#follow(log, session, life.signal);
    } catch (error) {
      if (!(error instanceof Reopen)) throw error;
    } finally {
      life.abort();
    }
  }

  async #follow(log: Log, session: Session, life: AbortSignal): Promise<never> {
    const { history } = session;
    /** The last comparison, and the file and count of truncations for which it was made. */
    let compared = null as (Comparison & { readonly truncations: number; readonly source: Source }) | null;
    for (;;) {
      this.#stop.check();
      const source = await this.#openSource(log);
      const look = this.#requests.beginLook();
      const state = await source.look();
      try {
        if (state !== null) {
          if (compared?.source !== source || compared.truncations !== state.truncations) {
            const found = await this.#compare(source, state, history);
            compared = { ...found, truncations: state.truncations, source };
            if (found.difference !== null && !isTruncatedSince(source, state, history)) {
              if (!this.#mayBeginEpoch) throw diverged(source.path, log.url, found.difference);
            }
            if (found.difference === null) this.#compareInBackground(source, state, history, found.keptBlocks, life);
          }
          const beginsEpoch = compared.difference !== null;
          if (beginsEpoch || isNewState(state, history)) {
            await this.#add({ log, session, source, state, keptBlocks: compared.keptBlocks, beginsEpoch });
            compared = { ...compared, difference: null, keptBlocks: history.blocks.count };
          }
          if (beginsEpoch) {
            this.#mayBeginEpoch = false;
            this.#allCompared();
          }
          this.#report({ lastSuccessMs: performance.now() });
          if (history.state !== null) this.#requests.succeed(look, source, state.truncations, history.state);
        }
      } catch (error) {
        // The next look sees the state that the writer has then.
        if (!(error instanceof StorageError && error.code === "TRUNCATED")) throw error;
        compared = null;
      }
      await this.#stop.sleep(this.#parts.intervalMs);
    }
  }

  async #compare(source: Source, state: FlushedState, history: History): Promise<Comparison> {
    // After a truncation of this same file, its last cells may equal the old ones while earlier cells differ.
    const all = isTruncatedSince(source, state, history);
    return compare(source, state, history, { all, stop: this.#stop });
  }

  async #add(parts: {
    log: Log;
    session: Session;
    source: Source;
    state: FlushedState;
    keptBlocks: number;
    beginsEpoch: boolean;
  }): Promise<void> {
    const { session, source, state, beginsEpoch } = parts;
    const { history } = session;
    if (!session.isOpen) {
      // Until the new epoch begins, the log is about the previous file.
      const isOld = beginsEpoch && history.file !== null;
      const file = isOld && history.file !== null ? history.file : source.identity;
      await session.open(file, isOld ? history.truncations : state.truncations);
    }
    const onBlock = (): void => this.#report({ blocksSent: this.#progress.blocksSent + 1 });
    await addState({ ...parts, stop: this.#stop, onBlock });
    if (history.state === null) return;
    this.#report({ state: history.state });
    this.#parts.onState(history.state);
  }

  /** Returns the open file. Opens the path again if it names another file now. Waits while there is none. */
  async #openSource(log: Log): Promise<Source> {
    for (;;) {
      if (this.#source !== null) {
        if (this.#source.isAtPath() === "here") return this.#source;
        this.#source.close();
        this.#source = null;
        this.#requests.fileClosed();
        this.#report({ isFileMissing: true });
      }
      try {
        this.#source = Source.open(this.#parts.path, log.replica.blockBytes, this.#parts.allowUnsafeFilesystem);
        this.#requests.fileOpened(this.#source);
        this.#report({ isFileMissing: false });
        return this.#source;
      } catch (error) {
        const isGone = error instanceof StorageError && error.code === "NO_SUCH_FILE";
        if (!isGone || !this.#progress.isFileMissing) throw error;
      }
      await this.#stop.sleep(this.#parts.intervalMs);
      this.#stop.check();
    }
  }

  /** Compares the blocks that the start did not compare, newest first. A difference ends the replicator. */
  #compareInBackground(source: Source, state: FlushedState, history: History, count: number, life: AbortSignal): void {
    const { epoch, geometry } = history;
    const isOver = (): boolean => life.aborted || this.#stop.isStopped || history.epoch !== epoch;
    const run = async (): Promise<void> => {
      for (let block = count - 1; block >= 0; block--) {
        if (isOver() || this.#source !== source) return;
        if ((await isBlockSame(source, state, history, block)) || isOver() || geometry === null) continue;
        throw blockChanged(source.path, block, geometry);
      }
      if (!isOver()) this.#allCompared();
    };
    run().catch((error: unknown) => {
      const code = error instanceof StorageError ? error.code : "";
      // The storage was truncated, or the file was closed: the next look compares again.
      if (isOver() || code === "TRUNCATED" || code === "CLOSED") return;
      this.#comparisonError ??= error;
      this.#stop.stop(GRACE_MS);
    });
  }

  #allCompared(): void {
    this.#report({ isCompared: true });
    this.#requests.markCompared();
  }

  #report(changes: Partial<Progress>): void {
    this.#progress = { ...this.#progress, ...changes };
  }
}

/**
 * Tells whether the newest record is of this same file, and the file was truncated since. Then a new epoch begins
 * automatically.
 */
function isTruncatedSince({ identity }: Source, { truncations }: FlushedState, history: History): boolean {
  // Modulo 2^31, as the file counts.
  return isSameFile(identity, history.file) && (truncations - history.truncations) << 1 > 0;
}

function isNewState({ next, root, config }: FlushedState, history: History): boolean {
  return !history.hasState || next !== history.next || root !== history.root || config !== history.config;
}

function diverged(path: string, url: string, difference: string): StorageError {
  const message = `${path}: the file does not continue the replica ${url}: ${difference}. To continue from the replica, restore it to a new file. To continue from this file, use newEpoch: the whole file is uploaded, and the older states stay`;
  return new StorageError("DIVERGED", message, { path });
}
