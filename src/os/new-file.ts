/**
 * A file that appears under its path complete and durable, or not at all. It is written without a name, or under a
 * name of its own beside the path, then synced, then given the path, which never replaces another file.
 */

import * as fs from "node:fs";
import { dirname } from "node:path";
import { StorageError } from "../error.ts";
import { AT_FDCWD, AT_SYMLINK_FOLLOW, O_TMPFILE, RENAME_NOREPLACE, SYS_renameat2 } from "./constants.ts";
import {
  EEXIST,
  EINVAL,
  EISDIR,
  ENOSYS,
  EOPNOTSUPP,
  EPERM,
  fsError,
  libcError,
  systemError,
  withFsErrors,
} from "./errno.ts";
import { fsyncLater } from "./event-loop.ts";
import { checkFileSizeLimit, checkProgress, closeFile } from "./file.ts";
import { avoidCopyOnWrite } from "./filesystem.ts";
import { cString, libc } from "./libc.ts";
import { releaseAfter } from "./release.ts";

const linux: boolean = process.platform === "linux";
const NEW_FILE_MODE = 0o644;

type Write = (fd: number, bytes: Uint8Array, offset: number, lengthBytes: number, position: number) => Promise<number>;

const write: Write = (fd, bytes, offset, lengthBytes, position) =>
  new Promise((resolve, reject) => {
    fs.write(fd, bytes, offset, lengthBytes, position, (error, written) => (error ? reject(error) : resolve(written)));
  });

/** It ends with `place` or `placeSync`, or with `discard`. Its descriptor is open until the caller closes it. */
export class NewFile {
  readonly fd: number;
  readonly #path: string;
  /** The name that the file has until it is placed; null for one without a name. */
  readonly #temporaryPath: string | null;

  private constructor(fd: number, path: string, temporaryPath: string | null) {
    this.fd = fd;
    this.#path = path;
    this.#temporaryPath = temporaryPath;
  }

  /**
   * An empty file for `path` without a name, where the system has such files: a kill leaves nothing. Its open
   * descriptor never shows the path, so it is for files that are closed when they are complete.
   * @param permissions the most that the file may have
   * @throws ALREADY_EXISTS there is something at `path`; DISK_FULL `sizeBytes` is past the limit of the process; SYSTEM
   */
  static unnamed(path: string, sizeBytes: number, permissions: number): NewFile {
    checkFree(path);
    checkFileSizeLimit(sizeBytes, path);
    const fd = openUnnamed(path);
    const file = fd === null ? NewFile.#beside(path) : new NewFile(fd, path, null);
    try {
      avoidCopyOnWrite(file.fd, dirname(path));
      const { mode } = withFsErrors(path, () => fs.fstatSync(file.fd));
      withFsErrors(path, () => fs.fchmodSync(file.fd, mode & permissions));
      return file;
    } catch (error) {
      return file.#abandon(error);
    }
  }

  /**
   * An empty file under the name `.cellar-PID-RANDOM.new` beside `path`, which a kill leaves there. Once placed, its
   * open descriptor shows the path, in `lsof` for example.
   * @throws ALREADY_EXISTS there is something at `path`; SYSTEM
   */
  static named(path: string): NewFile {
    checkFree(path);
    const file = NewFile.#beside(path);
    try {
      avoidCopyOnWrite(file.fd, dirname(path));
      return file;
    } catch (error) {
      return file.#abandon(error);
    }
  }

  /** A path by which this process can open the file until it is placed. */
  get openPath(): string {
    return this.#temporaryPath ?? `/proc/self/fd/${this.fd}`;
  }

  static #beside(path: string): NewFile {
    // Not normalized: a part of the path may be a link, and `..` means the parent of what it points to.
    const temporaryPath = `${dirname(path)}/.cellar-${process.pid}-${randomName()}.new`;
    const flags = fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL;
    const fd = withFsErrors(path, () => fs.openSync(temporaryPath, flags, NEW_FILE_MODE));
    return new NewFile(fd, path, temporaryPath);
  }

  /** Writes all of `bytes`. @throws DISK_FULL, SYSTEM (as rejections, as those below) */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const left = bytes.length - done;
      const written = await later(this.#path, () => write(this.fd, bytes, done, left, position + done));
      done += checkProgress(written, this.#path);
    }
  }

  /** Returns when everything written, and the size, is on the disk. */
  async sync(): Promise<void> {
    await later(this.#path, () => fsyncLater(this.fd));
  }

  /**
   * Gives the file its path and makes the path durable.
   * @throws ALREADY_EXISTS; UNSUPPORTED the file system cannot name a file without replacing another; SYSTEM
   */
  async place(): Promise<void> {
    this.#name();
    try {
      const directory = dirname(this.#path);
      const fd = withFsErrors(directory, () => fs.openSync(directory, fs.constants.O_RDONLY));
      try {
        await later(directory, () => fsyncLater(fd));
      } finally {
        closeFile(fd, directory);
      }
    } catch (error) {
      this.#unname(error);
    }
  }

  /** The same, blocking. */
  placeSync(): void {
    this.#name();
    try {
      syncDirectory(dirname(this.#path));
    } catch (error) {
      this.#unname(error);
    }
  }

  /** Leaves nothing on the disk: for a file that was not placed. */
  discard(): void {
    if (this.#temporaryPath !== null) removeFile(this.#temporaryPath);
  }

  close(): void {
    closeFile(this.fd, this.#path);
  }

  #abandon(error: unknown): never {
    releaseAfter(
      error,
      () => this.discard(),
      () => this.close(),
    );
  }

  #name(): void {
    const from = this.#temporaryPath;
    if (from === null) linkDescriptor(this.fd, this.#path);
    else if (!renameWithoutReplacing(from, this.#path)) linkAndRemove(from, this.#path);
  }

  /** A path that a power cut may take away again is worse than none. */
  #unname(error: unknown): never {
    releaseAfter(error, () => removeFile(this.#path));
  }
}

/** @throws ALREADY_EXISTS: told early, before any space is taken */
function checkFree(path: string): void {
  const taken = withFsErrors(path, () => fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined);
  if (taken) throw systemError(EEXIST, "open", path);
}

/** A file without a name in the directory of `path`; null where the system or the file system has none. */
function openUnnamed(path: string): number | null {
  // Without /proc such a file could not be given a name later.
  if (!linux || !fs.existsSync("/proc/self/fd")) return null;
  try {
    return withFsErrors(path, () => fs.openSync(dirname(path), fs.constants.O_RDWR | O_TMPFILE, NEW_FILE_MODE));
  } catch (error) {
    const isMissing = error instanceof StorageError && [EOPNOTSUPP, EISDIR, EINVAL, ENOSYS].includes(error.errno ?? 0);
    if (isMissing) return null;
    throw error;
  }
}

/** Gives an open file without a name a path. @throws ALREADY_EXISTS, SYSTEM */
function linkDescriptor(fd: number, path: string): void {
  const from = cString(`/proc/self/fd/${fd}`);
  if (libc().linkat(AT_FDCWD, from, AT_FDCWD, cString(path), AT_SYMLINK_FOLLOW) !== 0) throw libcError("linkat", path);
}

/** @returns false where the system or the file system cannot. @throws ALREADY_EXISTS, SYSTEM */
function renameWithoutReplacing(from: string, path: string): boolean {
  if (!linux) return false;
  if (libc().syscall(SYS_renameat2, AT_FDCWD, cString(from), AT_FDCWD, cString(path), RENAME_NOREPLACE) === 0)
    return true;
  const error = libcError("renameat2", path);
  if (error.errno === EINVAL || error.errno === ENOSYS || error.errno === EOPNOTSUPP) return false;
  throw error;
}

/** The same by a hard link. @throws ALREADY_EXISTS, SYSTEM; UNSUPPORTED the file system has no hard links either */
function linkAndRemove(from: string, path: string): void {
  try {
    fs.linkSync(from, path);
  } catch (thrown) {
    const error = fsError(thrown, path);
    const isMissing = error instanceof StorageError && [EPERM, EOPNOTSUPP, ENOSYS].includes(error.errno ?? 0);
    if (!isMissing) throw error;
    const message = `${path}: this file system can neither rename without replacing nor link, so a complete file cannot be put in its place: use another file system`;
    throw new StorageError("UNSUPPORTED", message, { path, errno: error.errno, syscall: "link", cause: error });
  }
  try {
    removeFile(from);
  } catch (error) {
    releaseAfter(error, () => removeFile(path));
  }
}

/** Makes the names in a directory durable. */
export function syncDirectory(directory: string): void {
  withFsErrors(directory, () => {
    const fd = fs.openSync(directory, fs.constants.O_RDONLY);
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  });
}

export function removeFile(path: string): void {
  withFsErrors(path, () => fs.rmSync(path, { force: true }));
}

function randomName(): string {
  return crypto.getRandomValues(new Uint8Array(8)).toHex();
}

async function later<T>(path: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (thrown) {
    throw fsError(thrown, path);
  }
}
