/**
 * The layout of a file: every offset and size, once. Each place follows from the one before it. `docs/format.md` prints
 * the same tables, and a test compares the two. This module only has numbers; it accesses no file and no memory.
 */

/** A place in the file, or in a part of it. */
export interface Place {
  readonly offset: number;
  readonly sizeBytes: number;
}

const first = (sizeBytes: number): Place => ({ offset: 0, sizeBytes });
const after = (place: Place, sizeBytes: number): Place => ({ offset: place.offset + place.sizeBytes, sizeBytes });

/** The config, bytes 0 to 31 of the file. */
const headString = first(20);
const bytesPerCell = after(headString, 4);
const maxIndex = after(bytesPerCell, 4);
const version = after(maxIndex, 4);
export const CONFIG: Record<"headString" | "bytesPerCell" | "maxIndex" | "version", Place> = {
  headString,
  bytesPerCell,
  maxIndex,
  version,
};

/** The parts of the first 256 bytes. */
const config: Place = { offset: 0, sizeBytes: version.offset + version.sizeBytes };
const disk1 = after(config, 32);
const disk2 = after(disk1, 32);
const process1 = after(disk2, 32);
const process2 = after(process1, 32);
const annexHead = after(process2, 32);
const commitRecord1 = after(annexHead, 32);
const commitRecord2 = after(commitRecord1, 32);
export const FILE: Record<
  "config" | "disk1" | "disk2" | "process1" | "process2" | "annexHead" | "commitRecord1" | "commitRecord2",
  Place
> = { config, disk1, disk2, process1, process2, annexHead, commitRecord1, commitRecord2 };

/** The bytes before the first cell for data: config, headers and annex. */
export const HEADER_AREA_BYTES: number = commitRecord2.offset + commitRecord2.sizeBytes;

/** Inside a header copy. */
const hash = first(12);
const keyedHash = after(hash, 12);
const root = after(keyedHash, 4);
const next = after(root, 4);
export const HEADER: Record<"hash" | "keyedHash" | "root" | "next", Place> = { hash, keyedHash, root, next };
export const HEADER_BYTES: number = next.offset + next.sizeBytes;

/** Inside the annex's head. */
const magic = first(4);
const processId = after(magic, 4);
const configHash = after(processId, 12);
const headHash = after(configHash, 12);
export const ANNEX_HEAD: Record<"magic" | "processId" | "configHash" | "headHash", Place> = {
  magic,
  processId,
  configHash,
  headHash,
};

/** Inside a commit record. */
const base = first(4);
const recordNext = after(base, 4);
const recordRoot = after(recordNext, 4);
const cellsCrc = after(recordRoot, 4);
const sequence = after(cellsCrc, 4);
const truncations = after(sequence, 4);
const baseRoot = after(truncations, 4);
const recordCrc = after(baseRoot, 4);
export const COMMIT_RECORD: Record<
  "base" | "next" | "root" | "cellsCrc" | "sequence" | "truncations" | "baseRoot" | "recordCrc",
  Place
> = { base, next: recordNext, root: recordRoot, cellsCrc, sequence, truncations, baseRoot, recordCrc };

/** Inside a chunk's footer, its last bytes. */
const chunkSize = first(2);
const previous = after(chunkSize, 4);
export const FOOTER: Record<"size" | "previous", Place> = { size: chunkSize, previous };
export const FOOTER_BYTES: number = previous.offset + previous.sizeBytes;

/** The most bytes that one chunk holds: its size is a u16. */
export const MAX_CHUNK_BYTES = 0xffff;

/** The bytes of every hash in the file: BLAKE2b with a digest length of 12. */
export const HASH_BYTES: number = hash.sizeBytes;

/** A u32, the type of every index in the file. */
export const MAX_U32 = 0xffffffff;

/** The index of the first cell for data; the cells before it are the header area. */
export function startIndexOf(cellBytes: number): number {
  return Math.ceil(HEADER_AREA_BYTES / cellBytes);
}
