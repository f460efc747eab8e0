/** Measuring: time, gaps of the event loop, memory. */

import { readFileSync } from "node:fs";

/** How long `work` takes, in milliseconds, with the garbage of what came before out of the way. */
export async function timeMs(work: () => void | Promise<void>): Promise<number> {
  Bun.gc(true);
  const begin = Bun.nanoseconds();
  const pending = work();
  // A turn of the event loop is only paid by those who need one.
  if (pending !== undefined) await pending;
  return (Bun.nanoseconds() - begin) / 1e6;
}

/** How long one of `count` operations takes, in nanoseconds; `loop` does them all. */
export async function timeEachNs(count: number, loop: (count: number) => void | Promise<void>): Promise<number> {
  return ((await timeMs(() => loop(count))) * 1e6) / count;
}

/** The value below which a part of the numbers lies, which are sorted in place. */
export function quantile(numbers: Float64Array | number[], part: number): number {
  const sorted = numbers.sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

/** Watches the event loop by a timer of 1 ms: the longest time between two of its ticks. */
export class LoopProbe {
  #longestMs = 0;
  #last: number = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor() {
    this.#timer = setInterval(() => this.#tick(), 1);
  }

  /** Ends the watch, and answers the longest gap. */
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

/** The anonymous memory of this process, in MiB (Linux). */
export function anonymousMiB(): number {
  const [, kib] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return Number(kib) / 1024;
}

/** The pages of each mapping of a file that this process has touched (Linux). */
export function residentPages(path: string): number[] {
  const pages: number[] = [];
  let ours = false;
  for (const line of readFileSync("/proc/self/smaps", "utf8").split("\n")) {
    if (/^[0-9a-f]+-[0-9a-f]+ /.test(line)) ours = line.endsWith(path);
    else if (ours && line.startsWith("Rss:")) pages.push(Number.parseInt(line.slice("Rss:".length), 10) / 4);
  }
  return pages;
}
