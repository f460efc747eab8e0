/** The waiting calls of `replicated`, each with the last look at the file before it. */

import { StorageError } from "../error.ts";
import type { ReplicaState } from "./history.ts";
import type { Source } from "./source.ts";

interface Request {
  /** Looks that had begun before the call. A later look sees the state that was flushed at the call. */
  readonly after: number;
  readonly needsComparison: boolean;
  /** The file, and its count of truncations, at the call; null if it was not open yet. */
  readonly source: Source | null;
  readonly truncations: number | null;
  readonly resolve: (state: ReplicaState) => void;
  readonly reject: (error: unknown) => void;
}

export class Requests {
  /** The file that is open now. */
  #source: Source | null = null;
  readonly #waiting = new Set<Request>();
  #looks = 0;
  #isCompared = false;

  /** The replicator has opened the file. */
  fileOpened(source: Source): void {
    this.#source = source;
  }

  /** The replicator closes the file. */
  fileClosed(): void {
    this.#source = null;
  }

  async add(needsComparison: boolean): Promise<ReplicaState> {
    const { promise, resolve, reject } = Promise.withResolvers<ReplicaState>();
    // If the path names another file now, the next look opens that file.
    const source = this.#source?.isAtPath() === "here" ? this.#source : null;
    const after = this.#looks;
    const truncations = source === null ? null : source.countTruncations();
    this.#waiting.add({ after, needsComparison, source, truncations, resolve, reject });
    return promise;
  }

  /** The number of a look at the file that begins now. */
  beginLook(): number {
    return ++this.#looks;
  }

  /** Call it when the state that a look saw is replicated: it ends the calls made before that look. */
  succeed(look: number, source: Source, truncations: number, state: ReplicaState): void {
    for (const request of this.#waiting) {
      if (request.after >= look || (request.needsComparison && !this.#isCompared)) continue;
      this.#waiting.delete(request);
      const isOther = request.source !== null && request.source !== source;
      if (!isOther && (request.truncations === null || request.truncations === truncations)) request.resolve(state);
      else request.reject(overtaken(source.path));
    }
  }

  /** All blocks were compared. Calls that wait for this end with the next look. */
  markCompared(): void {
    this.#isCompared = true;
  }

  end(error: unknown): void {
    for (const request of this.#waiting) request.reject(error);
    this.#waiting.clear();
  }
}

function overtaken(path: string): StorageError {
  const message = `${path}: the storage was truncated, or the file replaced, before its state was replicated`;
  return new StorageError("TRUNCATED", message, { path });
}
