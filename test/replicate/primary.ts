/** A primary: a file with its writer, and its replicator, to be used with others of the same replica. */

import { StorageReader, StorageWriter } from "../../src/index.ts";
import type { ReplicaState } from "../../src/replicate/history.ts";
import { replicate, type ReplicateOptions, type Replicator } from "../../src/replicate/replicator.ts";
import type { Target } from "../../src/replicate/store/open.ts";
import type { Flushed } from "./life.ts";

export class Primary implements AsyncDisposable {
  readonly path: string;
  writer: StorageWriter;
  replicator: Replicator | null = null;
  readonly #flushed: Flushed;

  constructor(path: string, flushed: Flushed, writer: StorageWriter = StorageWriter.create(path)) {
    this.path = path;
    this.writer = writer;
    this.#flushed = flushed;
    flushed.flushFrom(path, writer);
  }

  start(target: Target, options: ReplicateOptions = {}): Replicator {
    this.replicator = replicate(this.path, target, { intervalMs: 1, ...options });
    return this.replicator;
  }

  /** Appends bytes, flushes, and returns the fingerprint. */
  append(sizeBytes: number, fill: number): string {
    this.writer.root = this.writer.write(new Uint8Array(sizeBytes).fill(fill));
    return this.#flushed.flushFrom(this.path, this.writer);
  }

  /** Appends, and waits until it is replicated. */
  async replicate(sizeBytes: number, fill: number): Promise<ReplicaState> {
    const print = this.append(sizeBytes, fill);
    if (this.replicator === null) throw new Error("not started");
    const state = await this.replicator.replicated();
    this.#flushed.acknowledge(state, print);
    return state;
  }

  /** Another primary with a copy of the file. */
  async copy(path: string): Promise<Primary> {
    {
      using reader = StorageReader.open(this.path);
      await reader.copyTo(path);
    }
    return new Primary(path, this.#flushed, StorageWriter.open(path));
  }

  async stop(): Promise<void> {
    await this.replicator?.close();
    this.replicator = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    if (!this.writer.closed) this.writer.close();
  }
}

/** The code of what a promise rejects with, "none" if it does not. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "none",
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );
}
