/** What a writer has done since it was opened: numbers for operators, on which nothing depends. */

/** The flushes of a writer, that of opening included. */
export interface FlushStats {
  /** Flushes that made a state durable; calls that shared one count as one. */
  readonly count: number;
  /** How long the last took, from its first sync to its last. */
  readonly lastMs: number;
  /** How long all of them took. */
  readonly totalMs: number;
  /** How long ago the last one ended. */
  readonly ageMs: number;
}

export class Metrics {
  #commits = 0;
  #flushes = 0;
  #lastMs = 0;
  #totalMs = 0;
  #flushedAt: number = performance.now();

  /** Commits, those that flushes make included. */
  get commits(): number {
    return this.#commits;
  }

  addCommit(): void {
    this.#commits++;
  }

  /** A flush has ended that began then, by `performance.now()`. */
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
