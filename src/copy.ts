/** Hot backups: copies one state of a storage to a new file, while its writer continues. */

import { dirname, isAbsolute } from "node:path";
import { wrongType } from "./error.ts";
import { encodeArea } from "./format/area.ts";
import type { CheckedConfig } from "./format/config.ts";
import { makeWriterKey } from "./key.ts";
import { checkOptions, signalFrom } from "./options.ts";
import { pathFrom } from "./os/file.ts";
import { checkFilesystem } from "./os/filesystem.ts";
import { libc } from "./os/libc.ts";
import { SequentialReadAhead } from "./os/mapping.ts";
import { NewFile } from "./os/new-file.ts";
import { releaseAfter } from "./os/release.ts";
import { yieldToEventLoop } from "./os/event-loop.ts";
import type { Addressed, Measured } from "./region/region.ts";
import type { Cells } from "./cells/cells.ts";
import { loadArea } from "./state/choose-state.ts";
import { type Snapshot, type StorageState, stateOf } from "./state/snapshot.ts";

/** Options of `copyTo`. */
export interface CopyOptions {
  /** Cancels the copy, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called at the beginning and after each piece of at most 1 MiB. If it throws, the copy ends with that error. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined;
  /** Allows a copy on NFS, SMB, 9p or FUSE, where a sync may not reach the disk. Default false. */
  readonly allowUnsafeFilesystem?: boolean | undefined;
}

/** The progress of a copy. */
export interface CopyProgress {
  readonly copiedBytes: number;
  readonly totalBytes: number;
}

/** An open storage, and the state to copy. */
export interface CopySource {
  readonly region: Addressed & Measured;
  readonly config: CheckedConfig;
  readonly cells: Cells;
  readonly snapshot: Snapshot;
}

/**
 * The bytes of one step. The copy of a piece into a buffer blocks the event loop, for about 0.1 ms if it is in memory.
 */
const PIECE_BYTES = 1024 * 1024;

/**
 * Copies a state to a new file, which appears complete and durable, or not at all.
 * @throws as `Storage.copyTo`, as rejections
 */
export async function copyStorage(
  source: CopySource,
  target: string | URL,
  options: CopyOptions,
): Promise<StorageState> {
  checkOptions(options);
  const { signal, onProgress } = options;
  signalFrom(signal)?.throwIfAborted();
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw wrongType("onProgress", "a function", onProgress);
  }
  const path = pathFrom(target);
  if (!options.allowUnsafeFilesystem) checkFilesystem(dirname(path), path);
  const { header } = source.snapshot;
  const totalBytes = header.next * source.cells.bytesPerCell;
  source.cells.checkOpen();
  // Make the path absolute, because the process may change its directory during the copy. Do not normalize it: see
  // `creationPath`.
  const place = isAbsolute(path) ? path : `${process.cwd()}/${path}`;
  const file = NewFile.unnamed(place, totalBytes, source.region.stat().permissions);
  try {
    for await (const copiedBytes of copyCells(source, file, totalBytes)) {
      signal?.throwIfAborted();
      onProgress?.({ copiedBytes, totalBytes });
      signal?.throwIfAborted();
    }
    // Write the headers last: the file that an earlier kill leaves is then not a storage.
    await file.write(headerOf(source), 0);
    await file.sync();
    signal?.throwIfAborted();
    await file.place();
  } catch (error) {
    releaseAfter(error, () => file.discard());
  } finally {
    file.close();
  }
  return stateOf(header);
}

/** Copies the cells piece by piece. Yields how many bytes of the file are complete. */
async function* copyCells(
  { region, cells, snapshot }: CopySource,
  file: NewFile,
  endBytes: number,
): AsyncGenerator<number> {
  const startBytes = cells.startIndex * cells.bytesPerCell;
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, endBytes - startBytes));
  const ahead = new SequentialReadAhead(startBytes, endBytes);
  yield startBytes;
  for (let offset = startBytes; offset < endBytes;) {
    cells.checkOpen();
    // Check before touching the cells: a cut file has no page there.
    snapshot.check();
    snapshot.checkTrust();
    // Read ahead: a page fault blocks the event loop, and reads only one page.
    ahead.before(region.address, offset);
    const piece = buffer.subarray(0, Math.min(PIECE_BYTES, endBytes - offset));
    // Read the address again for each piece: the storage may have been mapped again since.
    libc().memcpy(piece, region.address + offset, piece.length);
    await file.write(piece, offset);
    // Yield: writes into the page cache complete before Bun runs other work.
    await yieldToEventLoop();
    offset += piece.length;
    yield offset;
  }
}

/** Returns all bytes before the first cell, so that the copy of an empty storage has the right size. */
function headerOf({ region, config, cells, snapshot }: CopySource): Uint8Array {
  cells.checkOpen();
  // Take the version from the file, because that of a reader may be old.
  const { version } = loadArea(region).config;
  // Check after the last cell was copied, which proves that all cells belonged to the state.
  snapshot.check();
  snapshot.checkTrust();
  const bytes = new Uint8Array(cells.startIndex * cells.bytesPerCell);
  bytes.set(encodeArea({ ...config, version }, snapshot.header, makeWriterKey()));
  return bytes;
}
