/** What the disk and the kernel allow at best, for the work that Cellar's promises need. */

import { closeSync, fdatasync, fdatasyncSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Purpose, Store } from "./store.ts";

/** As much as Cellar gathers before it writes. */
const STAGE_BYTES = 256 * 1024;
const HEADER_BYTES = 32;
const PAGE_BYTES = 4096;

/** Copies blobs into a buffer, takes a CRC of it, and writes it at multiples of its size. */
export function stagedStore({ folder, sizeBytes }: Purpose): Store & { readonly crc: () => number } {
  const fd = openSync(join(folder, "blobs.staged"), "w+");
  const stage = new Uint8Array(STAGE_BYTES);
  let crc = 0;
  let position = 0;
  let filled = 0;
  const drain = (): void => {
    const piece = stage.subarray(0, filled);
    crc = Bun.hash.crc32(piece, crc);
    writeSync(fd, piece, 0, filled, position);
    position += filled;
    filled = 0;
  };
  return {
    crc: () => crc,
    writeAll(count, blobAt) {
      for (let i = 0; i < count; i++) {
        const blob = blobAt(i);
        for (let done = 0; done < blob.length;) {
          const end = Math.min(blob.length, done + stage.length - filled);
          stage.set(blob.subarray(done, end), filled);
          filled += end - done;
          done = end;
          if (filled === stage.length) drain();
        }
      }
      drain();
    },
    read(i) {
      const bytes = new Uint8Array(sizeBytes);
      readSync(fd, bytes, 0, sizeBytes, i * sizeBytes);
      return bytes;
    },
    close: () => closeSync(fd),
  };
}

export interface TwoSyncs {
  /** Writes a blob and syncs, then writes a header and syncs. */
  transactSync(blob: Uint8Array): void;
  /** The same with the syncs in Bun's thread pool. */
  transact(blob: Uint8Array): Promise<void>;
  close(): void;
}

const fdatasyncLater = promisify(fdatasync);

/** Two syncs for a transaction, into space that holds written zeros: the cells first, then what refers to them. */
export function twoSyncs(folder: string, capacityBytes: number): TwoSyncs {
  const fd = openSync(join(folder, "two-syncs"), "w+");
  writeSync(fd, new Uint8Array(PAGE_BYTES + capacityBytes));
  fdatasyncSync(fd);
  const header = new Uint32Array(HEADER_BYTES / Uint32Array.BYTES_PER_ELEMENT);
  let end = 0;
  const writeBlob = (blob: Uint8Array): void => {
    if (end + blob.length > capacityBytes) end = 0;
    writeSync(fd, blob, 0, blob.length, PAGE_BYTES + end);
    end += blob.length;
  };
  const writeHeader = (): void => {
    header[0] = end;
    writeSync(fd, header, 0, HEADER_BYTES, 0);
  };
  return {
    transactSync(blob) {
      writeBlob(blob);
      fdatasyncSync(fd);
      writeHeader();
      fdatasyncSync(fd);
    },
    async transact(blob) {
      writeBlob(blob);
      await fdatasyncLater(fd);
      writeHeader();
      await fdatasyncLater(fd);
    },
    close: () => closeSync(fd),
  };
}
