/** Following a storage: an async iterator over the states that a reader comes to see. */

import { wrongType } from "./error.ts";
import { checkOptions, signalFrom } from "./options.ts";
import { yieldToEventLoop } from "./os/event-loop.ts";
import type { StorageState } from "./state.ts";

/** How to follow. */
export interface WatchOptions {
  /** Ends the iteration, which is no error. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds between two looks, at least 1. Default: 1 to 50, by how long nothing has happened. */
  readonly intervalMs?: number | undefined;
  /**
   * Whether the process lives as long as the iteration, as it does for a server. Default false. For a program that does
   * nothing but follow: an await at the top level of a module that nothing else keeps alive takes all of a processor
   * in Bun 1.4.5 (oven-sh/bun#14951).
   */
  readonly keepAlive?: boolean | undefined;
}

/** What is followed. */
interface Watched extends StorageState {
  readonly closed: boolean;
}

/** The states that were new to a reader, whoever refreshed it; and who waits for the next, or for its end. */
export class Changes {
  #count = 0;
  readonly #waiting = new Set<() => void>();

  get count(): number {
    return this.#count;
  }

  add(): void {
    this.#count++;
    this.wake();
  }

  wake(): void {
    for (const callback of this.#waiting) callback();
  }

  /** Calls back at every wake; answers how to call that off. */
  wait(callback: () => void): () => void {
    this.#waiting.add(callback);
    return () => this.#waiting.delete(callback);
  }
}

/** No timer takes more: it would fire at once. */
const MAX_INTERVAL_MS = 2 ** 31 - 1;

/**
 * Milliseconds until the next look, after so long a silence. A timer costs some 80 µs of processor time, whatever is
 * done in it: 1 ms right after a change for bursts, 3 ms while a writer that commits every other second may still be
 * at work, then less and less, down to 20 looks a second.
 */
function adaptedPauseMs(silenceMs: number): number {
  if (silenceMs < 100) return 1;
  if (silenceMs < 4000) return 3;
  return silenceMs < 10_000 ? 20 : 50;
}

/** The iterator of `StorageReader.watch`. It ends when the reader is closed or the signal is aborted. */
export class Watch implements AsyncIterableIterator<StorageState, undefined>, AsyncDisposable {
  readonly #reader: Watched;
  /** Refreshes the reader. */
  readonly #refresh: () => void;
  readonly #changes: Changes;
  readonly #signal: AbortSignal | undefined;
  readonly #intervalMs: number | undefined;
  readonly #keepAlive: boolean;
  #seen: number;
  #lastChange: number = performance.now();
  #ended = false;
  /** Calls of `next` are answered one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #wake: (() => void) | undefined;

  constructor(reader: Watched, refresh: () => void, changes: Changes, options: WatchOptions) {
    checkOptions(options);
    const { signal, intervalMs, keepAlive } = options;
    if (
      intervalMs !== undefined &&
      !(typeof intervalMs === "number" && intervalMs >= 1 && intervalMs <= MAX_INTERVAL_MS)
    ) {
      throw wrongType("intervalMs", `a number from 1 to ${MAX_INTERVAL_MS}`, intervalMs);
    }
    this.#reader = reader;
    this.#refresh = refresh;
    this.#signal = signalFrom(signal);
    this.#intervalMs = intervalMs;
    this.#keepAlive = keepAlive === true;
    this.#changes = changes;
    this.#seen = changes.count;
  }

  /** The next state that is not the one before; `done` after the end. @throws as `refresh`, once, then it has ended */
  next(): Promise<IteratorResult<StorageState, undefined>> {
    const answer = this.#last.then(() => this.#advance());
    // What it rejects with is its caller's; the next call finds the end.
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  /** Ends the iteration, also for a `next` that waits. */
  return(): Promise<IteratorResult<StorageState, undefined>> {
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
  }

  async #advance(): Promise<IteratorResult<StorageState, undefined>> {
    // Where there is news at every call, everything else must not wait for ever. And whoever got a state from another
    // watch of this reader is at work on it before this one refreshes the reader again.
    await yieldToEventLoop();
    if (!this.#isOver() && !this.#look()) await this.#news();
    if (this.#isOver()) {
      this.#end();
      return { done: true, value: undefined };
    }
    this.#seen = this.#changes.count;
    this.#lastChange = performance.now();
    return { done: false, value: { root: this.#reader.root, length: this.#reader.length } };
  }

  #isOver(): boolean {
    return this.#ended || this.#reader.closed || this.#signal?.aborted === true;
  }

  /** Refreshes; whether the reader shows something new, by this or by somebody else's look. */
  #look(): boolean {
    try {
      this.#refresh();
    } catch (error) {
      // Nobody is woken: the one that waits, if any, is to get the error.
      this.#ended = true;
      throw error;
    }
    return this.#hasNews();
  }

  #hasNews(): boolean {
    return this.#changes.count !== this.#seen;
  }

  /** Looks again and again, until there is news or the end. Without a promise for each look: most find nothing. */
  async #news(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    let pauseMs = this.#pauseMs();
    const look = (): void => {
      try {
        if (this.#look()) return resolve(undefined);
      } catch (error) {
        return reject(error);
      }
      const before = pauseMs;
      pauseMs = this.#pauseMs();
      // The same timer once more costs less than another.
      if (pauseMs === before) timer.refresh();
      else timer = this.#timer(look, pauseMs);
    };
    let timer = this.#timer(look, pauseMs);
    const callOff = this.#changes.wait(() => (this.#hasNews() || this.#isOver()) && resolve(undefined));
    this.#wake = () => resolve(undefined);
    this.#signal?.addEventListener("abort", resolve, { once: true });
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#signal?.removeEventListener("abort", resolve);
      callOff();
    }
  }

  #pauseMs(): number {
    return this.#intervalMs ?? adaptedPauseMs(performance.now() - this.#lastChange);
  }

  #timer(callback: () => void, pauseMs: number): ReturnType<typeof setTimeout> {
    const timer = setTimeout(callback, pauseMs);
    if (!this.#keepAlive) timer.unref();
    return timer;
  }

  #end(): void {
    this.#ended = true;
    this.#wake?.();
  }
}
