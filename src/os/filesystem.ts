/**
 * Tells which file systems are safe: shared mappings are coherent with reads, every opener sees the locks, and syncs
 * reach the disk.
 */

import * as fs from "node:fs";
import { StorageError } from "../error.ts";
import { FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_NOCOW_FL } from "./constants.ts";
import { withFsErrors } from "./errno.ts";
import { libc } from "./libc.ts";

/**
 * `f_type` of statfs(2), from linux/magic.h. Mappings, locks or syncs on these file systems do not do what the protocol
 * needs.
 */
const UNSAFE: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x01021997, "9p"],
  [0x65735546, "FUSE"],
]);

const TMPFS = 0x01021994;
const BTRFS = 0x9123683e;

/** Tells whether a file is on tmpfs; false if that is not known. */
export function isInMemory(path: string): boolean {
  return process.platform === "linux" && withFsErrors(path, () => fs.statfsSync(path).type) === TMPFS;
}

/**
 * Refuses a file, or a directory for a new one, on a file system that is known to be unsafe.
 * @throws UNSUPPORTED
 */
export function checkFilesystem(place: string, path: string): void {
  if (process.platform !== "linux") return;
  // statfs returns a signed word on some machines: 0xff534d42 may arrive as a negative number.
  const type = withFsErrors(path, () => fs.statfsSync(place).type) >>> 0;
  const name = UNSAFE.get(type);
  if (name === undefined) return;
  const why = "its mappings, locks and syncs are not those of a local file system";
  const message = `${path}: on ${name}: ${why}; use a local disk, or allowUnsafeFilesystem: true if no other machine opens the file and you accept losing it`;
  throw new StorageError("UNSUPPORTED", message, { path });
}

/**
 * Makes btrfs write a new, empty file in place, as other file systems do, so that allocated blocks stay reserved. By
 * default every store on btrfs takes a new block, and a store through a mapping kills the process if no block is left.
 * The price: btrfs keeps no checksums of this file and does not compress it. A refusal is not an error: the file then
 * behaves as any file on btrfs.
 */
export function avoidCopyOnWrite(fd: number, directory: string): void {
  if (process.platform !== "linux") return;
  if (withFsErrors(directory, () => fs.statfsSync(directory).type) >>> 0 !== BTRFS) return;
  const flags = new Uint32Array(2);
  if (libc().ioctl(fd, FS_IOC_GETFLAGS, flags) !== 0) return;
  flags[0] = (flags[0] ?? 0) | FS_NOCOW_FL;
  libc().ioctl(fd, FS_IOC_SETFLAGS, flags);
}
