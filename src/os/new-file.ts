/**
 * A file that is written beside its place, and gets its name when it is complete and durable: the counterpart of
 * `createBeside` and `linkIntoPlace` that leaves the event loop free. Descriptors are closed when no call uses them.
 */

import * as fs from "node:fs";
import { dirname } from "node:path";
import { fsError, withFsErrors } from "./errno.ts";
import { checkFileSizeLimit, closeFile, createBeside, removeFile } from "./file.ts";
import { fsyncLater } from "./event-loop.ts";
import { checkProgress } from "./file.ts";
import { releaseAfter, releaseAll } from "./release.ts";

type Write = (fd: number, bytes: Uint8Array, offset: number, lengthBytes: number, position: number) => Promise<number>;

const write: Write = (fd, bytes, offset, lengthBytes, position) =>
  new Promise((resolve, reject) => {
    fs.write(fd, bytes, offset, lengthBytes, position, (error, written) => (error ? reject(error) : resolve(written)));
  });

/** A file without its name. It ends with `place` or with `discard`; a kill leaves its other name. */
export class NewFile {
  readonly #fd: number;
  readonly #path: string;
  readonly #temporaryPath: string;
  #closed = false;

  private constructor(fd: number, path: string, temporaryPath: string) {
    this.#fd = fd;
    this.#path = path;
    this.#temporaryPath = temporaryPath;
  }

  /**
   * An empty file beside `path`, with at most the given permissions.
   * @throws ALREADY_EXISTS; DISK_FULL `sizeBytes` is past the limit of the process; SYSTEM
   */
  static create(path: string, sizeBytes: number, permissions: number): NewFile {
    checkFileSizeLimit(sizeBytes, path);
    const { fd, temporaryPath } = createBeside(path);
    const file = new NewFile(fd, path, temporaryPath);
    try {
      const { mode } = withFsErrors(path, () => fs.fstatSync(fd));
      withFsErrors(path, () => fs.fchmodSync(fd, mode & permissions));
      return file;
    } catch (error) {
      releaseAfter(error, () => file.discard());
    }
  }

  /** Writes all of `bytes`. @throws DISK_FULL, SYSTEM (as rejections, as those below) */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const left = bytes.length - done;
      const written = await this.#later(this.#path, () => write(this.#fd, bytes, done, left, position + done));
      done += checkProgress(written, this.#path);
    }
  }

  /** Returns when everything written, and the size, is on the disk. */
  async sync(): Promise<void> {
    await this.#later(this.#path, () => fsyncLater(this.#fd));
  }

  /**
   * Gives the file its name, never over another file's, and makes the name durable.
   * @throws ALREADY_EXISTS
   */
  async place(): Promise<void> {
    withFsErrors(this.#path, () => fs.linkSync(this.#temporaryPath, this.#path));
    try {
      removeFile(this.#temporaryPath);
      await this.#syncDirectory();
      this.#close();
    } catch (error) {
      // A name that a power cut may take away again is worse than none.
      releaseAfter(error, () => removeFile(this.#path));
    }
  }

  /** Leaves nothing. */
  discard(): void {
    releaseAll(
      () => this.#close(),
      () => removeFile(this.#temporaryPath),
    );
  }

  /** Once: the number may be another file's afterwards. */
  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeFile(this.#fd, this.#path);
  }

  async #syncDirectory(): Promise<void> {
    const directory = dirname(this.#path);
    const fd = withFsErrors(directory, () => fs.openSync(directory, fs.constants.O_RDONLY));
    try {
      await this.#later(directory, () => fsyncLater(fd));
    } finally {
      closeFile(fd, directory);
    }
  }

  async #later<T>(path: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (thrown) {
      throw fsError(thrown, path);
    }
  }
}
