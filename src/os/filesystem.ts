/** Which file systems keep the promises: shared mappings coherent with reads, locks that every opener sees, syncs that sync. */

import * as fs from "node:fs";
import { StorageError } from "../error.ts";
import { withFsErrors } from "./errno.ts";

/** `f_type` of statfs(2), from linux/magic.h: a mapping, a lock or a sync there is not what the protocol rests on. */
const UNSAFE: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x01021997, "9p"],
  [0x65735546, "FUSE"],
]);

const TMPFS = 0x01021994;

/** Whether a file is on tmpfs. False where that is not known. */
export function isInMemory(path: string): boolean {
  return process.platform === "linux" && withFsErrors(path, () => fs.statfsSync(path).type) === TMPFS;
}

/**
 * Refuses a file, or a directory for a new one, on a file system that is known to be unsafe.
 * @throws UNSUPPORTED
 */
export function checkFilesystem(place: string, path: string): void {
  if (process.platform !== "linux") return;
  // statfs fills in a signed word on some machines: 0xff534d42 may come negative.
  const type = withFsErrors(path, () => fs.statfsSync(place).type) >>> 0;
  const name = UNSAFE.get(type);
  if (name === undefined) return;
  const why = "its mappings, locks and syncs are not those of a local file system";
  const message = `${path}: on ${name}: ${why}; use a local disk, or allowUnsafeFilesystem: true if no other machine opens the file and you accept losing it`;
  throw new StorageError("UNSUPPORTED", message, { path });
}
