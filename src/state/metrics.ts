/**
 * Counts the commits and flushes of a writer since it was opened. The numbers are for operators; no code depends on
 * them.
 */

/** The flushes of a writer, including the one of opening. */
export interface FlushStats {
  /** Flushes that made a state durable. Calls that shared a flush count as one. */
  readonly count: number;
  /** How long the last flush took, from its first sync to its last. */
  readonly lastMs: number;
  /** How long all flushes took together. */
  readonly totalMs: number;
  /** How long ago the last flush ended. */
  readonly ageMs: number;
}

export class Metrics {
  #commits = 0;
  #flushes = 0;
  #lastMs = 0;
  #totalMs = 0;
  #flushedAt: number = performance.now();

  /** Commits, including those that flushes make. */
  get commits(): number {
    return this.#commits;
  }

  addCommit(): void {
    this.#commits++;
  }

  /** Counts a flush that has ended now and began at `begunAt`, by `performance.now()`. */
  addFlush(begunAt: number): void {
    this.#flushedAt = performance.now();
    this.#flushes++;
    this.#lastMs = this.#flushedAt - begunAt;
    this.#totalMs += this.#lastMs;
  }

  get flushes(): FlushStats {
    const ageMs = performance.now() - this.#flushedAt;
    return { count: this.#flushes, lastMs: this.#lastMs, totalMs: this.#totalMs, ageMs };
  }
}
