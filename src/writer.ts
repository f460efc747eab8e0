/** The writer of a storage. There is at most one at a time, in all processes together. */

import { type OpenedWriter, openOrCreate, openExisting, openMemory, createWriter } from "./open-writer.ts";
import { wrongType } from "./error.ts";
import { checkConfig } from "./format/config.ts";
import type { Header } from "./format/header.ts";
import { asBytes, capacityFrom, type CreateOptions, type OpenWriterOptions } from "./options.ts";
import type { Measured, WritableRegion } from "./region/region.ts";
import { storageStats, type WriterStats } from "./stats.ts";
import { StreamedBlob } from "./cells/streamed-blob.ts";
import { storeProcessId, storeVersion } from "./state/header-stores.ts";
import type { Publisher } from "./state/publisher.ts";
import type { Recovery } from "./state/choose-state.ts";
import { type StorageState, stateOf, writerSnapshot } from "./state/snapshot.ts";
import { Storage } from "./storage.ts";
import { WritableCells } from "./cells/writable.ts";
import { type ByteSource, storeStream, type WriteStreamOptions } from "./write-stream.ts";

/**
 * A storage that is open for writing. Cells are allocated at the end and filled; they are never moved, and freed only
 * by `truncate`. `commit` makes the state visible to other processes, `flush` makes it durable.
 *
 * @example
 * using writer = StorageWriter.openOrCreate("data.cellar");
 * writer.root = writer.write(new TextEncoder().encode("hello"));
 * writer.flushSync();
 */
export class StorageWriter extends Storage {
  readonly mode = "writer";
  /** What opening found in the file, and which state it chose. */
  readonly recovery: Recovery;
  readonly #region: WritableRegion & Measured;
  readonly #cells: WritableCells;
  readonly #publisher: Publisher;
  readonly #writerKey: Uint8Array;

  private constructor({ region, config, store, writerKey }: OpenedWriter) {
    const { space, publisher, header, recovery } = store;
    const cells = new WritableCells(region, config.bytesPerCell, space, publisher, header);
    super({ region, config, cells, snapshot: () => writerSnapshot(publisher, region.path) });
    this.recovery = recovery;
    this.#region = region;
    this.#cells = cells;
    this.#publisher = publisher;
    this.#writerKey = writerKey;
    publisher.whenFileChanged((error) => cells.refuse(error));
  }

  /**
   * Creates a new file, which appears complete and durable, or not at all.
   * @throws ALREADY_EXISTS; INVALID_CONFIG; INVALID_WRITER_KEY; NO_SUCH_FILE the directory is missing; DISK_FULL;
   * FAILED the first sync failed; SYSTEM; UNSUPPORTED; TypeError
   */
  static create(path: string | URL, options: CreateOptions = {}): StorageWriter {
    return new StorageWriter(createWriter(path, options));
  }

  /**
   * Opens an existing file, and recovers it if its last writer was killed: see `recovery`.
   * @throws NO_SUCH_FILE; WRITER_LOCKED; NOT_A_STORAGE, INVALID_CONFIG, FILE_CUT, HEADER_BROKEN the file's content;
   * INVALID_CONFIG also a wrong PLEBEIA_RESIZE_STEP_BYTES; CONFIG_MISMATCH; INVALID_WRITER_KEY; FAILED, DISK_FULL,
   * SYSTEM; UNSUPPORTED; TypeError
   */
  static open(path: string | URL, options: OpenWriterOptions = {}): StorageWriter {
    return new StorageWriter(openExisting(path, options));
  }

  /**
   * Opens the file, or creates it if it does not exist. The config of an existing file is compared with the given
   * options only.
   * @throws as `open` and `create`; CONFIG_MISMATCH also if `expect` contradicts the config that a new file would have
   */
  static openOrCreate(path: string | URL, options: CreateOptions & OpenWriterOptions = {}): StorageWriter {
    return new StorageWriter(openOrCreate(path, options));
  }

  /**
   * Creates a storage in anonymous memory, for tests and temporary data. It is gone after `close`, and nothing in it is
   * durable; everything else works.
   * @throws INVALID_CONFIG, INVALID_WRITER_KEY, SYSTEM, UNSUPPORTED; TypeError
   */
  static inMemory(options: CreateOptions = {}): StorageWriter {
    return new StorageWriter(openMemory(options));
  }

  /** The root's index, or null. Other processes see it at the next commit. */
  override get root(): number | null {
    return super.root;
  }

  /** @throws INDEX_OUT_OF_RANGE it is neither null nor an index of data; FAILED, CLOSED; TypeError */
  override set root(index: number | null) {
    // Do not check for FILE_CHANGED here: the `write` that found the change has returned an index, and setting it as
    // root must not throw. Later calls throw.
    if (this.#cells.closed || this.#publisher.failed) this.#cells.check();
    if (index !== null && typeof index !== "number") throw wrongType("root", "an index or null", index);
    if (index !== null) this.#cells.checkIndex(index);
    this.#cells.setRoot(index ?? 0);
  }

  /** A copy of the key of this writer's process-sync header. Readers of Plebeia need it. */
  get writerKey(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#writerKey);
  }

  /**
   * Allocates `count` consecutive cells, all zero.
   * @returns the FIRST index
   * @throws INDEX_OVERFLOW maxIndex is reached; DISK_FULL; both leave the storage as it was; FAILED, CLOSED; TypeError
   */
  allocate(count = 1): number {
    return this.#cells.allocate(count);
  }

  /**
   * Stores a byte at `offset` bytes from the first byte of a cell. The field functions make no view. If the cell is
   * newer than the last flush, the next commit covers the change; otherwise the next flush does.
   * @throws INDEX_OUT_OF_RANGE; TypeError, also for a value that does not fit; FAILED, CLOSED
   */
  setU8(index: number, offset: number, value: number): void {
    this.#cells.setU8(index, offset, value);
  }

  /** Stores a little-endian u16. @throws as `setU8` */
  setU16(index: number, offset: number, value: number): void {
    this.#cells.setU16(index, offset, value);
  }

  /** Stores a little-endian u32. @throws as `setU8` */
  setU32(index: number, offset: number, value: number): void {
    this.#cells.setU32(index, offset, value);
  }

  /** Stores a little-endian u64. @throws as `setU8` */
  setU64(index: number, offset: number, value: bigint): void {
    this.#cells.setU64(index, offset, value);
  }

  /**
   * Stores bytes as a blob of 0 to 2^31 bytes. If the file must grow and another program has changed it, nothing is
   * stored in the file, and the next call throws FILE_CHANGED.
   * @returns the LAST index, as `read` takes it
   * @throws INDEX_OVERFLOW, DISK_FULL, both leave the storage as it was; UNSUPPORTED more than 2^31 bytes; FAILED,
   * CLOSED; TypeError
   */
  write(bytes: ArrayBufferView | ArrayBufferLike): number {
    this.#cells.check();
    return this.#cells.write(asBytes(bytes));
  }

  /**
   * Stores the bytes of a stream as a blob, as `write` would, while they arrive. It buffers one chunk of 65535 bytes.
   * Other calls may come in between. If the source fails or the signal is aborted, the root stays as it was. So does
   * the length, unless cells were allocated or committed in between; then the cells of this blob stay in use until
   * `truncate`. The blob may have any length; above 2^31 bytes `read` throws UNSUPPORTED.
   * @returns the LAST index
   * @throws the source's error; the signal's reason; TRUNCATED the storage was truncated during the call;
   * INDEX_OVERFLOW, DISK_FULL; FAILED, CLOSED; TypeError (all as rejections)
   */
  async writeStream(source: ByteSource, options: WriteStreamOptions = {}): Promise<number> {
    this.#cells.check();
    return storeStream(source, options, new StreamedBlob(this.#cells, this.#publisher));
  }

  /**
   * Makes root and length visible to other processes, in microseconds. A commit survives a kill of this process, but
   * not a power cut.
   * @throws FAILED an earlier sync has failed; FILE_CHANGED; CLOSED
   */
  commit(): void {
    this.#cells.check();
    this.#publisher.checkFile("changesOnly");
    this.#publisher.commit(this.#drainedHeader());
  }

  /**
   * Commits, and makes the state durable without blocking the event loop. Writes may continue during the flush. If
   * another flush is running, this call waits for its end, and then commits once for all waiting calls. Until that
   * commit, a kill loses the cells that no commit covers.
   * @returns the durable state: that of the call, or a later one
   * @throws FAILED the disk reported an error, earlier or during the call; FILE_GONE the file was deleted or replaced:
   * `copyTo` saves the last commit; FILE_CHANGED another program cut or overwrote the file: every later call throws it
   * too; CLOSED (all as rejections)
   */
  async flush(): Promise<StorageState> {
    return stateOf(await this.#publisher.flush(this.#checkedHeader()));
  }

  /**
   * Commits, and returns when the state is durable.
   * @throws FAILED the disk reported an error, now or before; FILE_GONE, FILE_CHANGED as `flush`; CLOSED
   */
  flushSync(): StorageState {
    return stateOf(this.#publisher.flushSync(this.#checkedHeader()));
  }

  /**
   * Empties the storage, durably. The file keeps its size, because readers may have it mapped.
   * @throws DISK_FULL no space for `capacityCells`, and nothing has changed; FAILED, FILE_GONE, FILE_CHANGED, SYSTEM,
   * CLOSED; TypeError
   */
  truncate(options: Pick<CreateOptions, "capacityCells"> = {}): void {
    this.#cells.check();
    const { startIndex } = this.#cells;
    const capacity = capacityFrom(options, startIndex, this.config.maxIndex);
    this.#cells.check();
    this.#publisher.checkFile();
    if (capacity !== null) this.#cells.reserve(capacity);
    this.#publisher.truncate({ next: startIndex, root: 0 });
    this.#cells.empty();
  }

  /**
   * Changes the version in the file. It becomes durable with the next flush. A reader shows it after its next
   * `refresh`.
   * @throws INVALID_CONFIG not a u32; FAILED, CLOSED; TypeError
   */
  overrideVersion(version: number): void {
    this.#cells.check();
    if (typeof version !== "number") throw wrongType("version", "a number", version);
    const config = checkConfig({ ...this.config, version }, this.path);
    this.#publisher.checkFile();
    storeVersion(this.#region, version);
    this.setConfig(config);
  }

  stats(): WriterStats {
    this.#cells.checkOpen();
    const { durable, metrics, truncations } = this.#publisher;
    return {
      mode: "writer",
      ...storageStats(this.#region, this.#cells, truncations),
      reservedBytes: this.#cells.reservedCells * this.#cells.bytesPerCell,
      unflushedCells: this.length - durable.next,
      commits: metrics.commits,
      flushes: metrics.flushes,
      recovery: this.recovery,
    };
  }

  /**
   * Flushes, and then releases all resources, even if the flush fails. Closing again does nothing.
   * @throws FAILED, FILE_GONE, FILE_CHANGED, DISK_FULL, SYSTEM the flush failed; after an earlier failed sync it does
   * not flush, and does not throw
   */
  close(): void {
    if (this.#cells.closed) return;
    try {
      if (!this.#publisher.failed) {
        this.#publisher.flushSync(this.#checkedHeader());
        storeProcessId(this.#region, 0);
      }
    } finally {
      this.#cells.close();
      this.#publisher.end();
      this.#region.close();
    }
  }

  /** Flushes without blocking the event loop, then closes. */
  override async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (!this.closed && !this.#publisher.failed) await this.flush();
    } finally {
      this.close();
    }
  }

  /**
   * Returns the current state, after writing all staged cells. @throws FAILED a sync has failed; FILE_CHANGED; CLOSED
   */
  #checkedHeader(): Header {
    this.#cells.check();
    this.#publisher.checkFile();
    return this.#drainedHeader();
  }

  #drainedHeader(): Header {
    this.#cells.drain();
    return { next: this.#cells.length, root: this.#cells.root };
  }
}
