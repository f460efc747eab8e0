/** Reads `/proc` about this process: the locks of its descriptors, and its threads. Linux only. */

import * as fs from "node:fs";
import { identityOf } from "./file.ts";

/** A descriptor of this process, and the start offsets of all ranges that are write-locked through it. */
interface LockHolder {
  readonly fd: number;
  readonly lockedFrom: readonly bigint[];
}

/**
 * Finds the descriptor of this process, in any thread, that holds an open-file-description lock on the file from `byte`
 * on. Returns null if there is none, or if that is unknown: without `/proc`, or at the limit of descriptors.
 */
export function lockHolderHere(identity: string, byte: bigint): LockHolder | null {
  for (const name of orElse(() => fs.readdirSync("/proc/self/fd"), [])) {
    const lockedFrom = orElse(() => locksIn(fs.readFileSync(`/proc/self/fdinfo/${name}`, "latin1")), []);
    // Call stat only for a holder: another descriptor may be on a mount that does not answer.
    if (!lockedFrom.includes(byte)) continue;
    if (orElse(() => identityOf(`/proc/self/fd/${name}`), "") === identity) return { fd: Number(name), lockedFrom };
  }
  return null;
}

/** Parses lines of `proc_pid_fdinfo(5)`: `lock: 1: OFDLCK ADVISORY WRITE -1 fe:00:1234 FIRST LAST`. */
function locksIn(fdinfo: string): bigint[] {
  const locks = fdinfo.split("\n").filter((line) => /^lock:.*\bOFDLCK\b.*\bWRITE\b/.test(line));
  return locks.map((line) => BigInt(line.trim().split(/\s+/).at(-2) ?? ""));
}

/** The system's id of the calling thread; null if it is unknown. */
export function threadId(): number | null {
  const id = orElse(() => Number(fs.readlinkSync("/proc/thread-self").split("/").at(-1)), 0);
  return Number.isSafeInteger(id) && id > 0 ? id : null;
}

/** Tells whether a thread of this process has ended; false if that is unknown. */
export function hasThreadEnded(id: number): boolean {
  const own = threadId();
  return own !== null && isThread(own) === true && isThread(id) === false;
}

function isThread(id: number): boolean | null {
  return orElse(() => fs.statSync(`/proc/self/task/${id}`, { throwIfNoEntry: false }) !== undefined, null);
}

/** Returns `otherwise` if `look` throws: a descriptor may be closed by now, and `/proc` may be missing. */
function orElse<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}
