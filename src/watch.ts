/** Following a storage: an async iterator over the states that a reader comes to see. */

import { wrongType } from "./error.ts";
import { checkOptions, signalFrom } from "./options.ts";
import { yieldToEventLoop } from "./os/event-loop.ts";
import type { Closable } from "./region/region.ts";
import type { StorageState } from "./state.ts";

/** How to follow. */
export interface WatchOptions {
  /** Ends the iteration, which is no error. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds between two looks at the file, at least 1. Without it the system tells of each change, where it can, and
   * a timer looks besides: every second, or every 1 to 50 ms where the system tells of none.
   */
  readonly intervalMs?: number | undefined;
  /**
   * Whether the process lives as long as the iteration, as it does for a server. Default false. For a program that does
   * nothing but follow: an await at the top level of a module that nothing else keeps alive takes all of a processor
   * in Bun 1.4.5 (oven-sh/bun#14951).
   */
  readonly keepAlive?: boolean | undefined;
}

/** No timer takes more: it would fire at once. */
const MAX_INTERVAL_MS = 2 ** 31 - 1;
/** Beside events a timer looks for what makes none: a writer that stores through a mapping, as the original does. */
const BESIDE_EVENTS_MS = 1000;
/** A writer of much data makes many events: after one that told of no new state, the next look waits so long. */
const EVENT_PAUSE_MS = 1;
/** Events are let go so long after the last watch has ended its wait: the next one may come at once. */
const LINGER_MS = 1000;

/**
 * Milliseconds until the next look without events, after so long a silence. A timer costs some 80 µs of processor time,
 * whatever is done in it: 1 ms right after a change for bursts, 3 ms while a writer that commits every other second
 * may still be at work, then less and less, down to 20 looks a second.
 */
function adaptedPauseMs(silenceMs: number): number {
  if (silenceMs < 100) return 1;
  if (silenceMs < 4000) return 3;
  return silenceMs < 10_000 ? 20 : 50;
}

/** A watch that waits for news. */
interface Waiter {
  readonly intervalMs: number | undefined;
  readonly keepAlive: boolean;
  readonly wake: () => void;
  readonly fail: (error: unknown) => void;
}

/** Looks at one reader's file for all of its watches, which share the timer, the events, and each look. */
export class Lookout {
  readonly #refresh: () => void;
  readonly #openEvents: (callback: () => void) => Closable | null;
  readonly #waiters = new Set<Waiter>();
  #news = 0;
  #newsAt: number = performance.now();
  #lookedThisTurn = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerMs = 0;
  #events: Closable | null = null;
  #eventPause: ReturnType<typeof setTimeout> | undefined;
  #lingering: ReturnType<typeof setTimeout> | undefined;
  /** Whether the writer's changes make events, as far as is known. */
  #eventsTell = true;
  #isClosed = false;

  /**
   * @param refresh refreshes the reader, which calls `addNews`; what it throws ends the watches that wait
   * @param openEvents calls back after changes of the file; null where there are no events
   */
  constructor(refresh: () => void, openEvents: (callback: () => void) => Closable | null) {
    this.#refresh = refresh;
    this.#openEvents = openEvents;
  }

  /** The states that were new to the reader, by a look or by a call of its `refresh`. */
  get news(): number {
    return this.#news;
  }

  addNews(): void {
    this.#news++;
    this.#newsAt = performance.now();
    this.#wakeAll((waiter) => waiter.wake());
  }

  close(): void {
    this.#isClosed = true;
    this.#wakeAll((waiter) => waiter.wake());
    this.#closeEvents();
  }

  /** Refreshes the reader, once for all watches that ask in the same turn of the event loop. @throws as `refresh` */
  look(): void {
    if (this.#lookedThisTurn) return;
    this.#lookedThisTurn = true;
    setImmediate(() => {
      this.#lookedThisTurn = false;
    });
    this.#refresh();
  }

  /** Resolves at news, at `close` or when a signal is aborted; rejects with what a look throws. */
  async wait(options: Pick<Waiter, "intervalMs" | "keepAlive">, signals: readonly AbortSignal[]): Promise<void> {
    if (this.#isClosed) return;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const waiter: Waiter = { ...options, wake: () => resolve(undefined), fail: reject };
    this.#waiters.add(waiter);
    for (const signal of signals) signal.addEventListener("abort", resolve, { once: true });
    try {
      if (options.intervalMs === undefined) this.#needEvents();
      this.#joinTimer(waiter);
      await promise;
    } finally {
      for (const signal of signals) signal.removeEventListener("abort", resolve);
      this.#waiters.delete(waiter);
      if (this.#waiters.size === 0) this.#rest();
      // The timer must not hold the process for one that is gone.
      else if (waiter.keepAlive) this.#setTimer();
    }
  }

  #wakeAll(wake: (waiter: Waiter) => void): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) wake(waiter);
  }

  /** A look for those that wait. */
  #lookAgain(): void {
    try {
      this.#refresh();
    } catch (error) {
      this.#wakeAll((waiter) => waiter.fail(error));
    }
  }

  #needEvents(): void {
    clearTimeout(this.#lingering);
    this.#events ??= this.#openEvents(() => this.#onEvent());
  }

  #onEvent(): void {
    if (this.#waiters.size === 0 || this.#eventPause !== undefined) return;
    const { news } = this;
    this.#lookAgain();
    if (this.#news !== news) {
      this.#eventsTell = true;
      return;
    }
    // What comes during the pause is seen by the look at its end.
    this.#eventPause = setTimeout(() => {
      this.#eventPause = undefined;
      if (this.#waiters.size > 0) this.#lookAgain();
    }, EVENT_PAUSE_MS);
    this.#eventPause.unref();
  }

  /** Has the timer fire soon enough for one more waiter. */
  #joinTimer(waiter: Waiter): void {
    if (this.#timer === undefined || this.#pauseOf(waiter) < this.#timerMs) this.#setTimer();
    else if (waiter.keepAlive) this.#timer.ref();
  }

  /** Sets the timer for all that wait. */
  #setTimer(): void {
    this.#clearTimer();
    if (this.#waiters.size === 0) return;
    const waiters = [...this.#waiters];
    this.#timerMs = Math.min(...waiters.map((waiter) => this.#pauseOf(waiter)));
    this.#timer = setTimeout(() => this.#onTimer(), this.#timerMs);
    if (!waiters.some(({ keepAlive }) => keepAlive)) this.#timer.unref();
  }

  #clearTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #onTimer(): void {
    const { news } = this;
    this.#lookAgain();
    // Found without an event: this writer makes none, so the timer has to be quick.
    if (this.#news !== news) this.#eventsTell = false;
    this.#setTimer();
  }

  #pauseOf({ intervalMs }: Waiter): number {
    if (intervalMs !== undefined) return intervalMs;
    const adaptedMs = adaptedPauseMs(performance.now() - this.#newsAt);
    return this.#events !== null && this.#eventsTell ? BESIDE_EVENTS_MS : adaptedMs;
  }

  /** No watch waits. */
  #rest(): void {
    this.#clearTimer();
    if (this.#events === null) return;
    clearTimeout(this.#lingering);
    this.#lingering = setTimeout(() => this.#closeEvents(), LINGER_MS);
    this.#lingering.unref();
  }

  #closeEvents(): void {
    clearTimeout(this.#lingering);
    clearTimeout(this.#eventPause);
    this.#eventPause = undefined;
    this.#events?.close();
    this.#events = null;
  }
}

/** What is followed. */
interface Watched extends StorageState {
  readonly closed: boolean;
}

/**
 * The iterator of `StorageReader.watch`. It ends when the reader is closed, when the signal is aborted, or by `return`,
 * also for a `next` that waits.
 */
export function watchStates(
  reader: Watched,
  lookout: Lookout,
  options: WatchOptions,
): AsyncIterableIterator<StorageState, undefined> & AsyncDisposable {
  checkOptions(options);
  const { intervalMs, keepAlive } = options;
  const isNumber = typeof intervalMs === "number" && intervalMs >= 1 && intervalMs <= MAX_INTERVAL_MS;
  if (intervalMs !== undefined && !isNumber) {
    throw wrongType("intervalMs", `a number from 1 to ${MAX_INTERVAL_MS}`, intervalMs);
  }
  const signal = signalFrom(options.signal);
  const end = new AbortController();
  const signals = signal === undefined ? [end.signal] : [end.signal, signal];
  // Counted from this call on, not from the first `next`.
  const states = statesAfter(lookout.news, reader, lookout, { intervalMs, keepAlive: keepAlive === true }, signals);
  const stop = async (): Promise<IteratorResult<StorageState, undefined>> => {
    end.abort();
    return states.return(undefined);
  };
  return {
    next: () => states.next(),
    return: stop,
    [Symbol.asyncIterator]() {
      return this;
    },
    async [Symbol.asyncDispose]() {
      await stop();
    },
  };
}

async function* statesAfter(
  seen: number,
  reader: Watched,
  lookout: Lookout,
  options: Pick<Waiter, "intervalMs" | "keepAlive">,
  signals: readonly AbortSignal[],
): AsyncGenerator<StorageState, undefined> {
  const isOver = (): boolean => reader.closed || signals.some(({ aborted }) => aborted);
  for (;;) {
    // Other work gets its turn, even where there is news at every call.
    await yieldToEventLoop();
    if (isOver()) return;
    lookout.look();
    if (lookout.news === seen) await lookout.wait(options, signals);
    if (isOver()) return;
    if (lookout.news === seen) continue;
    seen = lookout.news;
    yield { root: reader.root, length: reader.length };
  }
}
