/** Timing, and what is made of times. */

/** The milliseconds that `work` takes, with the garbage of what came before out of the way. */
export async function timeMs(work: () => void | Promise<void>): Promise<number> {
  Bun.gc(true);
  const begin = Bun.nanoseconds();
  const pending = work();
  // Only asynchronous work pays for a turn of the event loop.
  if (pending !== undefined) await pending;
  return (Bun.nanoseconds() - begin) / 1e6;
}

/** The nanoseconds that one of `count` operations takes; `loop` does them all. */
export async function timeEachNs(count: number, loop: () => void | Promise<void>): Promise<number> {
  return ((await timeMs(loop)) * 1e6) / count;
}

/** The value below which a part of the numbers lies; NaN of no numbers. */
export function quantile(numbers: readonly number[] | Float64Array, part: number): number {
  const sorted = Float64Array.from(numbers).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

/** The median; of an even count, the mean of the two in the middle. NaN of no numbers. */
export function median(numbers: readonly number[]): number {
  const sorted = Float64Array.from(numbers).sort();
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return ((low ?? Number.NaN) + (high ?? Number.NaN)) / 2;
}

/** Watches the event loop by a timer of 1 ms: the longest time between two of its ticks. */
export class LoopProbe {
  #longestMs = 0;
  #last: number = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor() {
    this.#timer = setInterval(() => this.#tick(), 1);
  }

  /** Ends the watch, and returns the longest gap. */
  stop(): number {
    this.#tick();
    clearInterval(this.#timer);
    return this.#longestMs;
  }

  #tick(): void {
    const now = performance.now();
    this.#longestMs = Math.max(this.#longestMs, now - this.#last);
    this.#last = now;
  }
}

/** Microseconds that each of `count` calls took on average. */
export async function eachUs(count: number, work: (i: number) => void | Promise<void>): Promise<number> {
  const tookMs = await timeMs(async () => {
    for (let i = 0; i < count; i++) {
      const pending = work(i);
      if (pending !== undefined) await pending;
    }
  });
  return (tookMs * 1e3) / count;
}
