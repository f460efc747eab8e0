/**
 * A file, its replica, and what was flushed, kept apart from both: what a restored file must be.
 * Blocks are small, so that little data makes many.
 */

import { readFileSync, rmSync } from "node:fs";
import { StorageReader, type StorageWriter } from "../../src/index.ts";
import { createLog } from "../../src/replicate/log.ts";
import type { ReplicaState } from "../../src/replicate/history.ts";
import { restore } from "../../src/replicate/restore.ts";
import { states } from "../../src/replicate/states.ts";
import type { ObjectStore } from "../../src/replicate/store/store.ts";
import type { Target } from "../../src/replicate/store/open.ts";

export const SMALL_BLOCK_BYTES = 65536;

/** Makes an empty replica of small blocks. */
export async function smallReplica(store: ObjectStore): Promise<void> {
  await createLog(store, SMALL_BLOCK_BYTES);
}

/** What distinguishes one state from every other: its config, length, root, and every byte of its cells. */
export function fingerprint(path: string): string {
  using reader = StorageReader.open(path);
  const { config, length, root, startIndex, byteLength } = reader;
  const cells = readFileSync(path).subarray(startIndex * config.bytesPerCell, byteLength);
  return JSON.stringify({ config, length, root, cells: String(Bun.hash(cells)) });
}

/** The fingerprints of all that was flushed; and of what is known to be replicated, by the record's number. */
export class Flushed {
  readonly all: Set<string> = new Set();
  readonly replicated: Map<number, string> = new Map();
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  flush(writer: StorageWriter): string {
    return this.flushFrom(this.#path, writer);
  }

  /** The same for another file that is replicated there. */
  flushFrom(path: string, writer: StorageWriter): string {
    writer.flushSync();
    const print = fingerprint(path);
    this.all.add(print);
    return print;
  }

  /** The newest flush has come to the replica. */
  acknowledge(state: ReplicaState, print: string): void {
    this.replicated.set(state.sequence, print);
  }

  /** Restores every state of the replica, and holds it against what was flushed. Returns the states. */
  async check(target: Target, copy: string): Promise<ReplicaState[]> {
    const found: ReplicaState[] = [];
    for await (const state of states(target)) found.push(state);
    const sequences = found.map(({ sequence }) => sequence);
    const isAscending = sequences.every((sequence, i) => i === 0 || sequence > (sequences[i - 1] ?? 0));
    if (!isAscending) throw new Error(`states are not in order, each once: ${sequences.join()}`);
    for (const state of found) {
      rmSync(copy, { force: true });
      const restored = await restore(target, copy, { at: state.sequence });
      if (JSON.stringify(restored) !== JSON.stringify(state)) throw new Error(`restored ${JSON.stringify(restored)}`);
      const print = fingerprint(copy);
      const known = this.replicated.get(state.sequence);
      if (!this.all.has(print) || (known !== undefined && known !== print)) {
        throw new Error(`state ${state.sequence} restores as ${print}, ${known ?? "which was never flushed"}`);
      }
    }
    const newest = found.at(-1);
    if (newest !== undefined) {
      rmSync(copy, { force: true });
      const restored = await restore(target, copy);
      if (restored.sequence !== newest.sequence) throw new Error(`the newest is ${restored.sequence}`);
    }
    return found;
  }
}
