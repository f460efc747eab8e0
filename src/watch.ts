/** Follows a storage: an async iterator over the new states of a reader. */

import { checkInterval, checkOptions, signalFrom } from "./options.ts";
import { yieldToEventLoop } from "./os/event-loop.ts";
import type { Closable } from "./region/region.ts";
import type { StorageState } from "./state/snapshot.ts";

/** Options of `watch`. */
export interface WatchOptions {
  /** Ends the iteration, without an error. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds between two looks at the file, at least 1. Without it, the system reports each change if it can, and a
   * timer also looks: every second, or every 1 to 50 ms if the system reports no changes.
   */
  readonly intervalMs?: number | undefined;
  /**
   * Whether the iteration keeps the process alive, as a server does. Default false. Set it in a program that only
   * follows: in Bun 1.4.5 a top-level await uses a whole processor if nothing keeps the process alive
   * (oven-sh/bun#14951).
   */
  readonly keepAlive?: boolean | undefined;
}

/**
 * The period of the timer while events are open. It finds the stores of a writer that stores through a mapping, as
 * Plebeia does, because these make no events.
 */
const BESIDE_EVENTS_MS = 1000;
/** How long the next look waits after an event without a new state. A writer of much data makes many such events. */
const EVENT_PAUSE_MS = 1;
/** How long the event source stays open after the last watch stopped waiting: another watch may begin soon. */
const LINGER_MS = 1000;

/**
 * Returns the pause before the next look if there are no events, by the time since the last change. A timer costs some
 * 80 µs of processor time, so the pause grows: 1 ms right after a change, for bursts; 3 ms while a writer that commits
 * every other second may still be active; then up to 50 ms.
 */
function adaptedPauseMs(silenceMs: number): number {
  if (silenceMs < 100) return 1;
  if (silenceMs < 4000) return 3;
  return silenceMs < 10_000 ? 20 : 50;
}

/** A watch that waits for a new state. */
interface Waiter {
  readonly intervalMs: number | undefined;
  readonly keepAlive: boolean;
  readonly wake: () => void;
  readonly fail: (error: unknown) => void;
}

/** Looks at a reader's file for all watches of the reader. They share the timer, the events, and each look. */
export class ChangeDetector {
  readonly #refresh: () => void;
  readonly #openEvents: (callback: () => void) => Closable | null;
  readonly #waiters = new Set<Waiter>();
  #changeCount = 0;
  #changedAtMs: number = performance.now();
  #hasLookedThisTurn = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerMs = 0;
  #events: Closable | null = null;
  #eventPause: ReturnType<typeof setTimeout> | undefined;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;
  /** Whether the writer's changes make events; true until a timer finds a change first. */
  #hasReliableEvents = true;
  #isClosed = false;

  /**
   * @param refresh refreshes the reader, which calls `addChange`; an error ends all waiting watches
   * @param openEvents calls back after changes of the file; returns null if there are no events
   */
  constructor(refresh: () => void, openEvents: (callback: () => void) => Closable | null) {
    this.#refresh = refresh;
    this.#openEvents = openEvents;
  }

  /** How many new states the reader has shown, by a look or by a call of its `refresh`. */
  get changeCount(): number {
    return this.#changeCount;
  }

  addChange(): void {
    this.#changeCount++;
    this.#changedAtMs = performance.now();
    this.#wakeAll((waiter) => waiter.wake());
  }

  close(): void {
    this.#isClosed = true;
    this.#wakeAll((waiter) => waiter.wake());
    this.#closeEvents();
  }

  /** Refreshes the reader, once for all calls in the same turn of the event loop. @throws as `refresh` */
  look(): void {
    if (this.#hasLookedThisTurn) return;
    this.#hasLookedThisTurn = true;
    setImmediate(() => {
      this.#hasLookedThisTurn = false;
    });
    this.#refresh();
  }

  /** Resolves at a new state, at `close`, or when a signal is aborted. Rejects with the error of a look. */
  async wait(options: Pick<Waiter, "intervalMs" | "keepAlive">, signals: readonly AbortSignal[]): Promise<void> {
    if (this.#isClosed) return;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const waiter: Waiter = { ...options, wake: () => resolve(undefined), fail: reject };
    this.#waiters.add(waiter);
    for (const signal of signals) signal.addEventListener("abort", resolve, { once: true });
    try {
      const hasBegun = options.intervalMs === undefined && this.#beginEvents();
      this.#joinTimer(waiter);
      // One more look sees what changed between the last one and the first event.
      if (hasBegun) this.#lookAgain();
      await promise;
    } finally {
      for (const signal of signals) signal.removeEventListener("abort", resolve);
      this.#waiters.delete(waiter);
      if (this.#waiters.size === 0) this.#goIdle();
      // The timer must not keep the process alive for a watch that has ended.
      else if (waiter.keepAlive) this.#setTimer();
    }
  }

  #wakeAll(wake: (waiter: Waiter) => void): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) wake(waiter);
  }

  /** Looks once for all waiting watches. */
  #lookAgain(): void {
    try {
      this.#refresh();
    } catch (error) {
      this.#wakeAll((waiter) => waiter.fail(error));
    }
  }

  /** Opens the event source, if it is not open. Returns true if it was opened now. */
  #beginEvents(): boolean {
    clearTimeout(this.#closeTimer);
    if (this.#events !== null) return false;
    this.#events = this.#openEvents(() => this.#onEvent());
    return this.#events !== null;
  }

  #onEvent(): void {
    if (this.#waiters.size === 0 || this.#eventPause !== undefined) return;
    const { changeCount } = this;
    this.#lookAgain();
    if (this.#changeCount !== changeCount) {
      this.#hasReliableEvents = true;
      return;
    }
    // The look at the end of the pause sees changes during it.
    this.#eventPause = setTimeout(() => {
      this.#eventPause = undefined;
      if (this.#waiters.size > 0) this.#lookAgain();
    }, EVENT_PAUSE_MS);
    this.#eventPause.unref();
  }

  /** Makes the timer fire soon enough for one more waiter. */
  #joinTimer(waiter: Waiter): void {
    if (this.#timer === undefined || this.#pauseOf(waiter) < this.#timerMs) this.#setTimer();
    else if (waiter.keepAlive) this.#timer.ref();
  }

  /** Sets the timer for all waiters. */
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
    const { changeCount } = this;
    this.#lookAgain();
    // The timer found the change before an event: this writer makes no events, so the timer must be fast.
    if (this.#changeCount !== changeCount) this.#hasReliableEvents = false;
    this.#setTimer();
  }

  #pauseOf({ intervalMs }: Waiter): number {
    if (intervalMs !== undefined) return intervalMs;
    const adaptedMs = adaptedPauseMs(performance.now() - this.#changedAtMs);
    return this.#events !== null && this.#hasReliableEvents ? BESIDE_EVENTS_MS : adaptedMs;
  }

  /** Stops the timer, and later closes the event source, when no watch waits. */
  #goIdle(): void {
    this.#clearTimer();
    if (this.#events === null) return;
    clearTimeout(this.#closeTimer);
    this.#closeTimer = setTimeout(() => this.#closeEvents(), LINGER_MS);
    this.#closeTimer.unref();
  }

  #closeEvents(): void {
    clearTimeout(this.#closeTimer);
    clearTimeout(this.#eventPause);
    this.#eventPause = undefined;
    this.#events?.close();
    this.#events = null;
  }
}

/** The reader that is followed. */
interface Watched extends StorageState {
  readonly closed: boolean;
}

/**
 * Returns the iterator of `StorageReader.watch`. It ends when the reader is closed, when the signal is aborted, or by
 * `return`. A pending `next` ends too.
 */
export function watchStates(
  reader: Watched,
  detector: ChangeDetector,
  options: WatchOptions,
): AsyncIterableIterator<StorageState, undefined> & AsyncDisposable {
  checkOptions(options);
  const { intervalMs, keepAlive } = options;
  if (intervalMs !== undefined) checkInterval(intervalMs);
  const signal = signalFrom(options.signal);
  const end = new AbortController();
  const signals = signal === undefined ? [end.signal] : [end.signal, signal];
  // Count new states from this call on, not from the first `next`.
  const states = statesAfter(
    detector.changeCount,
    reader,
    detector,
    { intervalMs, keepAlive: keepAlive === true },
    signals,
  );
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
  detector: ChangeDetector,
  options: Pick<Waiter, "intervalMs" | "keepAlive">,
  signals: readonly AbortSignal[],
): AsyncGenerator<StorageState, undefined> {
  const isOver = (): boolean => reader.closed || signals.some(({ aborted }) => aborted);
  for (;;) {
    // Let other work run, even if every call has a new state.
    await yieldToEventLoop();
    if (isOver()) return;
    detector.look();
    if (detector.changeCount === seen) await detector.wait(options, signals);
    if (isOver()) return;
    if (detector.changeCount === seen) continue;
    seen = detector.changeCount;
    yield { root: reader.root, length: reader.length };
  }
}
