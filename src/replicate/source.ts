/**
 * The file that is replicated. It is read by `pread` alone, on other threads, so that neither a cut nor a full disk can
 * kill the process. It takes no lock, and read access is enough. It never waits for the file's writer, nor does the
 * writer wait for it.
 */

import * as fs from "node:fs";
import { hostname } from "node:os";
import { StorageError } from "../error.ts";
import { doneTruncations, isTruncating, keepsCells, truncationsOf } from "../format/commit-record.ts";
import { decodeArea, diskCopies, type HeaderArea, processCopies } from "../format/area.ts";
import { type Bounds, boundsOf, type Header, sameHeader } from "../format/header.ts";
import { CONFIG, FILE, HEADER_AREA_BYTES } from "../format/layout.ts";
import { readArea } from "../offline/inspect.ts";
import { fsError, withFsErrors } from "../os/errno.ts";
import { fdatasyncLater } from "../os/event-loop.ts";
import { checkFilesystem } from "../os/filesystem.ts";
import { closeFile, identityOf, openFile, sizeOf } from "../os/file.ts";
import { writerPresence } from "../os/lock.ts";
import { releaseAfter } from "../os/release.ts";
import { diskHeader } from "../state/choose-state.ts";
import { checkedConfig } from "../store/files.ts";
import { type Geometry, geometryOf } from "./geometry.ts";
import { type FileIdentity, MAX_HOST_CHARACTERS } from "./record.ts";

const CONFIG_BYTES = FILE.config.sizeBytes;
/** Characters of the config in hex without its version, which may change. */
export const FIXED_CONFIG_CHARACTERS: number = 2 * CONFIG.version.offset;

/** The most bytes of one read, which a stop waits for. */
const READ_BYTES: number = 4 * 1024 * 1024;

/** A flushed state. */
export interface FlushedState extends Header {
  /** The file's first 32 bytes, in hex. */
  readonly config: string;
  readonly truncations: number;
}

export class Source {
  readonly path: string;
  readonly identity: FileIdentity;
  readonly geometry: Geometry;
  readonly #fd: number;
  /** Device and inode. */
  readonly #place: string;
  readonly #config: string;
  /**
   * The number of reads under way. The descriptor must stay open for them, because another file could get its number.
   */
  #reads = 0;
  #isClosing = false;

  private constructor(path: string, fd: number, blockBytes: number) {
    this.path = path;
    this.#fd = fd;
    this.#place = identityOf(fd);
    const area = readArea(fd, path);
    checkedConfig(area, path);
    this.#config = area.subarray(0, CONFIG_BYTES).toHex();
    this.geometry = geometryOf(area, blockBytes, path);
    const { ino, birthtimeNs } = withFsErrors(path, () => fs.fstatSync(fd, { bigint: true }));
    this.identity = {
      host: hostname().slice(0, MAX_HOST_CHARACTERS),
      inode: String(ino),
      created: String(birthtimeNs),
    };
  }

  /** @throws NO_SUCH_FILE, NOT_A_STORAGE, INVALID_CONFIG, SYSTEM; UNSUPPORTED its file system */
  static open(path: string, blockBytes: number, allowUnsafeFilesystem: boolean): Source {
    if (!allowUnsafeFilesystem) checkFilesystem(path, path);
    const fd = openFile(path, "read");
    try {
      return new Source(path, fd, blockBytes);
    } catch (error) {
      releaseAfter(error, () => closeFile(fd, path));
    }
  }

  /** The config without the version, in hex: it never changes. */
  get fixedConfig(): string {
    return this.#config.slice(0, FIXED_CONFIG_CHARACTERS);
  }

  /** Tells whether the path still names this file. */
  isAtPath(): "here" | "gone" | "replaced" {
    try {
      return identityOf(this.path) === this.#place ? "here" : "replaced";
    } catch (error) {
      if (error instanceof StorageError && error.code === "NO_SUCH_FILE") return "gone";
      throw error;
    }
  }

  /**
   * Returns the state of the last acknowledged flush. While a writer is alive, this is disk-sync copy 2: copy 1 may be
   * of a flush under way, or of one whose sync failed. Without a writer, copies that differ are synced first: no flush
   * will make them equal.
   * @returns null if it is unknown now: look again
   * @throws UNSUPPORTED Plebeia wrote the file last; HEADER_BROKEN, FILE_CUT, INVALID_CONFIG; SYSTEM
   */
  async look(): Promise<FlushedState | null> {
    this.#checkOpen();
    const presence = writerPresence(this.#fd, this.path);
    // The writer is recovering the file, and may store any header.
    if (presence === "opening") return null;
    const area = this.#area();
    const config = area.bytes.subarray(0, CONFIG_BYTES).toHex();
    if (config.slice(0, FIXED_CONFIG_CHARACTERS) !== this.fixedConfig) {
      const message = `${this.path}: the config was changed during replication: run cellar check on the file`;
      throw new StorageError("INVALID_CONFIG", message, { path: this.path });
    }
    const bounds = this.#bounds();
    const header = presence === "none" ? await this.#lastFlush(area, bounds) : this.#copy2(area, bounds);
    if (header === null) return null;
    this.#checkWriter(area, bounds);
    return { next: header.next, root: header.root, config, truncations: truncationsOf(area.records, header.next) ?? 0 };
  }

  /** How often the storage was truncated, including a truncation under way. @throws FILE_CUT */
  countTruncations(): number {
    const counted = this.#area().records[0]?.truncations ?? 0;
    return doneTruncations(counted) + (isTruncating(counted) ? 1 : 0);
  }

  /**
   * Call it after copying cells, before using the copy.
   * @throws TRUNCATED the cells may have been allocated again; FILE_CUT they are gone
   */
  check({ truncations, next }: FlushedState): void {
    this.#checkOpen();
    const sizeBytes = sizeOf(this.#fd, this.path);
    if (sizeBytes < next * this.geometry.bytesPerCell) throw this.#cut(sizeBytes);
    if (!keepsCells(this.#area().records, truncations)) {
      const message = `${this.path}: the storage was truncated: the cells flushed before are no longer in the file`;
      throw new StorageError("TRUNCATED", message, { path: this.path });
    }
  }

  /** Fills `target` with cells, from index `first` on. @throws FILE_CUT, SYSTEM */
  async read(first: number, target: Uint8Array): Promise<void> {
    const start = first * this.geometry.bytesPerCell;
    for (let offset = 0; offset < target.length; offset += READ_BYTES) {
      await this.readBytes(start + offset, target.subarray(offset, offset + READ_BYTES));
    }
  }

  /** Fills `target` with bytes of the file. @throws FILE_CUT; SYSTEM */
  async readBytes(position: number, target: Uint8Array): Promise<void> {
    for (let done = 0; done < target.length;) {
      const count = await this.#pending(() => readLater(this.#fd, target.subarray(done), position + done));
      if (count === 0) throw this.#cut(position + done);
      done += count;
    }
  }

  /** Closes the file when the reads under way have ended. */
  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    if (this.#reads === 0) closeFile(this.#fd, this.path);
  }

  #area(): HeaderArea {
    this.#checkOpen();
    const area = readArea(this.#fd, this.path);
    if (area.length < HEADER_AREA_BYTES) throw this.#cut(area.length);
    return decodeArea(area);
  }

  /** Checks that the file is open: after a close, another file may have its descriptor's number. */
  #checkOpen(): void {
    if (this.#isClosing)
      throw new StorageError("CLOSED", `${this.path}: the replicator is closed`, { path: this.path });
  }

  #bounds(): Bounds {
    const { bytesPerCell, config } = this.geometry;
    return boundsOf({ bytesPerCell, maxIndex: config.maxIndex }, sizeOf(this.#fd, this.path));
  }

  #copy2(area: HeaderArea, bounds: Bounds): Header | null {
    return area.believed(["disk2"], bounds);
  }

  async #lastFlush(area: HeaderArea, bounds: Bounds): Promise<Header | null> {
    const disk = diskHeader(area, bounds, this.path);
    const copies = diskCopies.map((name) => area.copy(name));
    if (copies.every((copy) => copy !== null && sameHeader(copy, disk))) return disk;
    await this.#pending(() => fdatasyncLater(this.#fd));
    // A writer may have opened the file during the sync.
    const again = this.#area();
    const isSame = writerPresence(this.#fd, this.path) === "none" && Buffer.compare(area.bytes, again.bytes) === 0;
    return isSame ? disk : null;
  }

  /**
   * Refuses a file that Plebeia wrote last. Plebeia writes no commit records, so its truncations are not counted, and
   * cells may change unnoticed.
   */
  #checkWriter(area: HeaderArea, bounds: Bounds): void {
    const process = area.believed(processCopies, bounds);
    if (process !== null && area.records.some((record) => sameHeader(record, process))) return;
    const message = `${this.path}: another program wrote the file last: open and flush it once with Cellar`;
    throw new StorageError("UNSUPPORTED", message, { path: this.path });
  }

  async #pending<T>(call: () => Promise<T>): Promise<T> {
    if (this.#isClosing)
      throw new StorageError("CLOSED", `${this.path}: the replicator is closed`, { path: this.path });
    this.#reads++;
    try {
      return await call();
    } catch (thrown) {
      throw fsError(thrown, this.path);
    } finally {
      if (--this.#reads === 0 && this.#isClosing) closeFile(this.#fd, this.path);
    }
  }

  #cut(sizeBytes: number): StorageError {
    const message = `${this.path}: the file was cut to ${sizeBytes} bytes by another program: restore it from the replica`;
    return new StorageError("FILE_CUT", message, { path: this.path });
  }
}

function readLater(fd: number, target: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, target, 0, target.length, position, (error, count) => (error ? reject(error) : resolve(count)));
  });
}
