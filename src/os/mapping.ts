/**
 * Mapped memory and the ArrayBuffers over it. A mapping has one owner, which releases it once. Release first detaches
 * every buffer, so that no view can reach the memory afterwards. A buffer that a native job holds cannot be detached;
 * then the mapping stays, and is released when the job is done.
 */

import { constants } from "node:os";
import * as c from "./constants.ts";
import { libcError } from "./errno.ts";
import { type Address, bufferOver, libc } from "./libc.ts";

const { ENOMEM } = constants.errno;

/** How a mapping relates to its file. */
export type MappingKind =
  /** Stores reach the file. */
  | "shared"
  /** Loads only: a store kills the process. The user gets views of it only if the kernel refuses a private mapping. */
  | "sharedReadOnly"
  /** Stores stay in this process: for the user's views of a file that is open for reading. */
  | "private"
  /** No file. */
  | "anonymous";

const flagsOf: Readonly<Record<MappingKind, readonly [prot: number, flags: number]>> = {
  shared: [c.PROT_READ | c.PROT_WRITE, c.MAP_SHARED],
  sharedReadOnly: [c.PROT_READ, c.MAP_SHARED],
  private: [c.PROT_READ | c.PROT_WRITE, c.MAP_PRIVATE | c.MAP_NORESERVE],
  anonymous: [c.PROT_READ | c.PROT_WRITE, c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_NORESERVE],
};

/**
 * Views are made over shared buffers of this size, because making a buffer takes as long as making many views. Buffers
 * are not longer, because the garbage collector counts each as live memory, and structured clone of a view copies its
 * whole buffer.
 */
const WINDOW_BYTES = 1024 * 1024;
/** How many buffers are referenced strongly; the others live as long as a view of them. */
const HELD_WINDOWS = 256;
/** If address space is short, this size is tried next, so that a small file can grow. */
const MODEST_BYTES = 64 * 1024 * 1024;
const RETRY_MS = 100;

let pageBytes = 0;

export function pageSizeBytes(): number {
  if (pageBytes > 0) return pageBytes;
  const answer = libc().sysconf(c.SC_PAGESIZE);
  if (answer < 1) throw libcError("sysconf", "the system's page size");
  pageBytes = answer;
  return pageBytes;
}

/** The range of one call. Linux reads at most its read-ahead window for each call, and this is the smallest window. */
const ADVICE_BYTES = 128 * 1024;

/**
 * Asks the kernel to read a mapped range of a file, without waiting for it. This is advice, so the answer is ignored.
 */
export function readAhead(address: Address, lengthBytes: number): void {
  const end = lengthBytes > 0 ? address + lengthBytes : 0;
  for (let at = address - (address % pageSizeBytes()); at < end; at += ADVICE_BYTES) {
    libc().madvise(at, Math.min(ADVICE_BYTES, end - at), c.MADV_WILLNEED);
  }
}

/** Enough to keep a disk busy while the data already read is processed. */
const WINDOW_AHEAD_BYTES = 8 * 1024 * 1024;

/** Reads a mapped file ahead of a loop that reads it in order. */
export class SequentialReadAhead {
  readonly #endBytes: number;
  #advisedTo: number;

  constructor(startBytes: number, endBytes: number) {
    this.#advisedTo = startBytes;
    this.#endBytes = endBytes;
  }

  /** Call it before touching the bytes at `offset`. `address` is the current address of the file's first byte. */
  before(address: Address, offset: number): void {
    if (this.#advisedTo - offset > WINDOW_AHEAD_BYTES / 2) return;
    const toBytes = Math.min(this.#endBytes, offset + WINDOW_AHEAD_BYTES);
    readAhead(address + this.#advisedTo, toBytes - this.#advisedTo);
    this.#advisedTo = Math.max(this.#advisedTo, toBytes);
  }
}

/** Mappings that a native job still holds. */
const retained = new Set<Mapping>();
let retryTimer: ReturnType<typeof setTimeout> | undefined;

function releaseRetained(): void {
  for (const mapping of retained) mapping.release();
}

function retain(mapping: Mapping): void {
  retained.add(mapping);
  if (retryTimer !== undefined) return;
  retryTimer = setTimeout(() => {
    retryTimer = undefined;
    releaseRetained();
  }, RETRY_MS);
  retryTimer.unref();
}

export class Mapping {
  readonly address: Address;
  readonly lengthBytes: number;
  readonly #kind: MappingKind;
  readonly #fd: number;
  readonly #path: string;
  /**
   * Buffers that start at multiples of WINDOW_BYTES, by slot number: weak references to all, and strong ones to some.
   */
  readonly #windows = new Map<number, WeakRef<ArrayBuffer>>();
  #held: (ArrayBuffer | undefined)[] = [];
  #heldSlots: number[] = [];
  /** Every buffer that may still have views. */
  #buffers = new Set<WeakRef<ArrayBuffer>>();
  #pruneAt = 64;
  #released = false;
  #transferred = false;
  #isolated = false;
  #abandoned = false;

  private constructor(address: Address, lengthBytes: number, kind: MappingKind, fd: number, path: string) {
    this.address = address;
    this.lengthBytes = lengthBytes;
    this.#kind = kind;
    this.#fd = fd;
    this.#path = path;
  }

  /**
   * Maps `wantedBytes`, more than the file has; the rest becomes usable as the file grows. If address space is short,
   * it maps twice `neededBytes`, or only `neededBytes`. It never takes all that is left, because the rest of the
   * process needs some.
   * @throws SYSTEM, UNSUPPORTED the system refused the mapping
   */
  static of(kind: MappingKind, fd: number, wantedBytes: number, neededBytes: number, path: string): Mapping {
    releaseRetained();
    const [prot, flags] = flagsOf[kind];
    const alignToPages = (bytes: number): number => Math.ceil(Math.max(bytes, 1) / pageSizeBytes()) * pageSizeBytes();
    const leastBytes = alignToPages(neededBytes);
    const modestBytes = alignToPages(Math.max(2 * neededBytes, MODEST_BYTES));
    for (let lengthBytes = alignToPages(Math.max(wantedBytes, neededBytes)); ;) {
      const address = libc().mmap(0, lengthBytes, prot, flags, fd, 0);
      if (address !== -1) return new Mapping(address, lengthBytes, kind, fd, path);
      const error = libcError("mmap", path);
      if (error.errno !== ENOMEM || lengthBytes <= leastBytes) throw error;
      lengthBytes = lengthBytes > modestBytes ? modestBytes : leastBytes;
    }
  }

  /**
   * Returns a view of `lengthBytes` bytes from `offset`. The caller has checked them against `endBytes`, the end of the
   * file. No buffer reaches past it, because structured clone copies whole buffers.
   */
  view(offset: number, lengthBytes: number, endBytes: number): Uint8Array<ArrayBuffer> {
    const slot = Math.floor(offset / WINDOW_BYTES);
    const start = offset - slot * WINDOW_BYTES;
    const held = this.#held[slot];
    // A detached buffer has no length. An empty view gets its own buffer. A buffer from before the file was cut reaches
    // past its end.
    const fits = held !== undefined && start + lengthBytes <= held.byteLength && lengthBytes > 0;
    if (fits && slot * WINDOW_BYTES + held.byteLength <= endBytes) {
      return new Uint8Array(held, start, lengthBytes);
    }
    return this.#viewElsewhere(slot, start, lengthBytes, endBytes);
  }

  #viewElsewhere(slot: number, start: number, lengthBytes: number, endBytes: number): Uint8Array<ArrayBuffer> {
    // Remember the buffer of an empty view too, so that release detaches it like the others.
    if (lengthBytes === 0) return new Uint8Array(this.#remember(new ArrayBuffer(0)));
    const slotBytes = slot * WINDOW_BYTES;
    if (start + lengthBytes > WINDOW_BYTES) return new Uint8Array(this.#track(slotBytes + start, lengthBytes));
    let window = this.#windows.get(slot)?.deref();
    if (window?.detached) {
      this.#transferred = true;
      window = undefined;
    }
    const fits = window !== undefined && start + lengthBytes <= window.byteLength;
    if (window === undefined || !fits || slotBytes + window.byteLength > endBytes) {
      window = this.#track(slotBytes, Math.min(WINDOW_BYTES, endBytes - slotBytes));
      this.#windows.set(slot, new WeakRef(window));
    }
    this.#hold(slot, window);
    return new Uint8Array(window, start, lengthBytes);
  }

  /** Live buffers over the memory, including the library's own. */
  get windows(): number {
    return [...this.#buffers].filter((reference) => (reference.deref()?.byteLength ?? 0) > 0).length;
  }

  /** Returns a buffer for the owner alone, which no view shares. The caller has checked its bounds. */
  ownBuffer(offset: number, lengthBytes: number): ArrayBuffer {
    return this.#track(offset, lengthBytes);
  }

  /** Detaches every buffer and unmaps. If a native job holds a buffer, keeps the mapping and tries again later. */
  release(): void {
    if (this.#released) return;
    this.#held = [];
    this.#heldSlots = [];
    this.#windows.clear();
    for (const reference of this.#buffers) {
      const buffer = reference.deref();
      // A buffer that is already detached was transferred by the user, against the documentation. Its memory has an
      // unknown owner, so the mapping stays for good. The transfer here neither throws nor detaches while a native job
      // uses the buffer.
      if (buffer?.detached) this.#transferred = true;
      else if (!this.#abandoned) buffer?.transfer(0);
      if (buffer === undefined || buffer.detached) this.#buffers.delete(reference);
    }
    if (this.#buffers.size > 0) {
      retain(this);
      this.#isolate();
      return;
    }
    this.#released = true;
    retained.delete(this);
    if (this.#transferred) return;
    if (libc().munmap(this.address, this.lengthBytes) !== 0) throw libcError("munmap", this.#path);
  }

  /**
   * Releases a mapping whose owner was garbage-collected. Views stay usable, but their stores no longer reach the file.
   * Unmaps when the last view has been collected.
   */
  abandon(): void {
    this.#abandoned = true;
    this.release();
  }

  /**
   * Makes the memory a private mapping of the same bytes, so that stores through views that are still alive do not
   * reach the file, which may have another writer by then. Views stay alive if a native job holds their buffer. It is
   * done at the first release, while the descriptor is still open. If the system refuses it, stores reach the file
   * until the views are gone.
   * @throws SYSTEM it was refused at this address, although not at another one
   */
  #isolate(): void {
    if (this.#kind !== "shared" || this.#isolated) return;
    this.#isolated = true;
    const [prot, flags] = flagsOf.private;
    // Try at another address first: a mapping refused in place may have removed the old one.
    const trial = libc().mmap(0, this.lengthBytes, prot, flags, this.#fd, 0);
    if (trial === -1) return;
    if (libc().munmap(trial, this.lengthBytes) !== 0) throw libcError("munmap", this.#path);
    const there = libc().mmap(this.address, this.lengthBytes, prot, flags | c.MAP_FIXED, this.#fd, 0);
    if (there === -1) throw libcError("mmap", this.#path);
  }

  /** References a buffer strongly, and drops the oldest such reference. */
  #hold(slot: number, window: ArrayBuffer): void {
    if (this.#held[slot] === undefined) this.#heldSlots.push(slot);
    this.#held[slot] = window;
    if (this.#heldSlots.length <= HELD_WINDOWS) return;
    const oldest = this.#heldSlots.shift();
    if (oldest !== undefined) this.#held[oldest] = undefined;
  }

  #track(offset: number, lengthBytes: number): ArrayBuffer {
    return this.#remember(bufferOver(this.address + offset, lengthBytes));
  }

  #remember(buffer: ArrayBuffer): ArrayBuffer {
    this.#buffers.add(new WeakRef(buffer));
    if (this.#buffers.size >= this.#pruneAt) {
      for (const reference of this.#buffers) if (reference.deref() === undefined) this.#buffers.delete(reference);
      this.#pruneAt = 64 + 2 * this.#buffers.size;
    }
    return buffer;
  }
}
