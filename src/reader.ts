/** Readers: any number, in any process, beside the writer. A reader takes no lock and cannot change the file. */

import { StorageError, wrongType } from "./error.ts";
import { type CheckedConfig, checkConfig } from "./format/config.ts";
import { copyOfKey } from "./key.ts";
import { checkOptions, expectedFrom, type OpenReaderOptions } from "./options.ts";
import { pathFrom } from "./os/file.ts";
import { checkFilesystem } from "./os/filesystem.ts";
import { releaseAfter } from "./os/release.ts";
import type { Measured, ReadableRegion } from "./region/region.ts";
import { Cells } from "./cells/cells.ts";
import { openReaderFile } from "./store/files.ts";
import { Follower } from "./state/follower.ts";
import type { Follows } from "./state/visible.ts";
import type { StorageState } from "./state.ts";
import { type ReaderStats, storageStats } from "./stats.ts";
import { readerSnapshot, type Snapshot } from "./state/snapshot.ts";
import { fileGone } from "./state/failure.ts";
import { Storage } from "./storage.ts";
import { Lookout, watchStates, type WatchOptions } from "./watch.ts";

interface ReaderParts {
  readonly region: ReadableRegion & Measured;
  readonly config: CheckedConfig;
  readonly follower: Follower;
}

/**
 * A storage that is open for reading. What it shows stands still until `refresh`.
 * Do not store into its views: it would stay in this process, and hide what the writer changes on that page; and where
 * the system refuses private memory (strict overcommit, `ulimit -v`) it would end the process.
 *
 * @example
 * using reader = StorageReader.open("data.cellar", { follow: "commits" });
 * if (reader.refresh() && reader.root !== null) console.log(reader.read(reader.root));
 */
export class StorageReader extends Storage {
  readonly mode = "reader";
  readonly #region: ReadableRegion & Measured;
  readonly #cells: Cells;
  readonly #follower: Follower;
  readonly #lookout: Lookout;
  #version: number;

  private constructor({ region, config, follower }: ReaderParts) {
    const { next, root } = follower.header;
    const cells = new Cells(region, config, next, root);
    const snapshot = (): Snapshot => readerSnapshot(region, follower, config.bytesPerCell, () => this.#show());
    super({ region, config, cells, snapshot });
    this.#region = region;
    this.#cells = cells;
    this.#follower = follower;
    this.#version = config.version;
    this.#lookout = new Lookout(
      () => this.#look(),
      (callback) => region.watch(callback),
    );
    this.#showVersion();
  }

  /**
   * Opens a file for reading, at its last flush or at its last commit.
   * @throws NO_SUCH_FILE; NOT_A_STORAGE, INVALID_CONFIG, FILE_CUT, HEADER_BROKEN the file's content;
   * CONFIG_MISMATCH; INVALID_WRITER_KEY; SYSTEM; UNSUPPORTED; TypeError
   */
  static open(target: string | URL, options: OpenReaderOptions = {}): StorageReader {
    checkOptions(options);
    const { follow, writerKey } = options;
    if (follow !== undefined && follow !== "flushes" && follow !== "commits") {
      throw wrongType("follow", '"flushes" or "commits"', follow);
    }
    if (follow === "flushes" && writerKey !== undefined) {
      throw new TypeError(
        'follow: a writerKey is for following "commits", got "flushes" and a key: leave one of them out',
      );
    }
    const key = writerKey === undefined ? undefined : copyOfKey(writerKey);
    const expect = expectedFrom(options.expect);
    const path = pathFrom(target);
    if (!options.allowUnsafeFilesystem) checkFilesystem(path, path);
    const { region, config } = openReaderFile(path, expect);
    try {
      const wanted: Follows = key === undefined ? (follow ?? "flushes") : "commits";
      const follower = new Follower(region, config, wanted, key !== undefined);
      const reader = new StorageReader({ region, config, follower });
      if (key !== undefined) reader.#requireKey(key);
      return reader;
    } catch (error) {
      releaseAfter(error, () => region.close());
    }
  }

  /** The root's index, or null. */
  get root(): number | null {
    return this.#cells.root === 0 ? null : this.#cells.root;
  }

  /** What `refresh` goes by now: "flushes" too while a reader of commits has no commit to trust yet. */
  get follows(): Follows {
    return this.#follower.follows;
  }

  /**
   * How often the storage was truncated, or recovered so that cells may be given out again, as far as its writers counted
   * (0 in files of the original).
   */
  get truncations(): number {
    return this.#follower.truncations;
  }

  /**
   * Looks for a newer state, and for another `version` in the config. Indices stay good but after a truncation, which `truncations` tells.
   * @returns true if something new is visible
   * @throws FILE_CUT the file has become shorter than what this reader shows; FILE_CHANGED another storage was written
   * over it; CLOSED
   */
  refresh(): boolean {
    this.#cells.checkOpen();
    return this.#follower.hasMoved() && this.#take();
  }

  /**
   * Follows the storage: yields its state after every change that this reader comes to see from now on, with the reader
   * refreshed to it. The latest state is never missed, those between may be. Other watches, and calls of `refresh`,
   * take nothing from it.
   *
   * It ends when the reader is closed or the signal is aborted, which is no error. It does not keep the process alive
   * unless it is told to, as a program should that does nothing else.
   * On Linux the system tells of a change, which is seen within a millisecond or two, and a watch costs nothing while
   * nothing happens. A writer that stores through a mapping, as the original does, is found out by a timer: at first
   * within a second, from then on within 5 ms, or 60 after a long silence; so is every writer where the system tells
   * of no changes (macOS, or no inotify descriptor left).
   * @throws CLOSED; TypeError. The iterator rejects as `refresh` throws, and with FILE_GONE within a look or two after the
   * file was deleted or replaced
   *
   * @example
   * for await (const { root } of reader.watch({ keepAlive: true })) if (root !== null) console.log(reader.read(root));
   */
  watch(options: WatchOptions = {}): AsyncIterableIterator<StorageState, undefined> & AsyncDisposable {
    this.#cells.checkOpen();
    return watchStates(this, this.#lookout, options);
  }

  /**
   * From the next `refresh` on, follows the commits of the writer with this key. It keeps following when another
   * writer, with another key, takes over. For files whose writer is the original: others need no key.
   * @throws INVALID_WRITER_KEY not the writer's; CLOSED; TypeError
   */
  enableProcessSync(writerKey: Uint8Array): void {
    this.#cells.checkOpen();
    this.#requireKey(copyOfKey(writerKey));
    this.#follower.followCommits();
  }

  stats(): ReaderStats {
    this.#cells.checkOpen();
    const { follows, truncations } = this.#follower;
    return { mode: "reader", ...storageStats(this.#region, this.#cells, truncations), follows };
  }

  close(): void {
    if (this.#cells.closed) return;
    this.#cells.close();
    this.#region.close();
    this.#lookout.close();
  }

  /** A look of the watches. `refresh` looks for less: this costs ten times as much. */
  #look(): void {
    this.#cells.checkOpen();
    // A file that another program has cut is an error here, where a look at its header could end the process.
    this.#follower.measure();
    const isNew = (this.#follower.isCut || this.#follower.hasMoved()) && this.#take();
    // What it showed last comes first.
    if (!isNew && this.#region.fileFault() === "gone") throw fileGone(this.path, "reader");
  }

  /** Takes the newest state; true if it is another one. */
  #take(): boolean {
    try {
      const isNew = this.#follower.refresh();
      if (isNew) this.#lookout.addNews();
      return isNew;
    } finally {
      // Also when it throws: what the file no longer has must not be touched.
      this.#show();
    }
  }

  #requireKey(writerKey: Uint8Array): void {
    if (this.checkWriterKey(writerKey)) return;
    const message = `${this.path}: this is not the key of the storage's last writer: take that writer's writerKey; files of Cellar are followed without one`;
    throw new StorageError("INVALID_WRITER_KEY", message, { path: this.path });
  }

  #show(): void {
    this.#showVersion();
    this.#cells.setLength(this.#follower.readableCells);
    this.#cells.root = this.#follower.header.root;
  }

  #showVersion(): void {
    const { version } = this.#follower;
    if (version === this.#version) return;
    this.#version = version;
    this.setConfig(checkConfig({ ...this.config, version }, this.path));
  }
}
