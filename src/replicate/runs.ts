/**
 * The data that grows with each record, with its running SHA-256: the cells of the tail, and the hashes of the blocks.
 */

import { yieldToEventLoop } from "../os/event-loop.ts";
import { copyInSteps, SHA_BYTES, STEP_BYTES, allocateUnzeroed, updateInSteps } from "./object.ts";

/** A growing byte array, and its running SHA-256. Long input is processed in steps, which leave the event loop free. */
export class Run {
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #length = 0;
  #hasher: Bun.CryptoHasher = new Bun.CryptoHasher("sha256");

  get length(): number {
    return this.#length;
  }

  /** Valid until the next change. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.subarray(0, this.#length);
  }

  async append(bytes: Uint8Array): Promise<void> {
    const length = this.#length + bytes.length;
    if (length > this.#buffer.length) await this.#grow(length);
    for (let offset = 0; offset < bytes.length; offset += STEP_BYTES) {
      if (offset > 0) await yieldToEventLoop();
      const step = bytes.subarray(offset, offset + STEP_BYTES);
      this.#buffer.set(step, this.#length);
      this.#hasher.update(step);
      this.#length += step.length;
    }
  }

  /**
   * Replaces the content by `bytes`. The previous content stays until the new one is complete, because the comparison in
   * the background reads it between the steps.
   */
  async reset(bytes: Uint8Array = new Uint8Array(0)): Promise<void> {
    const run = new Run();
    await run.append(bytes);
    this.#buffer = run.#buffer;
    this.#length = run.#length;
    this.#hasher = run.#hasher;
  }

  /** Keeps the first bytes only. */
  async cutTo(length: number): Promise<void> {
    if (length < this.#length) await this.reset(this.#buffer.subarray(0, length));
  }

  sha256(): string {
    return this.#hasher.copy().digest("hex");
  }

  /** Returns the SHA-256 as if `bytes` were appended. */
  async sha256With(bytes: Uint8Array): Promise<string> {
    const hasher = this.#hasher.copy();
    await updateInSteps(hasher, bytes);
    return hasher.digest("hex");
  }

  async #grow(length: number): Promise<void> {
    const larger = allocateUnzeroed(Math.max(length, 2 * this.#buffer.length));
    await copyInSteps(larger, this.bytes, 0);
    this.#buffer = larger;
  }
}

/** The SHA-256 of each block of an epoch, in order. */
export class BlockHashes {
  readonly #run: Run = new Run();

  get count(): number {
    return this.#run.length / SHA_BYTES;
  }

  /** All hashes, concatenated. Valid until the next change. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#run.bytes;
  }

  /** The hash of one block, in hex. */
  at(block: number): string {
    return this.#run.bytes.subarray(block * SHA_BYTES, (block + 1) * SHA_BYTES).toHex();
  }

  async append(hashes: Uint8Array): Promise<void> {
    await this.#run.append(hashes);
  }

  async reset(hashes?: Uint8Array): Promise<void> {
    await this.#run.reset(hashes);
  }

  async cutTo(count: number): Promise<void> {
    await this.#run.cutTo(count * SHA_BYTES);
  }

  sha256(): string {
    return this.#run.sha256();
  }

  /** The SHA-256 of the first `count` hashes followed by others. */
  async sha256With(count: number, hashes: Uint8Array): Promise<string> {
    if (count === this.count) return this.#run.sha256With(hashes);
    const hasher = new Bun.CryptoHasher("sha256");
    await updateInSteps(hasher, this.bytes.subarray(0, count * SHA_BYTES));
    await updateInSteps(hasher, hashes);
    return hasher.digest("hex");
  }
}
