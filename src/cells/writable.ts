/** The cells of a writer: allocates them, and stores blobs and fields in them. */

import { StorageError, wrongType } from "../error.ts";
import { blobCells } from "../format/chunk.ts";
import type { Header } from "../format/header.ts";
import { MAX_U32 } from "../format/layout.ts";
import type { WritableRegion } from "../region/region.ts";
import { addressOf } from "../os/libc.ts";
import { Cells, closedError, INDEX_ORIGIN, MAX_VIEW_BYTES } from "./cells.ts";
import type { CommitChecksum } from "../state/commit-checksum.ts";
import type { Publisher } from "../state/publisher.ts";
import type { Space } from "./space.ts";
import { Stage } from "./stage.ts";

const MAX_U64 = 2n ** 64n - 1n;

type PublisherParts = Pick<Publisher, "running" | "checkFailure">;

/** Every operation that changes cells throws CLOSED, FILE_CHANGED, and FAILED after a sync has failed. */
export class WritableCells extends Cells {
  readonly #space: Space;
  readonly #publisher: PublisherParts;
  readonly #running: CommitChecksum;
  readonly #stage: Stage;
  readonly #firstAddress: number;
  /** The end of the cells that were allocated and then freed: old views may lie over the cells from `length` up to it. */
  #freedEnd = 0;
  #closeController: AbortController | undefined;

  constructor(region: WritableRegion, bytesPerCell: number, space: Space, publisher: PublisherParts, header: Header) {
    super(region, bytesPerCell, header);
    const { running } = publisher;
    this.#firstAddress = region.address;
    this.#space = space;
    this.#publisher = publisher;
    this.#running = running;
    this.#stage = new Stage(region, bytesPerCell, running);
  }

  /** Cells whose disk space is reserved, including those in use. */
  get reservedCells(): number {
    return this.#space.reserved;
  }

  /** Aborted with the reason CLOSED when the storage is closed, to end waiting operations. */
  get closeSignal(): AbortSignal {
    if (this.#closeController === undefined) {
      this.#closeController = new AbortController();
      // A getter of the caller may have closed the storage; then the signal is aborted at once.
      if (this.closed) this.#closeController.abort(closedError(this.path));
    }
    return this.#closeController.signal;
  }

  override close(): void {
    super.close();
    this.#closeController?.abort(closedError(this.path));
  }

  /** @throws CLOSED, FILE_CHANGED, FAILED */
  check(): void {
    this.checkOpen();
    this.#publisher.checkFailure();
  }

  setRoot(root: number): void {
    this.setState(this.length, root);
  }

  /** Writes the staged blobs to the region. @throws DISK_FULL, SYSTEM */
  drain(): void {
    this.#stage.drain();
  }

  protected override adviceOn(): string {
    return INDEX_ORIGIN;
  }

  protected override ensureInMemory(index: number): void {
    if (this.#stage.holds(index)) this.#stage.drain();
  }

  override viewBytes(offset: number, lengthBytes: number): Uint8Array<ArrayBuffer> {
    const end = Math.ceil((offset + lengthBytes) / this.bytesPerCell);
    this.ensureInMemory(end - 1);
    // The caller may store into the view.
    this.#running.dropAhead(end);
    return super.viewBytes(offset, lengthBytes);
  }

  /** Allocates `count` consecutive cells, all zero, and returns the first index. */
  allocate(count: number): number {
    this.check();
    if (!Number.isInteger(count) || count < 1) throw wrongType("count", "a positive whole number", count);
    this.drain();
    const first = this.length;
    const end = first + count;
    this.#space.ensure(end);
    this.#space.zero(first, end);
    this.setState(end, this.root);
    return first;
  }

  /**
   * Stages a blob, or a part of a blob whose previous chunk ends at `previous`. Returns its index: the last of its
   * cells.
   * @throws INDEX_OVERFLOW, DISK_FULL, SYSTEM, UNSUPPORTED; nothing has changed
   */
  write(blob: Uint8Array, previous = 0): number {
    this.check();
    // Read the length once: another thread may grow a shared buffer.
    const lengthBytes = blob.length;
    if (lengthBytes > MAX_VIEW_BYTES) {
      const message = `${this.path}: a blob has at most 2^31 bytes, got ${lengthBytes}: use writeStream`;
      throw new StorageError("UNSUPPORTED", message, { path: this.path });
    }
    const first = this.length;
    const end = first + blobCells(lengthBytes, this.bytesPerCell);
    this.#space.ensure(end);
    this.setState(end, this.root);
    try {
      this.#stage.add(first, this.copyIfFreed(blob), lengthBytes, previous);
    } catch (error) {
      this.freeFrom(first);
      throw error;
    }
    return end - 1;
  }

  /**
   * Returns the bytes, or a copy if they may lie over freed cells. A view from before a truncation may lie over the
   * cells in which it is stored; without a copy, it would change while it is stored.
   */
  copyIfFreed(bytes: Uint8Array): Uint8Array {
    const { firstIndex } = this.#stage;
    if (firstIndex >= this.#freedEnd || bytes.length === 0) return bytes;
    const offset = addressOf(bytes) - this.region.address;
    const { bytesPerCell } = this;
    const isElsewhere = offset >= this.#freedEnd * bytesPerCell || offset + bytes.length <= firstIndex * bytesPerCell;
    // After a file was mapped again, the same cells have two addresses.
    return isElsewhere && this.region.address === this.#firstAddress ? bytes : bytes.slice();
  }

  /** Frees the cells from `first` on, which nothing may refer to. */
  freeFrom(first: number): void {
    this.#freedEnd = Math.max(this.#freedEnd, this.length);
    this.#running.dropAhead(this.length);
    this.#stage.dropFrom(first);
    this.#space.forgetZeros();
    this.setState(first, this.root);
  }

  /** Frees disk space that is reserved past the next step, except that of the first `keptCells`. */
  releaseReserve(keptCells: number): void {
    this.#space.releaseReserve(this.length, keptCells);
  }

  setU8(index: number, offset: number, value: number): void {
    this.#change(index, offset, 1, value, 0xff);
    this.fields.setU8(index, offset, value);
  }

  setU16(index: number, offset: number, value: number): void {
    this.#change(index, offset, 2, value, 0xffff);
    this.fields.setU16(index, offset, value);
  }

  setU32(index: number, offset: number, value: number): void {
    this.#change(index, offset, 4, value, MAX_U32);
    this.fields.setU32(index, offset, value);
  }

  setU64(index: number, offset: number, value: bigint): void {
    this.#change(index, offset, 8, value, MAX_U64);
    this.fields.setU64(index, offset, value);
  }

  /** Reserves disk space for `cells` cells in all. @throws DISK_FULL; nothing has changed */
  reserve(cells: number): void {
    this.#space.ensure(cells);
  }

  /**
   * Frees every cell. The file keeps its size and its blocks, because the caller may still store into a view of an old
   * cell.
   */
  empty(): void {
    this.freeFrom(this.startIndex);
    this.setRoot(0);
  }

  /** Checks a store of `value` into a field, and reports the change of its cells to the running CRC. */
  #change(index: number, offset: number, lengthBytes: number, value: number | bigint, most: number | bigint): void {
    this.check();
    const { bytesPerCell } = this;
    this.checkField(index, offset, lengthBytes);
    const fits = typeof value === typeof most && value >= 0 && value <= most;
    if (!fits || (typeof value === "number" && !Number.isInteger(value))) {
      throw wrongType("value", `a ${typeof most === "bigint" ? "bigint" : "whole number"} from 0 to ${most}`, value);
    }
    if (offset + lengthBytes <= bytesPerCell) return this.#running.changed(index, index);
    const last = index + Math.floor((offset + lengthBytes - 1) / bytesPerCell);
    this.#running.changed(index + Math.floor(offset / bytesPerCell), last);
  }
}
