/**
 * The file of a follower: an ordinary storage with the cells of the replica. It shows only complete states of the
 * replica, because the flush of a state makes its cells visible.
 */

import { renameSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { StorageError } from "../error.ts";
import { decodeConfig } from "../format/config.ts";
import { sameHeader } from "../format/header.ts";
import { inspect, type Inspection } from "../offline/inspect.ts";
import { openExisting, type OpenedWriter } from "../open-writer.ts";
import { withFsErrors } from "../os/errno.ts";
import { yieldToEventLoop } from "../os/event-loop.ts";
import { closeFile, openFile } from "../os/file.ts";
import { removeFile, syncDirectory } from "../os/new-file.ts";
import { releaseAfter, releaseAll } from "../os/release.ts";
import { storeProcessId, storeVersion } from "../state/header-stores.ts";
import { blockCells } from "./content.ts";
import { firstOfBlock, tailStart } from "./geometry.ts";
import type { History } from "./history.ts";
import type { Log } from "./log.ts";
import { release, sha256, STEP_BYTES } from "./object.ts";
import { newestContent, placeContent } from "./restore.ts";

const encoder = new TextEncoder();

/** The writer key of a replica's followers. A file with another key was changed by another writer. */
export function followerKey(replica: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(sha256(encoder.encode(`cellar follower of ${replica}`)));
}

/** An existing file of a follower. */
export interface FoundFile {
  readonly inspection: Inspection;
  /** Whether opening it for writing would choose a state of the replica: its last flush, or a proven commit. */
  readonly isWhole: boolean;
}

/**
 * Inspects a file that may be a follower's; null if there is none.
 * @throws DIVERGED the file is another writer's; NOT_A_STORAGE and other errors of opening
 */
export function findFile(path: string, writerKey: Uint8Array): FoundFile | null {
  let fd: number;
  try {
    fd = openFile(path, "read");
  } catch (error) {
    if (error instanceof StorageError && error.code === "NO_SUCH_FILE") return null;
    throw error;
  }
  try {
    const inspection = inspect(fd, path);
    const { area, opening } = inspection;
    if (opening instanceof StorageError) throw opening;
    if (!area.carriesKey(writerKey)) throw ownWrites(path);
    const { state, skippedCells } = opening.recovery;
    // Skipped cells are of an incomplete commit.
    const isProven = state === "resumedAtCommit" && skippedCells === 0;
    return { inspection, isWhole: isProven || sameHeader(opening.header, opening.disk) };
  } finally {
    closeFile(fd, path);
  }
}

export function ownWrites(path: string): StorageError {
  const message = `${path}: the file has its own writes, or is of another replica: it was not changed: follow to another path, or move this file away`;
  return new StorageError("DIVERGED", message, { path });
}

export class FollowerFile {
  readonly path: string;
  /** The epoch of its cells. */
  readonly epoch: number;
  readonly #opened: OpenedWriter;
  /** The cells that were written so far, header area included. */
  #length: number;
  /** The application's version in the file now. */
  #version: number;

  private constructor(path: string, epoch: number, opened: OpenedWriter) {
    this.path = path;
    this.epoch = epoch;
    this.#opened = opened;
    this.#length = opened.store.header.next;
    this.#version = opened.config.version;
  }

  /** Opens a file whose cells are those of the epoch. */
  static open(path: string, epoch: number, writerKey: Uint8Array, allowUnsafeFilesystem: boolean): FollowerFile {
    return new FollowerFile(path, epoch, openExisting(path, { writerKey, allowUnsafeFilesystem }));
  }

  /** Tells whether the file already shows the newest state of the history. */
  shows({ next, root, config }: History): boolean {
    const { durable } = this.#opened.store.publisher;
    return durable.next === next && durable.root === root && this.#version === versionIn(config);
  }

  /**
   * Writes the newest state of the history, which must be of the file's epoch, and flushes it.
   * @throws Misfit a block is missing or damaged; DISK_FULL, FAILED and other errors of a writer. The file then still
   * shows the previous state
   */
  async advance(log: Log, history: History, signal?: AbortSignal): Promise<void> {
    const { store, region } = this.#opened;
    const { next, root, geometry, config } = history;
    const { publisher } = store;
    if (geometry === null || next < this.#length)
      throw new Error("the follower's file is longer than the newest state");
    // After a failure, the cells written so far stay. They are cells of the replica, so the next try continues from
    // them.
    for (let block = 0; block < history.stateBlocks; block++) {
      const end = firstOfBlock(geometry, block + 1);
      if (end > this.#length) {
        const cells = await blockCells(log, history, block, signal);
        await this.#write(firstOfBlock(geometry, block), cells);
        release(cells);
      }
    }
    if (next > this.#length) await this.#write(tailStart(geometry, next), history.tail.bytes);
    signal?.throwIfAborted();
    const version = versionIn(config);
    if (version !== this.#version) storeVersion(region, version);
    this.#version = version;
    await publisher.flush({ next, root });
  }

  /** Closes the file. It stays at its last flush. */
  close(): void {
    const { store, region } = this.#opened;
    store.publisher.end();
    releaseAll(
      () => storeProcessId(region, 0),
      () => region.close(),
    );
  }

  /** Writes cells whose first index is `first`. Skips those that the file already has. */
  async #write(first: number, cells: Uint8Array): Promise<void> {
    const { store, region, config } = this.#opened;
    const { bytesPerCell } = config;
    const { space, publisher } = store;
    const stepBytes = Math.max(1, Math.floor(STEP_BYTES / bytesPerCell)) * bytesPerCell;
    let offset = (this.#length - first) * bytesPerCell;
    while (offset < cells.length) {
      const step = cells.subarray(offset, offset + stepBytes);
      const end = this.#length + step.length / bytesPerCell;
      space.ensure(end);
      region.write(this.#length * bytesPerCell, step);
      publisher.running.feed(this.#length, step);
      this.#length = end;
      offset += step.length;
      await yieldToEventLoop();
    }
  }
}

/** Restores the newest state to the path, as a new file or in place of an existing one. */
export async function restoreNewest(
  log: Log,
  history: History,
  path: string,
  { writerKey, signal, replaces }: { writerKey: Uint8Array; signal: AbortSignal; replaces: boolean },
): Promise<number> {
  const content = await newestContent(log, history, signal);
  if (!replaces) {
    await placeContent(log, content, path, { writerKey, signal, onProgress: undefined });
    return content.state.epoch;
  }
  const random = crypto.getRandomValues(new Uint8Array(8)).toHex();
  const beside = join(dirname(path), `.${basename(path)}-${process.pid}-${random}.new`);
  await placeContent(log, content, beside, { writerKey, signal, onProgress: undefined });
  try {
    withFsErrors(path, () => renameSync(beside, path));
    syncDirectory(dirname(path));
  } catch (error) {
    releaseAfter(error, () => removeFile(beside));
  }
  return content.state.epoch;
}

function versionIn(config: string): number {
  return decodeConfig(Uint8Array.fromHex(config)).version;
}
