/** What `/proc` tells of this process: the locks that its descriptors hold, and its threads. Linux only. */

import * as fs from "node:fs";
import { identityOf } from "./file.ts";

/** A descriptor of this process, and the first bytes of all ranges that are write-locked through it. */
export interface LockHolder {
  readonly fd: number;
  readonly lockedFrom: readonly bigint[];
}

/**
 * The descriptor of this process, in whichever thread, that holds an open-file-description lock on the file from `byte`
 * on. Null if none does, or where it cannot be told: without `/proc`, or at the limit of descriptors.
 */
export function lockHolderHere(identity: string, byte: bigint): LockHolder | null {
  for (const name of orElse(() => fs.readdirSync("/proc/self/fd"), [])) {
    const lockedFrom = orElse(() => locksIn(fs.readFileSync(`/proc/self/fdinfo/${name}`, "latin1")), []);
    // Only a holder is looked at as a file: any other may be on a mount that does not answer.
    if (!lockedFrom.includes(byte)) continue;
    if (orElse(() => identityOf(`/proc/self/fd/${name}`), "") === identity) return { fd: Number(name), lockedFrom };
  }
  return null;
}

/** Lines of `proc_pid_fdinfo(5)`: `lock: 1: OFDLCK ADVISORY WRITE -1 fe:00:1234 FIRST LAST`. */
function locksIn(fdinfo: string): bigint[] {
  const locks = fdinfo.split("\n").filter((line) => /^lock:.*\bOFDLCK\b.*\bWRITE\b/.test(line));
  return locks.map((line) => BigInt(line.trim().split(/\s+/).at(-2) ?? ""));
}

/** The system's id of the calling thread; null where it cannot be told. */
export function threadId(): number | null {
  const id = orElse(() => Number(fs.readlinkSync("/proc/thread-self").split("/").at(-1)), 0);
  return Number.isSafeInteger(id) && id > 0 ? id : null;
}

/** Whether a thread of this process has ended. False where it cannot be told. */
export function hasThreadEnded(id: number): boolean {
  const own = threadId();
  return own !== null && isThread(own) === true && isThread(id) === false;
}

function isThread(id: number): boolean | null {
  return orElse(() => fs.statSync(`/proc/self/task/${id}`, { throwIfNoEntry: false }) !== undefined, null);
}

/** A descriptor may be closed by now, and `/proc` may be missing: then nothing can be told. */
function orElse<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}
