/**
 * A file that appears under its path complete and durable, or not at all. It is written without a name, or under a
 * temporary name beside the path, then synced, then linked to the path. It never replaces another file.
 */

import * as fs from "node:fs";
import { constants } from "node:os";
import { dirname } from "node:path";
import { StorageError } from "../error.ts";
import { AT_FDCWD, AT_SYMLINK_FOLLOW, O_TMPFILE, RENAME_NOREPLACE, SYS_renameat2 } from "./constants.ts";
import { fsError, libcError, systemError, withFsErrors } from "./errno.ts";
import { fsyncLater } from "./event-loop.ts";
import { checkFileSizeLimit, checkProgress, closeFile } from "./file.ts";
import { avoidCopyOnWrite } from "./filesystem.ts";
import { cString, libc } from "./libc.ts";
import { releaseAfter } from "./release.ts";

const { EEXIST, EINVAL, EISDIR, ENOSYS, EOPNOTSUPP, EPERM } = constants.errno;
const linux: boolean = process.platform === "linux";
const NEW_FILE_MODE = 0o644;

/** Call `place`, `placeSync` or `discard` last. The descriptor stays open until the caller closes it. */
export class NewFile {
  readonly fd: number;
  readonly #path: string;
  /** The temporary name of the file until it is placed; null if it has no name. */
  readonly #temporaryPath: string | null;

  private constructor(fd: number, path: string, temporaryPath: string | null) {
    this.fd = fd;
    this.#path = path;
    this.#temporaryPath = temporaryPath;
  }

  /**
   * Creates an empty file for `path` without a name if the system has such files, so that a kill leaves nothing. Its
   * open descriptor never shows the path, so use it for files that are closed when they are complete.
   * @param permissions the mode bits that the file may have at most
   * @throws ALREADY_EXISTS `path` exists; DISK_FULL `sizeBytes` is past the process's file size limit; SYSTEM
   */
  static unnamed(path: string, sizeBytes: number, permissions: number): NewFile {
    checkFree(path);
    checkFileSizeLimit(sizeBytes, path);
    const fd = openUnnamed(path);
    return (fd === null ? NewFile.#beside(path) : new NewFile(fd, path, null)).#prepared(permissions);
  }

  /**
   * Creates an empty file under the name `.cellar-PID-RANDOM.new` beside `path`. A kill leaves this file. Once it is
   * placed, its open descriptor shows the path, for example in `lsof`.
   * @throws ALREADY_EXISTS `path` exists; SYSTEM
   */
  static named(path: string): NewFile {
    checkFree(path);
    return NewFile.#beside(path).#prepared();
  }

  /** A path by which this process can open the file until it is placed. */
  get openPath(): string {
    return this.#temporaryPath ?? `/proc/self/fd/${this.fd}`;
  }

  static #beside(path: string): NewFile {
    // Do not normalize it: a part of the path may be a link, and `..` is the parent of the link's target.
    const temporaryPath = `${dirname(path)}/.cellar-${process.pid}-${randomName()}.new`;
    const flags = fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_EXCL;
    const fd = withFsErrors(path, () => fs.openSync(temporaryPath, flags, NEW_FILE_MODE));
    return new NewFile(fd, path, temporaryPath);
  }

  /** Writes all of `bytes`. @throws DISK_FULL, SYSTEM (as a rejection, as in the methods below) */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const left = bytes.length - done;
      const written = await later(this.#path, () => writeLater(this.fd, bytes, done, left, position + done));
      done += checkProgress(written, this.#path);
    }
  }

  /** Resolves when all written data and the size are on the disk. */
  async sync(): Promise<void> {
    await later(this.#path, () => fsyncLater(this.fd));
  }

  /**
   * Links the file to its path and makes the path durable.
   * @throws ALREADY_EXISTS; UNSUPPORTED the file system cannot name a file without replacing another; SYSTEM
   */
  async place(): Promise<void> {
    this.#name();
    const directory = dirname(this.#path);
    try {
      const fd = withFsErrors(directory, () => fs.openSync(directory, fs.constants.O_RDONLY));
      await later(directory, () => fsyncLater(fd)).finally(() => closeFile(fd, directory));
    } catch (error) {
      this.#unname(error);
    }
  }

  /** Does the same, blocking. */
  placeSync(): void {
    this.#name();
    try {
      syncDirectory(dirname(this.#path));
    } catch (error) {
      this.#unname(error);
    }
  }

  /** Removes a file that was not placed. */
  discard(): void {
    if (this.#temporaryPath !== null) removeFile(this.#temporaryPath);
  }

  close(): void {
    closeFile(this.fd, this.#path);
  }

  /** Sets the attributes of the new file, and returns it. An error removes the file. */
  #prepared(permissions?: number): this {
    try {
      avoidCopyOnWrite(this.fd, dirname(this.#path));
      if (permissions === undefined) return this;
      const { mode } = withFsErrors(this.#path, () => fs.fstatSync(this.fd));
      withFsErrors(this.#path, () => fs.fchmodSync(this.fd, mode & permissions));
      return this;
    } catch (error) {
      const close = (): void => this.close();
      releaseAfter(error, () => this.discard(), close);
    }
  }

  #name(): void {
    const from = this.#temporaryPath;
    if (from === null) linkDescriptor(this.fd, this.#path);
    else if (!renameWithoutReplacing(from, this.#path)) linkAndRemove(from, this.#path);
  }

  /** Removes the path again if it could not be made durable: a path that a power cut may remove is worse than none. */
  #unname(error: unknown): never {
    releaseAfter(error, () => removeFile(this.#path));
  }
}

/** @throws ALREADY_EXISTS early, before disk space is used */
function checkFree(path: string): void {
  const taken = withFsErrors(path, () => fs.lstatSync(path, { throwIfNoEntry: false }) !== undefined);
  if (taken) throw systemError(EEXIST, "open", path);
}

/**
 * Opens a file without a name in the directory of `path`. Returns null if the system or the file system has no such
 * files.
 */
function openUnnamed(path: string): number | null {
  // Without /proc such a file could not be linked to a name later.
  if (!linux || !fs.existsSync("/proc/self/fd")) return null;
  try {
    return withFsErrors(path, () => fs.openSync(dirname(path), fs.constants.O_RDWR | O_TMPFILE, NEW_FILE_MODE));
  } catch (error) {
    const isMissing = error instanceof StorageError && [EOPNOTSUPP, EISDIR, EINVAL, ENOSYS].includes(error.errno ?? 0);
    if (isMissing) return null;
    throw error;
  }
}

/** Links an open file without a name to a path. @throws ALREADY_EXISTS, SYSTEM */
function linkDescriptor(fd: number, path: string): void {
  const from = cString(`/proc/self/fd/${fd}`);
  if (libc().linkat(AT_FDCWD, from, AT_FDCWD, cString(path), AT_SYMLINK_FOLLOW) !== 0) throw libcError("linkat", path);
}

/** @returns false if the system or the file system cannot. @throws ALREADY_EXISTS, SYSTEM */
function renameWithoutReplacing(from: string, path: string): boolean {
  if (!linux) return false;
  if (libc().syscall(SYS_renameat2, AT_FDCWD, cString(from), AT_FDCWD, cString(path), RENAME_NOREPLACE) === 0)
    return true;
  const error = libcError("renameat2", path);
  if (error.errno === EINVAL || error.errno === ENOSYS || error.errno === EOPNOTSUPP) return false;
  throw error;
}

/**
 * Does the same by a hard link. @throws ALREADY_EXISTS, SYSTEM; UNSUPPORTED the file system has no hard links either
 */
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

function writeLater(fd: number, bytes: Uint8Array, offset: number, count: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, bytes, offset, count, position, (error, written) => (error ? reject(error) : resolve(written)));
  });
}
