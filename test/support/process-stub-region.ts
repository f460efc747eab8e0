/** Anonymous memory whose syncs fail when they are told to, and return when they are let. Keeps a log. */

import { StorageError } from "../../src/error.ts";
import { FILE, HEADER_AREA_BYTES } from "../../src/format/layout.ts";
import { MemoryRegion } from "../../src/region/memory.ts";
import type { FileFault, HeaderStore, WritableRegion } from "../../src/region/region.ts";

const SIZE_BYTES = 2 ** 20;
const nameOf = new Map(Object.entries(FILE).map(([name, { offset }]) => [offset, name]));

/** What the syncs throw. */
export const diskError: StorageError = new StorageError("SYSTEM", "the disk is broken", { errno: 5, syscall: "msync" });

/** Synchronous and asynchronous syncs have an opening of the file each, and are told of an error once each. */
type Opening = "sync" | "syncLater";

export class StubRegion implements WritableRegion {
  readonly path = "(stub)";
  /** What was done since `clearLog`: "sync", "syncLater", "failed", and the names of the places that were stored. */
  readonly log: string[] = [];
  /** Which of the coming syncs meets the error, counted from 1; none while it is 0. */
  failAt = 0;
  /** Asynchronous syncs return at `release` only. */
  gated = false;
  /** What `fileFault` answers. */
  fault: FileFault | null = null;
  /** The header area as it was when the first sync failed. */
  headersAtFailure: Uint8Array = new Uint8Array(0);
  readonly #memory: MemoryRegion = new MemoryRegion(SIZE_BYTES, SIZE_BYTES);
  readonly #gates: (() => void)[] = [];
  /** The openings that have not been told of the error yet. */
  readonly #untold = new Set<Opening>();

  get address(): number {
    return this.#memory.address;
  }

  get sizeBytes(): number {
    return this.#memory.sizeBytes;
  }

  clearLog(): void {
    this.log.length = 0;
  }

  /** A copy of the header area. */
  headers(): Uint8Array {
    return this.view(0, HEADER_AREA_BYTES).slice();
  }

  /** Lets the asynchronous sync return that has waited longest; false if none waits. */
  release(): boolean {
    const open = this.#gates.shift();
    open?.();
    return open !== undefined;
  }

  store(...stores: HeaderStore[]): void {
    for (const { offset } of stores) this.log.push(nameOf.get(offset) ?? String(offset));
    this.#memory.store(...stores);
  }

  write(offset: number, bytes: Uint8Array): void {
    this.#memory.write(offset, bytes);
  }

  view(offset: number, lengthBytes: number): Uint8Array<ArrayBuffer> {
    return this.#memory.view(offset, lengthBytes);
  }

  fileFault(): FileFault | null {
    return this.fault;
  }

  grow(fromBytes: number, toBytes: number): void {
    this.#memory.grow(fromBytes, toBytes);
  }

  rewriteUncached(): void {
    this.log.push("rewriteUncached");
  }

  deallocate(): void {}

  sync(): void {
    if (this.#isTold("sync")) this.#fail();
  }

  async syncLater(): Promise<void> {
    const fails = this.#isTold("syncLater");
    if (this.gated) await new Promise<void>((resolve) => this.#gates.push(resolve));
    if (fails) this.#fail();
  }

  announce(): void {}

  close(): void {
    this.#memory.close();
  }

  /** Whether this sync has an error to tell. */
  #isTold(opening: Opening): boolean {
    this.log.push(opening);
    if (this.failAt > 0 && --this.failAt === 0) {
      this.#untold.add("sync");
      this.#untold.add("syncLater");
    }
    return this.#untold.delete(opening);
  }

  #fail(): never {
    if (!this.log.includes("failed")) this.headersAtFailure = this.headers();
    this.log.push("failed");
    throw diskError;
  }
}
