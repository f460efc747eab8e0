/** Hot backups: one state of a storage as a new file, while its writer goes on. */

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
import type { Measured, ReadableRegion } from "./region/region.ts";
import { type StorageState, stateOf } from "./state.ts";
import type { Cells } from "./cells/cells.ts";
import { loadArea } from "./state/choose-state.ts";
import type { Snapshot } from "./state/snapshot.ts";

/** How to copy. */
export interface CopyOptions {
  /** Cancels the copy, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called at the beginning and after every MiB or less; what it throws ends the copy. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined;
  /** Go on although the copy is on NFS, SMB, 9p or FUSE, where a sync may not sync. Default false. */
  readonly allowUnsafeFilesystem?: boolean | undefined;
}

/** How far a copy has come. */
export interface CopyProgress {
  readonly copiedBytes: number;
  readonly totalBytes: number;
}

/** A storage that is open, and the state of it that is copied. */
export interface CopySource {
  readonly region: Pick<ReadableRegion, "address"> & Measured;
  readonly config: CheckedConfig;
  readonly cells: Cells;
  readonly snapshot: Snapshot;
}

/** One step: what the event loop waits for is the copy of this into a buffer, some 0.1 ms when it is in memory. */
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
  // Absolute, for the process may go to another directory meanwhile. Not normalized: see `creationPath`.
  const place = isAbsolute(path) ? path : `${process.cwd()}/${path}`;
  const file = NewFile.unnamed(place, totalBytes, source.region.stat().permissions);
  try {
    for await (const copiedBytes of copyCells(source, file, totalBytes)) {
      signal?.throwIfAborted();
      onProgress?.({ copiedBytes, totalBytes });
      signal?.throwIfAborted();
    }
    // Headers last: what a kill leaves before is no storage.
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

/** Copies the cells piece by piece; yields the bytes of the file that are there. */
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
    // Before the cells are touched: a file that was cut has no page there.
    snapshot.check();
    snapshot.checkTrust();
    // Page faults would hold up the event loop, and read page by page.
    ahead.before(region.address, offset);
    const piece = buffer.subarray(0, Math.min(PIECE_BYTES, endBytes - offset));
    // The storage may have been mapped anew since the last piece.
    libc().memcpy(piece, region.address + offset, piece.length);
    await file.write(piece, offset);
    // Writes into the page cache are done before Bun looks at anything else.
    await yieldToEventLoop();
    offset += piece.length;
    yield offset;
  }
}

/** Everything before the first cell; as long as that, so that a storage of no cells has its size too. */
function headerOf({ region, config, cells, snapshot }: CopySource): Uint8Array {
  cells.checkOpen();
  // That of the file: a reader shows the one of its last refresh.
  const { version } = loadArea(region).config;
  // After the last cell was copied: all of them were still those of the state.
  snapshot.check();
  snapshot.checkTrust();
  const bytes = new Uint8Array(cells.startIndex * cells.bytesPerCell);
  bytes.set(encodeArea({ ...config, version }, snapshot.header, makeWriterKey()));
  return bytes;
}
