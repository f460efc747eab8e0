/** The file operations of the folder store, and its errors for errors of the system. */

import * as fs from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { type ErrorCode, StorageError } from "../../error.ts";
import { fsError } from "../../os/errno.ts";
import type { Slots } from "../../os/event-loop.ts";
import { checkObjectSize } from "./store.ts";

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
const DAY_MS = 24 * 60 * 60 * 1000;

type Errno = keyof typeof constants.errno;

/** The errors of link(2) on file systems without hard links: vfat, exfat, some FUSE and network file systems. */
const NO_LINKS: readonly Errno[] = ["EPERM", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EXDEV", "EMLINK"];
/** The errors that do not go away by themselves. After any other error, even a full disk, the call can be retried. */
const REFUSALS: readonly Errno[] = ["EACCES", "EPERM", "EROFS", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "EINVAL"];

function isErrno(thrown: unknown, names: readonly Errno[]): boolean {
  const { errno } = thrown as Partial<NodeJS.ErrnoException>;
  return errno !== undefined && names.some((name) => constants.errno[name] === Math.abs(errno));
}

/** Returns the result of a call, or null if it failed with one of these errors. */
export async function nullOn<T>(names: readonly Errno[], call: Promise<T>): Promise<T | null> {
  try {
    return await call;
  } catch (thrown) {
    if (isErrno(thrown, names)) return null;
    throw thrown;
  }
}

/** The store's error for an error of a system call. */
export function folderError(thrown: unknown, path: string): unknown {
  const error = fsError(thrown, path);
  if (!(error instanceof StorageError) || error === thrown) return error;
  const { message, errno, syscall } = error;
  const code: ErrorCode = isErrno(error, REFUSALS) ? "STORE_REFUSED" : "STORE_UNREACHABLE";
  return new StorageError(code, message, { path, errno, syscall, cause: thrown });
}

/** Reads the bytes of a file, or its first bytes; null if it does not exist. @throws REPLICA_CORRUPT, STORE_REFUSED */
export async function readObject(
  path: string,
  what: string,
  firstBytes: number = Infinity,
): Promise<Uint8Array<ArrayBuffer> | null> {
  const file = await nullOn(["ENOENT"], fs.promises.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  if (file === null) return null;
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new StorageError("STORE_REFUSED", `${what}: not a regular file: remove it`, { path });
    const lengthBytes = checkObjectSize(Math.min(stat.size, firstBytes), what);
    // Do not zero the memory first: for a block that would block the event loop for some ten milliseconds.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(lengthBytes).buffer);
    for (let done = 0; done < lengthBytes;) {
      const { bytesRead } = await file.read(bytes, done, lengthBytes - done, done);
      if (bytesRead === 0) return bytes.subarray(0, done);
      done += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/**
 * Creates a new file in a folder under a temporary name, and syncs the bytes. A call that `ended` while it waited for
 * its sync removes the file: on a slow disk that sync would delay those of the next calls.
 */
export async function writeTemporary(
  folder: string,
  bytes: Uint8Array,
  syncs: Slots,
  ended: AbortSignal,
): Promise<string> {
  const path = join(folder, `${process.pid}-${crypto.getRandomValues(new Uint8Array(8)).toHex()}`);
  const file = await fs.promises.open(path, O_WRONLY | O_CREAT | O_EXCL, 0o644);
  try {
    try {
      await file.writeFile(bytes);
      await syncs.run(async () => {
        ended.throwIfAborted();
        await file.sync();
      });
    } finally {
      await file.close();
    }
    return path;
  } catch (error) {
    await fs.promises.rm(path, { force: true });
    throw error;
  }
}

/** Links a file to its name, if that is free. @throws FENCING_UNSUPPORTED */
export async function linkOnce(temporaryPath: string, path: string): Promise<"created" | "exists"> {
  try {
    await fs.promises.link(temporaryPath, path);
    return "created";
  } catch (thrown) {
    if (isErrno(thrown, ["EEXIST"])) {
      // NFS repeats a call whose answer was lost, and then finds the name that the first try has made.
      return (await fs.promises.stat(temporaryPath)).nlink === 2 ? "created" : "exists";
    }
    if (!isErrno(thrown, NO_LINKS)) throw thrown;
    const advice = "use a file system that has them (ext4, XFS, NFS), or S3";
    const message = `${path}: this file system has no hard links, so two replicators could both write: ${advice}`;
    throw new StorageError("FENCING_UNSUPPORTED", message, { path, cause: thrown });
  }
}

export async function makeFolder(path: string): Promise<void> {
  await nullOn(["EEXIST"], fs.promises.mkdir(path));
}

/**
 * Makes the names in a folder durable. Returns the folder's identity; a later folder with the same number has another
 * one.
 */
export async function syncFolder(path: string, syncs: Slots): Promise<string> {
  const folder = await fs.promises.open(path, O_RDONLY);
  try {
    const { dev, ino, birthtimeNs } = await folder.stat({ bigint: true });
    // Network file systems without this call (SMB) make names durable at once.
    await syncs.run(() => nullOn(["EINVAL"], folder.sync()));
    return `${dev}:${ino}:${birthtimeNs}`;
  } finally {
    await folder.close();
  }
}

/** Tells whether an entry of a folder is a folder. Some file systems do not list the type with the name. */
export async function isFolder(entry: fs.Dirent, parent: string): Promise<boolean> {
  if (entry.isDirectory()) return true;
  if (entry.isFile() || entry.isSymbolicLink()) return false;
  return (await nullOn(["ENOENT"], fs.promises.lstat(join(parent, entry.name))))?.isDirectory() ?? false;
}

/** Removes the temp files that killed processes left, once they are a day old. */
export async function removeOldTemporaries(folder: string): Promise<void> {
  for (const name of await fs.promises.readdir(folder)) {
    const path = join(folder, name);
    const stat = await nullOn(["ENOENT"], fs.promises.lstat(path));
    if (stat?.isFile() && stat.mtimeMs < Date.now() - DAY_MS) await fs.promises.rm(path, { force: true });
  }
}
