/**
 * Locks. The header lock is that of Plebeia: `lockf` on the first 256 bytes during a store. A writer holds its own
 * locks as long as it is open. On Linux these belong to the open file description. Closing another descriptor of the
 * file in this process drops `lockf` locks, but not these (fcntl(2), "Open file description locks").
 */

import { constants } from "node:os";
import { StorageError } from "../error.ts";
import * as c from "./constants.ts";
import { libcError } from "./errno.ts";
import { identityOf } from "./file.ts";
import { libc } from "./libc.ts";
import { hasThreadEnded, lockHolderHere, threadId } from "./process.ts";

const { EACCES, EAGAIN } = constants.errno;
const linux: boolean = process.platform === "linux";
const HEADER_LOCK_BYTES = 256;
const HEADER_LOCK_WAIT_MS = 50;
const POLL_MS = 2;
/** How long a thread of this process may run on after `Worker.terminate()`; 2 to 8 ms were measured. */
const THREAD_END_MS = 100;

/**
 * The bytes that a writer locks, far past any data. The second one is locked while the headers in memory are current.
 */
const WRITER_BYTE: bigint = 1n << 62n;
const LIVE_BYTE: bigint = WRITER_BYTE + 1n;
/** A writer also locks this byte plus the id of its thread. Other openers in the same process read this lock. */
const FIRST_THREAD_BYTE: bigint = WRITER_BYTE + (1n << 32n);
/** `l_len` of a range without an end. */
const TO_THE_END = 0n;

/** Files that this thread writes. */
const writtenHere = new Set<string>();

interface LockRequest {
  readonly fd: number;
  readonly path: string;
  /** How long to wait for another process; 0 means not at all. */
  readonly timeoutMs: number;
  /** Returns the process id of the writer that the file names, or 0. */
  readonly holderProcessId: () => number;
}

/** The lock of the one writer of a file. It is held until `release`, or until the process ends. */
export class WriterLock {
  readonly #fd: number;
  readonly #path: string;
  readonly #identity: string;

  private constructor(fd: number, path: string, identity: string) {
    this.#fd = fd;
    this.#path = path;
    this.#identity = identity;
  }

  /**
   * @returns null if the path names another file by now, so that a lock on this one would protect nothing
   * @throws WRITER_LOCKED another writer has the file; NO_SUCH_FILE it was removed
   */
  static acquire({ fd, path, timeoutMs, holderProcessId }: LockRequest): WriterLock | null {
    const identity = identityOf(fd);
    if (writtenHere.has(identity)) throw lockedHere(path);
    const begin = performance.now();
    while (!tryWriterLock(fd, path)) {
      const holder = holderProcessId();
      const waited = performance.now() - begin;
      const here = holder === process.pid || holder === 0 ? holderHere(identity, path) : "none";
      if (here === "released") continue;
      // The writer is in a Worker: a longer wait would block the code that could end it.
      if (here === "held" && waited >= Math.min(timeoutMs, THREAD_END_MS)) throw lockedHere(path);
      if (waited >= timeoutMs) throw lockedElsewhere(path, holder, timeoutMs);
      Bun.sleepSync(POLL_MS);
      if (identityOf(path) !== identity) return null;
    }
    if (linux) lockThreadByte(fd, path);
    const lock = new WriterLock(fd, path, identity);
    writtenHere.add(identity);
    return lock;
  }

  /** Tells readers that the headers in memory are current: recovery is over. */
  announce(): void {
    // A reader only queries this byte and never locks it, so a refusal is an error.
    if (linux && !setLock(this.#fd, c.F_WRLCK, LIVE_BYTE, 1n, this.#path)) throw libcError("fcntl", this.#path);
  }

  release(): void {
    writtenHere.delete(this.#identity);
    if (!linux) {
      if (libc().flock(this.#fd, c.LOCK_UN) !== 0) throw libcError("flock", this.#path);
    } else if (!setLock(this.#fd, c.F_UNLCK, WRITER_BYTE, TO_THE_END, this.#path)) throw libcError("fcntl", this.#path);
  }
}

function lockThreadByte(fd: number, path: string): void {
  const thread = threadId();
  if (thread !== null) setLock(fd, c.F_WRLCK, FIRST_THREAD_BYTE + BigInt(thread), 1n, path);
}

/**
 * Tells whether a descriptor of this process holds the writer's lock. Process ids are no proof: a process in another
 * container may have the same id. If the thread that took the lock has ended, for example a Worker by `terminate()`, no
 * code is left that could use the writer, so its lock is released. Its descriptor stays open, because other threads may
 * use it at the same time.
 */
function holderHere(identity: string, path: string): "none" | "held" | "released" {
  const holder = linux ? lockHolderHere(identity, WRITER_BYTE) : null;
  if (holder === null) return "none";
  const threadByte = holder.lockedFrom.find((byte) => byte >= FIRST_THREAD_BYTE);
  if (threadByte === undefined || !hasThreadEnded(Number(threadByte - FIRST_THREAD_BYTE))) return "held";
  if (!setLock(holder.fd, c.F_UNLCK, WRITER_BYTE, TO_THE_END, path)) throw libcError("fcntl", path);
  return "released";
}

function lockedHere(path: string): StorageError {
  const message =
    `${path}: this process (${process.pid}) is writing this file already: use that writer, or close it. ` +
    `It may be in a Worker, or in a module from before a reload (bun --hot, bun test --isolate): ` +
    `the guide has patterns under "One writer in a process"`;
  return new StorageError("WRITER_LOCKED", message, { path });
}

function lockedElsewhere(path: string, holder: number, timeoutMs: number): StorageError {
  let writer = holder === 0 ? "another process (fuser names it)" : `process ${holder}`;
  if (holder === process.pid)
    writer = `another process (of another container; its id there, ${holder}, is the same as that of this process)`;
  const wait = timeoutMs > 0 ? "wait longer" : "wait with lockTimeoutMs";
  const message = `${path}: ${writer} is writing this file: close it there, or ${wait}; if it hangs, end it with kill -9, which loses no commit`;
  return new StorageError("WRITER_LOCKED", message, { path });
}

/**
 * Tells whether a writer has announced itself, so that the headers in memory are current. Takes no lock. Returns false
 * if the platform cannot tell.
 */
export function isWriterLive(fd: number, path: string): boolean {
  return linux && isHeld(fd, LIVE_BYTE, path);
}

/** `opening`: a writer has the lock, and has not announced itself yet. `unknown`: the platform cannot tell. */
export type WriterPresence = "none" | "opening" | "live" | "unknown";

/** Tells whether a writer has the file open. Takes no lock. */
export function writerPresence(fd: number, path: string): WriterPresence {
  if (!linux) return "unknown";
  if (isHeld(fd, LIVE_BYTE, path)) return "live";
  return isHeld(fd, WRITER_BYTE, path) ? "opening" : "none";
}

function isHeld(fd: number, byte: bigint, path: string): boolean {
  const lock = lockOf(c.F_WRLCK, byte, 1n);
  if (libc().fcntl(fd, c.F_OFD_GETLK, lock) !== 0) throw libcError("fcntl", path);
  return new DataView(lock.buffer).getInt16(0, true) !== c.F_UNLCK;
}

/**
 * Runs `action` under the header lock. If the lock is not free within 50 ms, runs it without the lock: a stopped reader
 * of another program must not freeze the event loop. Readers find a torn header by its hash, and take the other copy.
 */
export function withHeaderLock(fd: number, path: string, action: () => void): void {
  const locked = waitForHeaderLock(fd);
  try {
    action();
  } finally {
    if (locked) unlockHeader(fd, path);
  }
}

function waitForHeaderLock(fd: number): boolean {
  if (libc().lockf(fd, c.F_TLOCK, HEADER_LOCK_BYTES) === 0) return true;
  const deadline = performance.now() + HEADER_LOCK_WAIT_MS;
  while (performance.now() < deadline) {
    Bun.sleepSync(1);
    if (libc().lockf(fd, c.F_TLOCK, HEADER_LOCK_BYTES) === 0) return true;
  }
  return false;
}

function unlockHeader(fd: number, path: string): void {
  if (libc().lockf(fd, c.F_ULOCK, HEADER_LOCK_BYTES) !== 0) throw libcError("lockf", path);
}

function tryWriterLock(fd: number, path: string): boolean {
  if (linux) return setLock(fd, c.F_WRLCK, WRITER_BYTE, 1n, path);
  if (libc().flock(fd, c.LOCK_EX | c.LOCK_NB) === 0) return true;
  const error = libcError("flock", path);
  if (error.errno === EAGAIN) return false;
  throw error;
}

/** Returns false if another open file description has the lock. */
function setLock(fd: number, type: number, start: bigint, lengthBytes: bigint, path: string): boolean {
  if (libc().fcntl(fd, c.F_OFD_SETLK, lockOf(type, start, lengthBytes)) === 0) return true;
  const error = libcError("fcntl", path);
  if (error.errno === EAGAIN || error.errno === EACCES) return false;
  throw error;
}

/** `struct flock` of 64-bit Linux: short l_type, short l_whence, off_t l_start, off_t l_len, pid_t l_pid (0 here). */
function lockOf(type: number, start: bigint, lengthBytes: bigint): Uint8Array<ArrayBuffer> {
  const lock = new Uint8Array(32);
  const view = new DataView(lock.buffer);
  view.setInt16(0, type, true);
  view.setBigInt64(8, start, true);
  view.setBigInt64(16, lengthBytes, true);
  return lock;
}
