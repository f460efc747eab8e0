/** A store in memory, which tests fill with faults: each call is told to a hook before and after it takes effect. */

import { StorageError } from "../../src/error.ts";
import type { CallOptions, GetOptions, ListOptions, ObjectStore, PutOptions } from "../../src/replicate/store/store.ts";

/** A call, before or after it takes effect. What the hook throws is its answer; the effect stays. */
export interface Call {
  readonly method: "get" | "put" | "list" | "delete";
  readonly key: string;
  readonly when: "before" | "after";
  readonly bytes?: Uint8Array;
  readonly signal?: AbortSignal | undefined;
}

export class MemoryStore implements ObjectStore {
  readonly url: string;
  readonly objects: Map<string, Uint8Array<ArrayBuffer>>;
  readonly calls: string[] = [];
  hook: (call: Call) => void | Promise<void> = () => undefined;

  /** Another client of the same objects shares `objects`. */
  constructor(objects: Map<string, Uint8Array<ArrayBuffer>> = new Map(), url = "memory:replica") {
    this.objects = objects;
    this.url = url;
  }

  async get(key: string, { firstBytes, signal }: GetOptions = {}): Promise<Uint8Array<ArrayBuffer> | null> {
    await this.#call({ method: "get", key, when: "before", signal });
    const object = this.objects.get(key);
    await this.#call({ method: "get", key, when: "after", signal });
    return object === undefined ? null : object.slice(0, firstBytes);
  }

  async put(
    key: string,
    bytes: Uint8Array,
    { ifAbsent = false, signal }: PutOptions = {},
  ): Promise<"created" | "exists"> {
    const copy = new Uint8Array(bytes);
    await this.#call({ method: "put", key, when: "before", bytes: copy, signal });
    const exists = this.objects.has(key);
    if (!exists || !ifAbsent) this.objects.set(key, copy);
    await this.#call({ method: "put", key, when: "after", bytes: copy, signal });
    return exists && ifAbsent ? "exists" : "created";
  }

  async list(prefix: string, { after = "", most = Infinity, signal }: ListOptions = {}): Promise<string[]> {
    await this.#call({ method: "list", key: prefix, when: "before", signal });
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after);
    await this.#call({ method: "list", key: prefix, when: "after", signal });
    return keys.sort().slice(0, most);
  }

  async delete(key: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#call({ method: "delete", key, when: "before", signal });
    this.objects.delete(key);
    await this.#call({ method: "delete", key, when: "after", signal });
  }

  async #call(call: Call): Promise<void> {
    if (call.when === "before") this.calls.push(`${call.method} ${call.key}`);
    await this.hook(call);
  }
}

/** Never answers, until the call is aborted. */
export function silence({ signal }: Call): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(signal?.reason as Error);
    if (signal?.aborted === true) abort();
    signal?.addEventListener("abort", abort, { once: true });
  });
}

export function unreachable(what: string): StorageError {
  return new StorageError("STORE_UNREACHABLE", `memory:replica: ${what}`, { path: "memory:replica" });
}
