/**
 * Readers. Any number of them may be open, in any process, beside the writer. A reader takes no lock and cannot change
 * the file.
 */

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
import { type ReaderStats, storageStats } from "./stats.ts";
import { readerSnapshot, type Snapshot, type StorageState } from "./state/snapshot.ts";
import { fileGone } from "./state/failure.ts";
import { Storage } from "./storage.ts";
import { ChangeDetector, watchStates, type WatchOptions } from "./watch.ts";

/**
 * A storage that is open for reading. The state that it shows does not change until `refresh`. Do not store into its
 * views. The store would stay in this process, and hide the writer's later changes of that page. If the system refuses
 * private memory (strict overcommit, `ulimit -v`), the store would kill the process.
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
  readonly #detector: ChangeDetector;

  private constructor(region: ReadableRegion & Measured, config: CheckedConfig, follower: Follower) {
    const cells = new Cells(region, config.bytesPerCell, follower.header);
    const snapshot = (): Snapshot => readerSnapshot(region, follower, config.bytesPerCell, () => this.#show());
    super({ region, config, cells, snapshot });
    this.#region = region;
    this.#cells = cells;
    this.#follower = follower;
    this.#detector = new ChangeDetector(
      () => this.#look(),
      (callback) => region.watch(callback),
    );
    this.#showVersion();
  }

  /**
   * Opens a file for reading, at its last flush or at its last commit.
   * @throws NO_SUCH_FILE; NOT_A_STORAGE, INVALID_CONFIG, FILE_CUT, HEADER_BROKEN the file's content; CONFIG_MISMATCH;
   * INVALID_WRITER_KEY; SYSTEM; UNSUPPORTED; TypeError
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
      const reader = new StorageReader(region, config, follower);
      if (key !== undefined) reader.#requireKey(key);
      return reader;
    } catch (error) {
      releaseAfter(error, () => region.close());
    }
  }

  /**
   * Which states `refresh` follows now. A reader of commits follows "flushes" until there is a commit that it can
   * believe.
   */
  get follows(): Follows {
    return this.#follower.follows;
  }

  /**
   * How often the storage was truncated, or recovered in a way that may allocate cells again. Only writers of Cellar
   * count this; it is 0 in files of Plebeia.
   */
  get truncations(): number {
    return this.#follower.truncations;
  }

  /**
   * Shows the newest state, and the newest `version` in the config. Indices stay valid, except after a truncation,
   * which changes `truncations`.
   * @returns true if a new state is visible
   * @throws FILE_CUT the file has become shorter than the state that this reader shows; FILE_CHANGED another storage
   * was written over it; CLOSED
   */
  refresh(): boolean {
    this.#cells.checkOpen();
    return this.#follower.hasChanged() && this.#take();
  }

  /**
   * Follows the storage. After each change from now on, refreshes this reader and yields its state. The latest state is
   * never missed, but earlier ones may be. Other watches and calls of `refresh` do not take states away from it.
   *
   * It ends without an error when the reader is closed or the signal is aborted. It does not keep the process alive,
   * except with `keepAlive`. Set this in a program that does nothing else.
   *
   * On Linux the kernel reports each change within a millisecond or two, and an idle watch only checks the header once
   * a second. The kernel does not report stores through a mapping, which Plebeia makes. A timer finds these: the first
   * within a second, later ones within 5 ms, or 60 ms after a long silence. The same timer finds all changes if the
   * system reports none (macOS, or no inotify descriptor left).
   * @throws CLOSED; TypeError. The iterator rejects with the errors of `refresh`, and with FILE_GONE soon after the
   * file was deleted or replaced
   *
   * @example
   * for await (const { root } of reader.watch({ keepAlive: true })) if (root !== null) console.log(reader.read(root));
   */
  watch(options: WatchOptions = {}): AsyncIterableIterator<StorageState, undefined> & AsyncDisposable {
    this.#cells.checkOpen();
    return watchStates(this, this.#detector, options);
  }

  /**
   * From the next `refresh` on, follows the commits of the writer with this key. It also follows later writers, which
   * have other keys. Needed only for files that Plebeia writes; files of Cellar need no key.
   * @throws INVALID_WRITER_KEY it is not the key of the last writer; CLOSED; TypeError
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
    this.#detector.close();
  }

  /** Looks for the watches. Checks more than `refresh`, and takes ten times as long. */
  #look(): void {
    this.#cells.checkOpen();
    // Measure the file first: if another program has cut it, a load of its header could kill the process.
    this.#region.measure();
    const isNew = (this.#follower.isCut || this.#follower.hasChanged()) && this.#take();
    // Report the last state before the error.
    if (!isNew && this.#region.fileFault() === "gone") throw fileGone(this.path, "reader");
  }

  /** Shows the newest state. Returns whether it differs from the state before. */
  #take(): boolean {
    try {
      const isNew = this.#follower.refresh();
      if (isNew) this.#detector.addChange();
      return isNew;
    } finally {
      // Show it after an error too, so that cells that the file no longer has are not touched.
      this.#show();
    }
  }

  #requireKey(writerKey: Uint8Array): void {
    if (this.checkWriterKey(writerKey)) return;
    const message = `${this.path}: this is not the key of the storage's last writer: pass that writer's writerKey; files of Cellar need no key`;
    throw new StorageError("INVALID_WRITER_KEY", message, { path: this.path });
  }

  #show(): void {
    this.#showVersion();
    this.#cells.setState(this.#follower.readableCells, this.#follower.header.root);
  }

  #showVersion(): void {
    const { version } = this.#follower;
    const { config } = this;
    if (version !== config.version) this.setConfig(checkConfig({ ...config, version }, this.path));
  }
}
