/** Opens files as storages. Everything is checked by `pread` before a file is mapped. */

import { RESTORE, StorageError, withoutPath } from "../error.ts";
import { decodeArea, diskCopies, processCopies } from "../format/area.ts";
import { type CheckedConfig, checkConfig, checkExpected, type StorageConfig } from "../format/config.ts";
import { HEADER_AREA_BYTES, startIndexOf } from "../format/layout.ts";
import { closeFile, growFile, identityOf, openFile, readStart, sizeOf, syncFile } from "../os/file.ts";
import { WriterLock, writerPresence } from "../os/lock.ts";
import { NewFile } from "../os/new-file.ts";
import { releaseAfter } from "../os/release.ts";
import type { OpenFile } from "../region/file-memory.ts";
import { FileRegion } from "../region/file.ts";
import { ReadOnlyFileRegion } from "../region/read-only-file.ts";

/** How often an opening starts over because another file was moved to the path. */
const MAX_REOPENINGS = 16;

interface OpenedFile<Region> {
  readonly region: Region;
  readonly config: CheckedConfig;
}

/**
 * Opens an existing file for writing. Locks the file before reading it, so that its content cannot change.
 * @param config the config to use if that of the file is damaged
 * @throws NO_SUCH_FILE, WRITER_LOCKED, NOT_A_STORAGE, INVALID_CONFIG, CONFIG_MISMATCH, FILE_CUT, SYSTEM
 */
export function openWriterFile(
  path: string,
  expect: Partial<StorageConfig>,
  lockTimeoutMs: number,
  config?: CheckedConfig,
): OpenedFile<FileRegion> {
  const deadline = performance.now() + lockTimeoutMs;
  for (let opening = 0; opening < MAX_REOPENINGS; opening++) {
    const fd = openFile(path, "write");
    try {
      const timeoutMs = Math.max(0, deadline - performance.now());
      const lock = WriterLock.acquire({ fd, path, timeoutMs, holderProcessId: () => writerProcessId(fd, path) });
      if (lock !== null) {
        const opened = releasing(lock, () => openLocked(fd, path, lock, () => config ?? configOf(fd, path, expect)));
        if (opened !== null) return opened;
        lock.release();
      }
    } catch (error) {
      releaseAfter(error, () => closeFile(fd, path));
    }
    closeFile(fd, path);
  }
  throw new StorageError("WRITER_LOCKED", `${path}: the file is being replaced again and again: try later`, { path });
}

/** Returns null if the file was replaced before it was locked. */
function openLocked(
  fd: number,
  path: string,
  lock: WriterLock,
  configOfFile: () => CheckedConfig,
): OpenedFile<FileRegion> | null {
  if (identityOf(path) !== identityOf(fd)) return null;
  const config = configOfFile();
  return { config, region: new FileRegion(openFileOf(fd, path, sizeOf(fd, path), config), lock) };
}

/**
 * Opens an existing file for reading. A read-only descriptor is enough, and nothing is changed.
 * @throws NO_SUCH_FILE, NOT_A_STORAGE, INVALID_CONFIG, CONFIG_MISMATCH, FILE_CUT, SYSTEM
 */
export function openReaderFile(path: string, expect: Partial<StorageConfig>): OpenedFile<ReadOnlyFileRegion> {
  const fd = openFile(path, "read");
  try {
    const config = configOf(fd, path, expect);
    return { config, region: new ReadOnlyFileRegion(openFileOf(fd, path, sizeOf(fd, path), config)) };
  } catch (error) {
    releaseAfter(error, () => closeFile(fd, path));
  }
}

/**
 * Creates a file that appears complete under its name, or not at all. Calls `fill`, which writes it under a temporary
 * name, and returns the result. A kill leaves at most the file with the temporary name, which is never opened.
 * @param path as the caller gave it; `place` is its target, which differs for a symbolic link
 * @throws ALREADY_EXISTS, DISK_FULL, SYSTEM
 */
export function createWriterFile<T>(
  path: string,
  place: string,
  config: CheckedConfig,
  cells: number,
  fill: (region: FileRegion) => T,
): T {
  const file = NewFile.named(place);
  let region: FileRegion | undefined;
  try {
    const { fd } = file;
    const sizeBytes = cells * config.bytesPerCell;
    growFile(fd, 0, sizeBytes, path);
    const lock = lockNew(fd, path);
    region = releasing(lock, () => new FileRegion(openFileOf(fd, path, sizeBytes, config), lock, file.openPath));
    const filled = fill(region);
    // Sync the size too before the file gets its name.
    syncFile(fd, path);
    file.placeSync();
    return filled;
  } catch (error) {
    const close = (): void => (region === undefined ? file.close() : region.close());
    releaseAfter(error, () => file.discard(), close);
  }
}

/** Locks a file that no other process has opened yet. */
function lockNew(fd: number, path: string): WriterLock {
  const lock = WriterLock.acquire({ fd, path, timeoutMs: 0, holderProcessId: () => 0 });
  if (lock === null)
    throw new StorageError("WRITER_LOCKED", `${path}: another process has locked the new file: try again`, { path });
  return lock;
}

/** Runs `open`, and releases the lock if it throws. */
function releasing<T>(lock: WriterLock, open: () => T): T {
  try {
    return open();
  } catch (error) {
    releaseAfter(error, () => lock.release());
  }
}

function openFileOf(fd: number, path: string, sizeBytes: number, config: CheckedConfig): OpenFile {
  const maxBytes = Math.max(HEADER_AREA_BYTES, config.maxIndex * config.bytesPerCell);
  return { fd, path, sizeBytes, maxBytes, headerBytes: HEADER_AREA_BYTES };
}

/** Returns the file's config, checked, and compared with what the caller expects. */
function configOf(fd: number, path: string, expect: Partial<StorageConfig>): CheckedConfig {
  const area = readStart(fd, HEADER_AREA_BYTES, path);
  const config = checkedConfig(area, path);
  checkExpected(path, config, expect, "the file has", "open another file, or change what is expected");
  if (startIndexOf(config.bytesPerCell) * config.bytesPerCell > sizeOf(fd, path)) {
    throw new StorageError("FILE_CUT", `${path}: the file ends before its first cell: ${RESTORE}`, { path });
  }
  return config;
}

/**
 * Returns the config in a header area, checked.
 * @throws NOT_A_STORAGE, INVALID_CONFIG
 */
export function checkedConfig(bytes: Uint8Array, path: string): CheckedConfig {
  if (bytes.length < HEADER_AREA_BYTES) {
    const what =
      bytes.length === 0 ? "the file is empty" : `the file has ${bytes.length} bytes, a storage at least 256`;
    const message = `${path}: ${what}: check the path; if this was a storage, ${RESTORE}`;
    throw new StorageError("NOT_A_STORAGE", message, { path });
  }
  const area = decodeArea(bytes);
  // If the config is wrong, a header with a correct hash tells a damaged storage from a foreign file.
  const hasHeader = [...diskCopies, ...processCopies].some((name) => area.copy(name) !== null);
  if (area.annexHead?.isConfigIntact === false) {
    throw damagedConfig("head string, cell size or max index differ from those at creation", path);
  }
  try {
    return checkConfig(area.config, path);
  } catch (cause) {
    if (hasHeader && cause instanceof StorageError) throw damagedConfig(withoutPath(cause), path);
    const message = `${path}: not a storage of Cellar or Plebeia: check the path; if this was a storage, its first bytes are lost: ${RESTORE}`;
    throw new StorageError("NOT_A_STORAGE", message, { path, cause });
  }
}

function damagedConfig(what: string, path: string): StorageError {
  const message = `${path}: the config is damaged (${what}): see what cellar recover can do, or ${RESTORE}`;
  return new StorageError("INVALID_CONFIG", message, { path });
}

/**
 * Returns the process id of the file's writer, or 0 if it is unknown: until a writer has finished opening, the annex
 * names the previous writer.
 */
function writerProcessId(fd: number, path: string): number {
  const presence = writerPresence(fd, path);
  if (presence === "opening" || presence === "none") return 0;
  const area = readStart(fd, HEADER_AREA_BYTES, path);
  return area.length < HEADER_AREA_BYTES ? 0 : (decodeArea(area).annexHead?.processId ?? 0);
}
