/**
 * Repeats each call of a store, with the same bytes, until the store answers or the caller stops. If the answer to a
 * put was lost, the record must be put again unchanged: the store could acknowledge newer content and keep the older.
 */

import { StorageError } from "../error.ts";
import type { GetOptions, ListOptions, ObjectStore, PutOptions } from "./store/store.ts";

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2000;

/** Ends a task in two steps: after the current request, then at once. */
export class Stop {
  readonly #soft = new AbortController();
  readonly #hard = new AbortController();

  /** Aborted first: no new request begins. */
  get soft(): AbortSignal {
    return this.#soft.signal;
  }

  /** Aborted after the grace time: running requests end. */
  get hard(): AbortSignal {
    return this.#hard.signal;
  }

  get isStopped(): boolean {
    return this.#soft.signal.aborted;
  }

  /** Ends everything within `graceMs`. */
  stop(graceMs: number): void {
    if (this.isStopped) return;
    this.#soft.abort();
    const timer = setTimeout(() => this.#hard.abort(), graceMs);
    timer.unref();
  }

  /** @throws Stopped */
  check(): void {
    if (this.isStopped) throw new Stopped();
  }

  /** Resolves after a time, or at a stop. */
  async sleep(pauseMs: number): Promise<void> {
    if (this.isStopped) return;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const timer = setTimeout(resolve, pauseMs);
    this.soft.addEventListener("abort", resolve, { once: true });
    await promise;
    clearTimeout(timer);
    this.soft.removeEventListener("abort", resolve);
  }
}

/** Thrown in a task that its caller has stopped; users never see it. */
export class Stopped extends Error {
  override readonly name = "Stopped";
}

type Method = "get" | "put" | "list" | "delete";

export class PatientStore implements ObjectStore {
  readonly #store: ObjectStore;
  readonly #stop: Stop;
  /** The methods that the store has answered. */
  readonly #answered = new Set<Method>();
  #failure: StorageError | null = null;
  #requests = 0;

  constructor(store: ObjectStore, stop: Stop) {
    this.#store = store;
    this.#stop = stop;
  }

  get url(): string {
    return this.#store.url;
  }

  /** Why the request under way has no answer yet, or null. */
  get failure(): StorageError | null {
    return this.#failure;
  }

  /** Calls since the beginning, including repeated ones. */
  get requests(): number {
    return this.#requests;
  }

  get(key: string, options: GetOptions = {}): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#ask("get", (signal) => this.#store.get(key, { ...options, signal }));
  }

  put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<"created" | "exists"> {
    return this.#ask("put", (signal) => this.#store.put(key, bytes, { ...options, signal }));
  }

  list(prefix: string, options: ListOptions = {}): Promise<string[]> {
    return this.#ask("list", (signal) => this.#store.list(prefix, { ...options, signal }));
  }

  delete(key: string): Promise<void> {
    return this.#ask("delete", (signal) => this.#store.delete(key, { signal }));
  }

  async #ask<T>(method: Method, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      this.#stop.check();
      try {
        this.#requests++;
        const answer = await call(this.#stop.hard);
        this.#answered.add(method);
        this.#failure = null;
        return answer;
      } catch (error) {
        this.#stop.check();
        if (!this.#isTransient(method, error)) throw error;
        this.#failure = error;
      }
      await this.#stop.sleep(pauseMs);
    }
  }

  /**
   * Tells whether to retry. If the store was never reached, its address is probably wrong. If it refuses a method that
   * it has never answered, the credentials or rights are probably wrong. Later, both failures may be temporary.
   */
  #isTransient(method: Method, error: unknown): error is StorageError {
    if (!(error instanceof StorageError)) return false;
    if (error.code === "STORE_UNREACHABLE") return this.#answered.size > 0;
    return error.code === "STORE_REFUSED" && this.#answered.has(method);
  }
}
