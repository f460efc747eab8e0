/// <reference lib="esnext.disposable" preserve="true" />
/** The common part of writer and reader: the properties of a storage, and reading its cells and blobs. */

import { type CopyOptions, type CopySource, copyStorage } from "./copy.ts";
import type { CheckedConfig, StorageConfig } from "./format/config.ts";
import { copyOfKey } from "./key.ts";
import { blobLength, chunkViews, readBlob, readBlobInto } from "./cells/blob.ts";
import { Cells } from "./cells/cells.ts";
import { loadArea } from "./state/choose-state.ts";
import { blobStream } from "./cells/blob-stream.ts";
import { asBytes, partFrom, type PartOptions } from "./options.ts";
import type { StorageStats } from "./stats.ts";
import type { Snapshot, StorageState } from "./state/snapshot.ts";

/** The parts of an open storage; its owner keeps `cells` current. @internal */
interface StorageParts extends Omit<CopySource, "snapshot"> {
  /** Returns the state to copy or stream: the reader's visible state, or the writer's last commit. */
  snapshot(): Snapshot;
}

/**
 * An open storage: a file of cells, or anonymous memory.
 *
 * An index names a cell, and is a capability: see `read`. *Views* lie over the mapped memory: they cost no copy, stay
 * valid when the storage grows, and have length 0 after `close`. Never transfer their buffers. Do not post a view to a
 * Worker, because that copies the whole buffer under it, up to 1 MiB: post an index, or a copy by `slice()`.
 *
 * A writer buffers blobs, and writes many at a time. If a file system runs out of space that it had reserved, a later
 * call that reads, commits, flushes or closes throws DISK_FULL or SYSTEM. The blobs stay buffered for the next try.
 */
export abstract class Storage implements Disposable, AsyncDisposable {
  abstract readonly mode: "writer" | "reader";
  readonly #parts: StorageParts;
  readonly #cells: Cells;
  #config: CheckedConfig;

  /** @internal */
  protected constructor(parts: StorageParts) {
    this.#parts = parts;
    this.#config = parts.config;
    this.#cells = parts.cells;
  }

  /** The root's index, or null. */
  get root(): number | null {
    return this.#cells.root === 0 ? null : this.#cells.root;
  }

  /** The file's path as it was given, or "(in memory)". */
  get path(): string {
    return this.#cells.path;
  }

  /** The file's config. */
  get config(): StorageConfig {
    return { ...this.#config };
  }

  /** The first index for data. */
  get startIndex(): number {
    return this.#cells.startIndex;
  }

  /** The length in cells, including the header area: one more than the highest index that may be read. */
  get length(): number {
    return this.#cells.length;
  }

  /** The length in bytes. */
  get byteLength(): number {
    return this.#cells.length * this.#cells.bytesPerCell;
  }

  get closed(): boolean {
    return this.#cells.closed;
  }

  /**
   * Returns a view of one cell.
   * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError the index is not a number
   */
  cell(index: number): Uint8Array<ArrayBuffer> {
    return this.#cells.view(index, 1, this.#cells.bytesPerCell);
  }

  /**
   * Returns a view of `count` cells, at most 2^31 bytes.
   * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError
   */
  cells(index: number, count: number): Uint8Array<ArrayBuffer> {
    return this.#cells.view(index, count, this.#cells.bytesPerCell);
  }

  /**
   * Returns a view of `byteLength` bytes from a cell's first byte on, at most 2^31 bytes and within the storage.
   * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError
   */
  bytes(index: number, byteLength: number): Uint8Array<ArrayBuffer> {
    return this.#cells.view(index, byteLength, 1);
  }

  /**
   * Returns the byte at `offset` from the first byte of a cell. The field may lie in a later cell; this is true for all
   * field functions. They take nanoseconds and make no view, so they suit cells that are nodes of a tree.
   * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError
   */
  u8(index: number, offset: number): number {
    this.#cells.checkField(index, offset, 1);
    return this.#cells.fields.u8(index, offset);
  }

  /** Returns the little-endian u16 there. @throws as `u8` */
  u16(index: number, offset: number): number {
    this.#cells.checkField(index, offset, 2);
    return this.#cells.fields.u16(index, offset);
  }

  /**
   * Returns the little-endian u32 there.
   * @throws as `u8`
   * @example
   * const left = storage.u32(node, 4);
   */
  u32(index: number, offset: number): number {
    this.#cells.checkField(index, offset, 4);
    return this.#cells.fields.u32(index, offset);
  }

  /** Returns the little-endian u64 there. @throws as `u8` */
  u64(index: number, offset: number): bigint {
    this.#cells.checkField(index, offset, 8);
    return this.#cells.fields.u64(index, offset);
  }

  /**
   * Returns a copy of the blob with this index, or of a part of it. The caller owns the bytes. An index is a
   * capability: if it points inside a blob whose bytes look like the end of a blob, `read` returns the cells that they
   * name. So never take an index from an untrusted caller.
   *
   * For a part, only its own chunks and the blob's footers are read. Bytes past the blob's end are left out, as in
   * `slice`.
   * @throws INDEX_OUT_OF_RANGE; CHUNK_CORRUPT no blob ends there; UNSUPPORTED more than 2^31 bytes; CLOSED; TypeError
   *
   * @example
   * const start = reader.read(index, { length: 512 });
   */
  read(index: number, part?: PartOptions): Uint8Array<ArrayBuffer> {
    return readBlob(this.#cells, index, part === undefined ? undefined : partFrom(part));
  }

  /**
   * Copies the blob with this index, or a part of it, to the beginning of `target`, as far as it fits. One buffer can
   * serve for many blobs, without work for the garbage collector.
   * @returns the number of copied bytes; the other bytes of `target` stay as they are
   * @throws INDEX_OUT_OF_RANGE, CHUNK_CORRUPT, CLOSED; TypeError
   *
   * @example
   * const page = new Uint8Array(4096);
   * const lengthBytes = reader.readInto(index, page, { offset: 8192 });
   */
  readInto(index: number, target: ArrayBufferView | ArrayBufferLike, part: PartOptions = {}): number {
    const range = partFrom(part);
    return readBlobInto(this.#cells, index, asBytes(target), range);
  }

  /**
   * Returns the chunks of the blob with this index as views, first to last, each of at most 65535 bytes. Never take an
   * index from an untrusted caller: see `read`.
   * @throws INDEX_OUT_OF_RANGE, CHUNK_CORRUPT, CLOSED; TypeError
   */
  chunks(index: number): Uint8Array<ArrayBuffer>[] {
    return chunkViews(this.#cells, index);
  }

  /**
   * Returns the length in bytes of the blob with this index. Never take an index from an untrusted caller: see `read`.
   * @throws INDEX_OUT_OF_RANGE, CHUNK_CORRUPT, CLOSED; TypeError
   */
  blobLength(index: number): number {
    return blobLength(this.#cells, index);
  }

  /**
   * Tells whether the process-sync header was written with this key.
   * @throws INVALID_WRITER_KEY not 32 bytes; CLOSED; TypeError
   */
  checkWriterKey(writerKey: Uint8Array): boolean {
    this.#cells.checkOpen();
    const key = copyOfKey(writerKey);
    // Check again after the caller's object was read: a getter may have closed the storage.
    this.#cells.checkOpen();
    return loadArea(this.#parts.region).carriesKey(key);
  }

  /**
   * Returns the blob with this index, or a part of it, as a stream of copies, each of at most 4 × 65535 bytes. A piece
   * is read when the consumer can take more, and the caller owns its bytes. Blobs may have any length; the event loop
   * is never blocked for more than a few milliseconds. To read into a buffer of your own, use `readInto`. Never take an
   * index from an untrusted caller: see `read`.
   * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError. The stream errors with CHUNK_CORRUPT no blob ends there; TRUNCATED
   * the storage was truncated during the stream, or since a reader's last refresh; FILE_CUT another program cut the
   * file; CLOSED the storage was closed
   *
   * @example
   * Bun.serve({ fetch: () => new Response(reader.stream(index)) });
   */
  stream(index: number, part: PartOptions = {}): ReadableStream<Uint8Array<ArrayBuffer>> {
    const range = partFrom(part);
    this.#cells.checkOpen();
    return blobStream(this.#cells, this.#parts.snapshot(), index, range);
  }

  /**
   * Returns numbers about this storage as it is now: the space that it uses, and the work of its writer.
   * @throws CLOSED; SYSTEM
   */
  abstract stats(): StorageStats;

  /**
   * Makes a hot backup: copies one state to a new file, which appears complete and durable, or not at all. The writer
   * continues during the copy, and the event loop stays free. A reader copies the state that it shows; a writer copies
   * its last commit. Only cells in use are copied, so the file has the smallest possible size. Its permissions are at
   * most those of this file. Cells that are changed in place during the copy may be copied old, new or torn. A failed,
   * cancelled or killed copy leaves nothing. (On systems without unnamed files, such as macOS, a killed copy leaves a
   * file `.cellar-PID-RANDOM.new` beside `path`.)
   * @returns the state that was copied
   * @throws ALREADY_EXISTS; NO_SUCH_FILE the directory is missing; TRUNCATED the storage was truncated during the copy,
   * or since a reader's last refresh; FILE_CUT another program cut the file; DISK_FULL; FAILED a writer's sync has
   * failed: copy from a reader; SYSTEM; UNSUPPORTED; CLOSED, also during the copy; the signal's reason; TypeError (all
   * as rejections)
   *
   * @example
   * using reader = StorageReader.open("data.cellar");
   * await reader.copyTo("backup.cellar", { signal: AbortSignal.timeout(60_000) });
   */
  async copyTo(path: string | URL, options: CopyOptions = {}): Promise<StorageState> {
    this.#cells.checkOpen();
    const { region, cells, snapshot } = this.#parts;
    return copyStorage({ region, cells, config: this.#config, snapshot: snapshot() }, path, options);
  }

  /** Releases all resources; closing again does nothing. Views have length 0 afterwards. */
  abstract close(): void;

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** For subclasses: sets the config after its version has changed. @internal */
  protected setConfig(config: CheckedConfig): void {
    this.#config = config;
  }
}
