/**
 * The original's writer, over the bytes of a file: what its `open_existing_for_write`, `commit` and `flush` store, in
 * their order. It knows nothing of the annex, and takes what it allocates as it is.
 */

import { openAsOriginal } from "./golden.ts";
import { headerCopy, OFFSET, type State } from "./image.ts";

const COPY_BYTES = 32;

/** Called after every store that a kill may be the last of; the second copy of a pair may be old or torn by then. */
export type OnStore = () => void;

export class OriginalWriter {
  readonly #bytes: Uint8Array;
  readonly #key: Uint8Array;
  readonly #bytesPerCell: number;
  readonly #onStore: OnStore;
  root: number;
  next: number;

  private constructor(bytes: Uint8Array, key: Uint8Array, onStore: OnStore, { root, next }: State) {
    this.#bytes = bytes;
    this.#key = key;
    this.#bytesPerCell = new DataView(bytes.buffer, bytes.byteOffset).getUint32(20, true);
    this.#onStore = onStore;
    this.root = root;
    this.next = next;
  }

  /**
   * Opens the file without its first flush, which the caller does. Null where the original refuses the file.
   */
  static open(bytes: Uint8Array, key: Uint8Array, onStore: OnStore = () => undefined): OriginalWriter | null {
    const opened = openAsOriginal(bytes);
    return opened === null ? null : new OriginalWriter(bytes, key, onStore, opened.writer);
  }

  /** Gives out cells up to `next`; filled with the byte, or left as they are. */
  extend(next: number, fill: number | null): void {
    if (fill !== null) this.#bytes.fill(fill, this.next * this.#bytesPerCell, next * this.#bytesPerCell);
    this.next = next;
  }

  commit(): void {
    this.#store(OFFSET.process1, headerCopy(this, this.#key));
    this.#store(OFFSET.process2, headerCopy(this, this.#key));
  }

  flush(): void {
    this.commit();
    this.#store(OFFSET.disk1, headerCopy(this));
    this.#store(OFFSET.disk2, headerCopy(this));
  }

  /** A copy, which a kill may find half stored. */
  #store(offset: number, copy: Uint8Array): void {
    this.#bytes.set(copy.subarray(0, COPY_BYTES / 2), offset);
    this.#onStore();
    this.#bytes.set(copy, offset);
    this.#onStore();
  }
}
