/** A writer's operations on cells: allocates them, and stores blobs and fields in them. */

import { StorageError, wrongType } from "../error.ts";
import { MAX_U32 } from "../format/layout.ts";
import type { WritableRegion } from "../region/region.ts";
import { addressOf } from "../os/libc.ts";
import { type Cells, MAX_VIEW_BYTES } from "./cells.ts";
import type { CommitChecksum } from "../state/commit-checksum.ts";
import type { Publisher } from "../state/publisher.ts";
import type { Space } from "./space.ts";
import { Stage } from "./stage.ts";

const MAX_U64 = 2n ** 64n - 1n;

type Failing = Pick<Publisher, "running" | "checkFailure">;

/** Every operation throws CLOSED, and FAILED after a sync has failed. */
export class WritableCells {
  readonly #cells: Cells;
  readonly #space: Space;
  readonly #publisher: Failing;
  readonly #running: CommitChecksum;
  readonly #stage: Stage;
  readonly #firstAddress: number;
  /** Cells from `length` up to this one were allocated before and then freed: old views may lie over them. */
  #takenBack = 0;

  constructor(region: WritableRegion, cells: Cells, space: Space, publisher: Failing) {
    const { running } = publisher;
    this.#cells = cells;
    this.#firstAddress = region.address;
    this.#space = space;
    this.#publisher = publisher;
    this.#running = running;
    this.#stage = new Stage(region, cells.bytesPerCell, space, (first, bytes) => running.feed(first, bytes));
    cells.owner = { drain: () => this.drain(), exposed: (end) => running.exposed(end) };
  }

  /** Cells whose disk space is reserved, including those in use. */
  get reservedCells(): number {
    return this.#space.reserved;
  }

  /** @throws CLOSED, FAILED */
  check(): void {
    this.#cells.checkOpen();
    this.#publisher.checkFailure();
  }

  /** Writes the staged blobs to the region. @throws DISK_FULL, SYSTEM */
  drain(): void {
    this.#stage.drain();
    this.#cells.setLength(this.#space.length);
  }

  /** Allocates `count` consecutive cells, all zero, and returns the first index. */
  allocate(count: number): number {
    this.check();
    if (!Number.isInteger(count) || count < 1) throw wrongType("count", "a positive whole number", count);
    this.drain();
    const first = this.#space.take(count);
    const { bytesPerCell } = this.#cells;
    const [fromBytes, toBytes] = [first * bytesPerCell, (first + count) * bytesPerCell];
    try {
      this.#space.zero(fromBytes, toBytes);
    } catch (error) {
      this.giveBack(first);
      throw error;
    }
    this.#cells.setLength(this.#space.length);
    return first;
  }

  /**
   * Stages a blob, or a part of one whose chunk before ends at `previous`, and returns its index.
   * @throws INDEX_OVERFLOW, DISK_FULL, SYSTEM, UNSUPPORTED; nothing has changed
   */
  write(blob: Uint8Array, previous = 0): number {
    this.check();
    if (blob.length > MAX_VIEW_BYTES) {
      const { path } = this.#cells;
      const message = `${path}: a blob has at most 2^31 bytes, got ${blob.length}: use writeStream`;
      throw new StorageError("UNSUPPORTED", message, { path });
    }
    const first = this.#space.length;
    try {
      return this.#stage.add(this.apart(blob), previous);
    } catch (error) {
      this.giveBack(first);
      throw error;
    } finally {
      this.#cells.setLength(this.#space.length, this.#stage.drained);
    }
  }

  /**
   * Returns bytes that do not change while they are stored. A view from before a truncation may lie over the cells that
   * it will be stored in, so it is copied first.
   */
  apart(bytes: Uint8Array): Uint8Array {
    const { inMemory, bytesPerCell, region } = this.#cells;
    if (inMemory >= this.#takenBack || bytes.length === 0) return bytes;
    const offset = addressOf(bytes) - region.address;
    const isElsewhere = offset >= this.#takenBack * bytesPerCell || offset + bytes.length <= inMemory * bytesPerCell;
    // After a file was mapped again, the same cells have two addresses.
    return isElsewhere && region.address === this.#firstAddress ? bytes : bytes.slice();
  }

  /** Frees the cells from `first` on, which nothing may refer to. */
  giveBack(first: number): void {
    this.#takenBack = Math.max(this.#takenBack, this.#space.length);
    // Drop a CRC of these cells that was taken ahead of the commit.
    this.#running.exposed(this.#space.length);
    this.#stage.takeBack(first);
    this.#cells.setLength(this.#space.length, this.#stage.drained);
  }

  /** Frees reserved disk space, except that of the first `keptCells`. */
  releaseReserve(keptCells: number): void {
    this.#space.releaseReserve(keptCells);
  }

  setU8(index: number, offset: number, value: number): void {
    this.#change(index, offset, 1, value, 0xff);
    this.#cells.fields.setU8(index, offset, value);
  }

  setU16(index: number, offset: number, value: number): void {
    this.#change(index, offset, 2, value, 0xffff);
    this.#cells.fields.setU16(index, offset, value);
  }

  setU32(index: number, offset: number, value: number): void {
    this.#change(index, offset, 4, value, MAX_U32);
    this.#cells.fields.setU32(index, offset, value);
  }

  setU64(index: number, offset: number, value: bigint): void {
    this.#change(index, offset, 8, value, MAX_U64);
    this.#cells.fields.setU64(index, offset, value);
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
    const { startIndex } = this.#cells;
    this.#takenBack = Math.max(this.#takenBack, this.#space.length);
    this.#space.giveBack(startIndex);
    this.#stage.restart();
    this.#cells.setLength(startIndex);
    this.#cells.root = 0;
  }

  /** Checks a store of `value` into a field, and reports the change of its cells to the running CRC. */
  #change(index: number, offset: number, lengthBytes: number, value: number | bigint, most: number | bigint): void {
    this.check();
    const { bytesPerCell } = this.#cells;
    this.#cells.checkField(index, offset, lengthBytes);
    const fits = typeof value === typeof most && value >= 0 && value <= most;
    if (!fits || (typeof value === "number" && !Number.isInteger(value))) {
      throw wrongType("value", `a ${typeof most === "bigint" ? "bigint" : "whole number"} from 0 to ${most}`, value);
    }
    if (offset + lengthBytes <= bytesPerCell) return this.#running.changed(index, index);
    const last = index + Math.floor((offset + lengthBytes - 1) / bytesPerCell);
    this.#running.changed(index + Math.floor(offset / bytesPerCell), last);
  }
}
