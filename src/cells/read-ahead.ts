/**
 * Reads ahead for blobs that are not in the page cache. The mapping is advised as random, so that an access to a cell
 * reads one page; a blob read that way would need an I/O for each of its pages. The time of the first touch tells
 * whether pages are in memory: a system call before each read would cost more than most reads.
 *
 * All of this is advice: a wrong guess costs time or memory of the page cache, and never changes the bytes that are
 * read.
 */

import { libc } from "../os/libc.ts";
import { pageSizeBytes, readAhead } from "../os/mapping.ts";
import type { Addressed } from "../region/region.ts";

/** A touch that takes longer has waited for a disk. A page that is in memory takes 1 to 12 µs to map. */
const SLOW_NS = 20_000;
/** Shorter blobs are not read ahead: they rarely cross the end of a page. */
const MIN_EXPECTED_BYTES = 256;
/** Shorter blobs lie on one or two pages, of which one has the footer. So only the footer is touched, not the data. */
const MIN_TOUCHED_BYTES = 4000;
/** Only one of this many footers is touched while blobs are in memory: a touch reads the clock twice. */
const FOOTERS_PER_TOUCH = 32;
/** The most bytes that are read on the guess that a blob is as long as the previous ones. */
const MAX_EXPECTED_BYTES = 1024 * 1024;
/** Blobs found in memory after which the next one is expected to be there too. */
const WARM_BLOBS = 4;
/** Only one of this many views is touched: the two clock readings of a touch take as long as making the view. */
const VIEWS_PER_TOUCH = 8;
/** Only one of this many short blobs is touched: a touch takes 3 to 18 % of the time of reading one in memory. */
const SHORT_BLOBS_PER_TOUCH = 4;
const SHORT_BYTES = 32 * 1024;
/** Footers of a chain that are read at once, on the guess that its chunks are adjacent. */
const FOOTERS_AHEAD = 32;
/**
 * Chunks that are read ahead of the copied one, and how many of them remain when the next are read: 4 MiB and 2 MiB.
 */
const CHUNKS_AHEAD = 64;
const CHUNKS_LEFT = 32;

/** A range of the region. */
export interface Range {
  readonly fromBytes: number;
  readonly toBytes: number;
}

/** Learns from the reads of a storage whether its blobs are in memory, and how long they are. */
export class ReadAhead {
  readonly #region: Addressed;
  readonly #startBytes: number;
  /** The distance between adjacent chunks of a chain. */
  readonly #strideBytes: number;
  readonly #probe = new Uint8Array(1);
  /** The expected length of the next blob, by the last two; 0 while blobs are in memory. */
  #expectedBytes = 0;
  #lastBytes = 0;
  #warmBlobs = 0;
  #untouched = 0;
  #untouchedFooters = 0;
  #wasSlow = false;

  constructor(region: Addressed, startBytes: number, strideBytes: number) {
    this.#region = region;
    this.#startBytes = startBytes;
    this.#strideBytes = strideBytes;
  }

  /** Whether the next blob is expected to be cold: not in memory. */
  get expectsCold(): boolean {
    return this.#expectedBytes > 0;
  }

  /**
   * Call it before reading the footer of a blob that ends at `endBytes`. If the blob is expected to be cold, reads it
   * ahead, on the guess that it is as long as the previous ones, and waits for its last page. Otherwise it only touches
   * some of the footers, to learn whether blobs are cold.
   */
  beforeBlob(endBytes: number): void {
    if (this.expectsCold) {
      const fromBytes = endBytes - this.#expectedBytes;
      if (!isOnOnePage(fromBytes, endBytes)) this.advise({ fromBytes, toBytes: endBytes });
    } else if (++this.#untouchedFooters < FOOTERS_PER_TOUCH) {
      return;
    }
    this.#untouchedFooters = 0;
    this.#wasSlow = this.#touch(endBytes - 1);
  }

  /** Call it before reading a blob of one chunk, or a part of it. */
  beforeData(fromBytes: number, lengthBytes: number): void {
    this.#touchOneOf(lengthBytes < SHORT_BYTES ? SHORT_BLOBS_PER_TOUCH : 1, fromBytes, lengthBytes);
  }

  /** Call it before returning a view of a blob of one chunk. */
  beforeView(fromBytes: number, lengthBytes: number): void {
    this.#touchOneOf(VIEWS_PER_TOUCH, fromBytes, lengthBytes);
  }

  /** Call it before reading the footer that ends at `endBytes`, after `count` others of its chain. */
  beforeFooter(count: number, endBytes: number): void {
    if (count % FOOTERS_AHEAD !== 1 || !this.#touch(endBytes - 1)) return;
    for (let ahead = 1; ahead < FOOTERS_AHEAD; ahead++) {
      const toBytes = endBytes - ahead * this.#strideBytes;
      if (toBytes <= this.#startBytes) return;
      this.advise({ fromBytes: toBytes - 1, toBytes });
    }
  }

  /**
   * Touches the middle of a range, because its first and last page may belong to a neighbour that was read before.
   * Returns whether the touch was slow, or the touch of `beforeBlob` was.
   */
  touch({ fromBytes, toBytes }: Range): boolean {
    const isSlow = this.#touch(Math.floor((fromBytes + toBytes) / 2)) || this.#wasSlow;
    this.#wasSlow = false;
    return isSlow;
  }

  /** Records the length of a blob, and whether it was in memory. */
  learn(lengthBytes: number, isSlow: boolean): void {
    this.#warmBlobs = isSlow ? 0 : this.#warmBlobs + 1;
    if (isSlow) this.#expectedBytes = Math.min(lengthBytes, this.#lastBytes || lengthBytes, MAX_EXPECTED_BYTES);
    if (lengthBytes < MIN_EXPECTED_BYTES || this.#expectedBytes < MIN_EXPECTED_BYTES || this.#warmBlobs >= WARM_BLOBS) {
      this.#expectedBytes = 0;
    }
    this.#lastBytes = lengthBytes;
  }

  /** Asks the kernel to read a range, without waiting for it. */
  advise({ fromBytes, toBytes }: Range): void {
    const start = Math.max(this.#startBytes, fromBytes);
    readAhead(this.#region.address + start, toBytes - start);
  }

  /** Touches one of `count` blobs, or every blob while blobs are expected to be cold. */
  #touchOneOf(count: number, fromBytes: number, lengthBytes: number): void {
    if (lengthBytes < MIN_TOUCHED_BYTES) {
      if (this.#wasSlow || this.expectsCold) this.learn(lengthBytes, this.#wasSlow);
      this.#wasSlow = false;
      return;
    }
    if (!this.expectsCold && ++this.#untouched < count) return;
    this.#untouched = 0;
    const range = { fromBytes, toBytes: fromBytes + lengthBytes };
    const isSlow = this.touch(range);
    if (isSlow) this.advise(range);
    if (isSlow || this.expectsCold) this.learn(lengthBytes, isSlow);
  }

  /** Reads a byte. Returns whether that was slow, because its page was not in memory. */
  #touch(offset: number): boolean {
    const startedNs = Bun.nanoseconds();
    libc().memcpy(this.#probe, this.#region.address + offset, 1);
    return Bun.nanoseconds() - startedNs > SLOW_NS;
  }
}

function isOnOnePage(fromBytes: number, toBytes: number): boolean {
  return Math.floor(fromBytes / pageSizeBytes()) === Math.floor((toBytes - 1) / pageSizeBytes());
}

/** The chunks of a blob, from the first one on. */
export interface Chunks {
  readonly lengthBytes: number;
  rangeOf(chunk: number): Range;
}

/** Reads the chunks of a chain ahead of a forward copy, as soon as one of them was not in memory. */
export class ChunkReadAhead {
  readonly #readAhead: ReadAhead;
  readonly #chunks: Chunks;
  readonly #end: number;
  readonly #most: number;
  /** Chunks before this one have been read ahead. */
  #advisedTo = 0;
  #isCold = false;
  #hasLearnt = false;

  /** Reads the chunks before `end` ahead, at most `most` at a time. */
  constructor(readAhead: ReadAhead, chunks: Chunks, end: number, most: number = CHUNKS_AHEAD) {
    this.#readAhead = readAhead;
    this.#chunks = chunks;
    this.#end = end;
    this.#most = most;
  }

  /** Call it before copying the chunk. */
  before(chunk: number): void {
    if (this.#isCold ? chunk + CHUNKS_LEFT < this.#advisedTo : !this.#touchAndLearn(chunk)) return;
    this.#isCold = true;
    const end = Math.min(this.#end, chunk + this.#most);
    this.#advisedTo = Math.max(chunk, this.#advisedTo);
    while (this.#advisedTo < end) this.#advisedTo = this.#adviseRun(this.#advisedTo, end);
  }

  /** Touches a chunk; records the chain's length the first time. Returns whether the touch was slow. */
  #touchAndLearn(chunk: number): boolean {
    const isSlow = this.#readAhead.touch(this.#chunks.rangeOf(chunk));
    if (!this.#hasLearnt && (isSlow || this.#readAhead.expectsCold)) {
      this.#readAhead.learn(this.#chunks.lengthBytes, isSlow);
    }
    this.#hasLearnt = true;
    return isSlow;
  }

  /** Reads the adjacent chunks from `first` on ahead, in one piece. Returns the number of the chunk after them. */
  #adviseRun(first: number, end: number): number {
    const { fromBytes, toBytes } = this.#chunks.rangeOf(first);
    let runEnd = toBytes;
    let next = first + 1;
    for (; next < end; next++) {
      const range = this.#chunks.rangeOf(next);
      if (range.fromBytes !== runEnd) break;
      runEnd = range.toBytes;
    }
    this.#readAhead.advise({ fromBytes, toBytes: runEnd });
    return next;
  }
}
