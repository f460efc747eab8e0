/// <reference lib="esnext.disposable" preserve="true" />
/** What a writer and a reader share: what a storage is, and how its cells and blobs are read. */

import { type CopyOptions, copyStorage } from "./copy.ts";
import type { CheckedConfig, StorageConfig } from "./format/config.ts";
import { copyOfKey } from "./key.ts";
import { blobLength, chunkViews, readBlob, readBlobInto } from "./cells/blob.ts";
import { Cells } from "./cells/cells.ts";
import { loadArea } from "./state/choose-state.ts";
import { blobStream } from "./cells/blob-stream.ts";
import { asBytes, partFrom, type PartOptions } from "./options.ts";
import type { Measured, ReadableRegion } from "./region/region.ts";
import type { StorageState } from "./state.ts";
import type { StorageStats } from "./stats.ts";
import type { Snapshot } from "./state/snapshot.ts";

/** What an open storage is made of; its owner keeps `cells` current. @internal */
export interface StorageParts {
  readonly region: Pick<ReadableRegion, "address"> & Measured;
  readonly config: CheckedConfig;
  readonly cells: Cells;
  /** What is copied now: of a reader what it shows, of a writer what it has committed. */
  snapshot(): Snapshot;
}

/**
 * A storage that is open: a file of cells, or anonymous memory.
 *
 * An index names a cell, and is a capability: see `read`. Bytes that are returned as *views* lie over the mapped memory: they cost no copy, stay good
 * when the storage grows, and have length 0 after `close`. Never transfer their buffers to another owner, nor
 * post a view to a Worker: the whole buffer under it is copied, up to 1 MiB. Post an index, or a copy by `slice()`.
 *
 * A writer gathers blobs, and writes many at a time: whatever reads, commits, flushes or closes it may throw DISK_FULL or
 * SYSTEM for them, where a file system has no room although it promised it. They are kept for the next try.
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
  abstract readonly root: number | null;

  /** The file's path as it was given, or "(in memory)". */
  get path(): string {
    return this.#cells.path;
  }

  /** What the file says of itself. */
  get config(): StorageConfig {
    return { ...this.#config };
  }

  /** The first index for data. */
  get startIndex(): number {
    return this.#cells.startIndex;
  }

  /** The length in cells, the header area included: one more than the highest index that may be read. */
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
   * A view of one cell.
   * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError the index is no number
   */
  cell(index: number): Uint8Array<ArrayBuffer> {
    return this.#cells.view(index, 1, this.#cells.bytesPerCell);
  }

  /**
   * A view of `count` cells, at most 2^31 bytes.
   * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError
   */
  cells(index: number, count: number): Uint8Array<ArrayBuffer> {
    return this.#cells.view(index, count, this.#cells.bytesPerCell);
  }

  /**
   * A view of `byteLength` bytes, from a cell's first byte on: at most 2^31, and within the storage.
   * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError
   */
  bytes(index: number, byteLength: number): Uint8Array<ArrayBuffer> {
    return this.#cells.view(index, byteLength, 1);
  }

  /**
   * The byte at `offset` from the first byte of a cell on. It may lie in a later cell, as those of all the fields here,
   * which cost nanoseconds and make no view: for cells that are nodes of a tree.
   * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError
   */
  u8(index: number, offset: number): number {
    this.#cells.checkField(index, offset, 1);
    return this.#cells.fields.u8(index, offset);
  }

  /** The little-endian u16 there. @throws as `u8` */
  u16(index: number, offset: number): number {
    this.#cells.checkField(index, offset, 2);
    return this.#cells.fields.u16(index, offset);
  }

  /**
   * The little-endian u32 there.
   * @throws as `u8`
   * @example
   * const left = storage.u32(node, 4);
   */
  u32(index: number, offset: number): number {
    this.#cells.checkField(index, offset, 4);
    return this.#cells.fields.u32(index, offset);
  }

  /** The little-endian u64 there. @throws as `u8` */
  u64(index: number, offset: number): bigint {
    this.#cells.checkField(index, offset, 8);
    return this.#cells.fields.u64(index, offset);
  }

  /**
   * The blob with this index, or a part of it, copied: the bytes are the caller's. An index is a capability: one inside a
   * blob whose bytes look like a blob's end reads whatever they name, so never take an index from an untrusted caller.
   *
   * For a part, only footers are read besides its own chunks. What lies past the blob's end is left out, as in `slice`.
   * @throws INDEX_OUT_OF_RANGE; CHUNK_CORRUPT no blob ends there; UNSUPPORTED more than 2^31 bytes; CLOSED; TypeError
   *
   * @example
   * const start = reader.read(index, { length: 512 });
   */
  read(index: number, part?: PartOptions): Uint8Array<ArrayBuffer> {
    return readBlob(this.#cells, index, part === undefined ? undefined : partFrom(part));
  }

  /**
   * Copies the blob with this index, or a part of it, into `target` from its beginning, as far as it reaches: the
   * same buffer serves for many blobs, and the collector has nothing to do.
   * @returns the bytes that were copied; `target` keeps its others
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
   * The chunks of the blob with this index as views, first to last, each of at most 65535 bytes. Never take an index from
   * an untrusted caller: see `read`.
   * @throws INDEX_OUT_OF_RANGE, CHUNK_CORRUPT, CLOSED; TypeError
   */
  chunks(index: number): Uint8Array<ArrayBuffer>[] {
    return chunkViews(this.#cells, index);
  }

  /**
   * The bytes of the blob with this index, which must not come from an untrusted caller: see `read`.
   * @throws INDEX_OUT_OF_RANGE, CHUNK_CORRUPT, CLOSED; TypeError
   */
  blobLength(index: number): number {
    return blobLength(this.#cells, index);
  }

  /**
   * Whether the process-sync header was written with this key.
   * @throws INVALID_WRITER_KEY not 32 bytes; CLOSED; TypeError
   */
  checkWriterKey(writerKey: Uint8Array): boolean {
    this.#cells.checkOpen();
    const key = copyOfKey(writerKey);
    // Again after everything of the caller's was looked at: a getter may have closed the storage.
    this.#cells.checkOpen();
    return loadArea(this.#parts.region).carriesKey(key);
  }

  /**
   * The blob with this index, or a part of it, as a stream of copies, each of at most 4 × 65535 bytes, which are read when
   * they are pulled. The bytes are the caller's; the storage may be closed, which errors the stream with CLOSED. It is a
   * byte stream: readers may bring their own buffers. For blobs of any length; the event loop is not held for more than
   * a few milliseconds. Never take an index from an untrusted caller: see `read`.
   * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError. The stream errors with CHUNK_CORRUPT no blob ends there;
   * TRUNCATED the storage was truncated meanwhile, or since a reader's last refresh; FILE_CUT another program cut the file;
   * CLOSED
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
   * Numbers about this storage as it is now: what it takes, and what its writer has done.
   * @throws CLOSED; SYSTEM
   */
  abstract stats(): StorageStats;

  /**
   * Makes a hot backup: copies one state to a new file, which appears complete and durable, or not at all, while the
   * writer goes on and the event loop stays free. Of a reader it is the state that it shows, of a writer that of its
   * last commit. Only used cells are copied, so the file is as small as it can be; it is no more readable than this one.
   * Cells that are changed in place meanwhile may come old, new or torn.
   * A failed, cancelled or killed copy leaves nothing. (Where files without a name are unknown, as on macOS, a killed
   * one leaves a file `.cellar-PID-RANDOM.new` beside `path`.)
   * @returns the state that was copied
   * @throws ALREADY_EXISTS; NO_SUCH_FILE the directory is missing; TRUNCATED the storage was truncated meanwhile, or
   * since a reader's last refresh; FILE_CUT another program cut the file; DISK_FULL; FAILED a writer's sync has failed: copy from a reader; SYSTEM;
   * UNSUPPORTED; CLOSED, also if it is closed meanwhile; the signal's reason; TypeError (all as rejections)
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

  /** Releases everything; closing again does nothing. Views that are left have length 0. */
  abstract close(): void;

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** For subclasses: the config after its version has changed. @internal */
  protected setConfig(config: CheckedConfig): void {
    this.#config = config;
  }
}
