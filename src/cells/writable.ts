/** What a writer does to cells: gives them out, fills them with blobs and fields, and knows what others may see. */

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

/** All of it throws CLOSED, and FAILED once a sync has failed. */
export class WritableCells {
  readonly #cells: Cells;
  readonly #space: Space;
  readonly #publisher: Failing;
  readonly #running: CommitChecksum;
  readonly #stage: Stage;
  readonly #firstAddress: number;
  /** Cells below this one, and from `length` on, were given out before and taken back: old views may lie over them. */
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

  /** Cells that are sure to have room, the used ones included. */
  get reservedCells(): number {
    return this.#space.reserved;
  }

  /** @throws CLOSED, FAILED */
  check(): void {
    this.#cells.checkOpen();
    this.#publisher.checkFailure();
  }

  /** Brings what is staged into memory. @throws DISK_FULL, SYSTEM */
  drain(): void {
    this.#stage.drain();
    this.#cells.setLength(this.#space.length);
  }

  /** The first of `count` consecutive cells, all zero. */
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
   * Bytes that storing them cannot change. A view from before a truncation may lie over the very cells that it is stored
   * into, so it is copied first.
   */
  apart(bytes: Uint8Array): Uint8Array {
    const { inMemory, bytesPerCell, region } = this.#cells;
    if (inMemory >= this.#takenBack || bytes.length === 0) return bytes;
    const offset = addressOf(bytes) - region.address;
    const isElsewhere = offset >= this.#takenBack * bytesPerCell || offset + bytes.length <= inMemory * bytesPerCell;
    // A file that was mapped again has the same cells at two addresses.
    return isElsewhere && region.address === this.#firstAddress ? bytes : bytes.slice();
  }

  /** Takes the cells from `first` on back, which nothing refers to. */
  giveBack(first: number): void {
    this.#takenBack = Math.max(this.#takenBack, this.#space.length);
    // Their CRC may have been taken ahead.
    this.#running.exposed(this.#space.length);
    this.#stage.takeBack(first);
    this.#cells.setLength(this.#space.length, this.#stage.drained);
  }

  /** Gives disk space back, but that of the first `keptCells`. */
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

  /** Makes sure that there is room for `cells` cells. @throws DISK_FULL; nothing has changed */
  reserve(cells: number): void {
    this.#space.ensure(cells);
  }

  /** Takes every cell back. The file keeps its size, and its blocks: a view of an old cell may still be stored into. */
  empty(): void {
    const { startIndex } = this.#cells;
    this.#takenBack = Math.max(this.#takenBack, this.#space.length);
    this.#space.giveBack(startIndex);
    this.#stage.restart();
    this.#cells.setLength(startIndex);
    this.#cells.root = 0;
  }

  /** Checks a store of `value` into a field, and notes that its cell changes. */
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
