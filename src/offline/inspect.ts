/**
 * Inspects a file that is not open as a storage. Reads by `pread` only, so that neither content nor a cut can kill the
 * process. Locks and changes nothing. The checker and the command use it on broken files and beside live writers.
 */

import * as fs from "node:fs";
import { crc32 } from "../format/hash.ts";
import { RESTORE, StorageError } from "../error.ts";
import type { AnnexHead } from "../format/annex-head.ts";
import type { CommitRecord } from "../format/commit-record.ts";
import { type CopyName, decodeArea, type HeaderArea } from "../format/area.ts";
import type { CheckedConfig, StorageConfig } from "../format/config.ts";
import { type Bounds, boundsOf, checkHeader, type Header, sameHeader } from "../format/header.ts";
import { HASH_BYTES, HEADER_AREA_BYTES } from "../format/layout.ts";
import { withFsErrors } from "../os/errno.ts";
import { statOf, readStart } from "../os/file.ts";
import { type WriterPresence, writerPresence } from "../os/lock.ts";
import { checkedConfig } from "../store/files.ts";
import { findConfig } from "./find-config.ts";
import { type StateChoice, chooseState } from "../state/choose-state.ts";

const PIECE_BYTES = 1024 * 1024;
/**
 * The limit of reads until two agree. A read takes about as long as a commit, so two agree soon, even beside a busy
 * writer.
 */
const MAX_READS = 100;

/**
 * `good`: the copy is believed. `older`: it is believed, but copy 1 is newer, or the flush is newer than both
 * process-sync copies. `torn`: its hash is wrong. `outside`: it points outside the file.
 */
export type CopyState = "good" | "older" | "torn" | "outside";

/** One of the four header copies. */
export interface HeaderCopy {
  readonly sync: "disk" | "process";
  readonly copy: 1 | 2;
  readonly state: CopyState;
  /** Null if it is torn. */
  readonly header: Header | null;
}

export interface Inspection {
  readonly path: string;
  readonly sizeBytes: number;
  /**
   * Bytes of the file's blocks on the disk: more than its size if space is reserved behind its end, less if it has
   * holes.
   */
  readonly allocatedBytes: number;
  readonly area: HeaderArea;
  /** The config in the file; if that is damaged, the config that the annex confirms. */
  readonly config: CheckedConfig;
  /** The damaged config in the file; null if the annex confirms the config in the file, or if there is no annex. */
  readonly damagedConfig: StorageConfig | null;
  readonly bounds: Bounds;
  readonly copies: readonly HeaderCopy[];
  readonly annexHead: AnnexHead | null;
  /** The records whose own CRC matches, in the order of the file. */
  readonly records: readonly CommitRecord[];
  readonly writer: WriterPresence;
  /** The state that the headers give, even if the config is damaged; or the error if there is none. */
  readonly state: StateChoice | StorageError;
  /** The state that opening for writing would choose, or the error that it would throw. */
  readonly opening: StateChoice | StorageError;
}

/**
 * Inspects an open file.
 * @param find finds the config of a file whose config is damaged
 * @throws NOT_A_STORAGE; INVALID_CONFIG its config is damaged and cannot be found; SYSTEM
 */
export function inspect(fd: number, path: string, find: typeof findConfig = findConfig): Inspection {
  const bytes = readArea(fd, path);
  const { config, damage } = configIn(bytes, path, find);
  // Hashes are checked with another implementation than that of writers, so that a bug in one is found.
  const area = decodeArea(bytes, secondHash);
  const writer = writerPresence(fd, path);
  // Read the size after the headers: a writer grows the file before it stores a longer header.
  const { sizeBytes, allocatedBytes } = statOf(fd, path);
  const bounds = boundsOf(config, sizeBytes);
  const state = stateIn(fd, path, area, bounds, config.bytesPerCell);
  return {
    path,
    sizeBytes,
    allocatedBytes,
    area,
    config,
    damagedConfig: damage === null ? null : area.config,
    bounds,
    copies: copiesIn(area, bounds, state),
    annexHead: area.annexHead,
    records: area.recordPlaces.filter((record) => record !== null),
    writer,
    state,
    opening: damage ?? state,
  };
}

/**
 * Reads the header area, or fewer bytes if the file is shorter. A writer may be storing into it, so it is read until
 * two reads agree.
 */
export function readArea(fd: number, path: string): Uint8Array {
  let area = readStart(fd, HEADER_AREA_BYTES, path);
  for (let read = 1; read < MAX_READS; read++) {
    const again = readStart(fd, HEADER_AREA_BYTES, path);
    if (Buffer.compare(area, again) === 0) break;
    area = again;
  }
  return area;
}

/** Hashes with the second implementation. Loads it only here, because it would nearly double a program's start time. */
function secondHash(bytes: Uint8Array): Uint8Array {
  const { blake2b } = require("@noble/hashes/blake2.js") as typeof import("@noble/hashes/blake2.js");
  return blake2b(bytes, { dkLen: HASH_BYTES });
}

/** Tells whether the cells in the file match the record's CRC. */
export function cellsOnFileMatch(
  fd: number,
  path: string,
  bytesPerCell: number,
  { base, next, cellsCrc }: CommitRecord,
): boolean {
  const piece = new Uint8Array(PIECE_BYTES);
  const endBytes = next * bytesPerCell;
  let crc = 0;
  for (let offset = base * bytesPerCell; offset < endBytes;) {
    const wanted = Math.min(PIECE_BYTES, endBytes - offset);
    const lengthBytes = withFsErrors(path, () => fs.readSync(fd, piece, 0, wanted, offset));
    if (lengthBytes === 0) return false;
    crc = crc32(piece.subarray(0, lengthBytes), crc);
    offset += lengthBytes;
  }
  return crc === cellsCrc;
}

/** Returns the config of a file, and the error that opening would throw because of it. */
function configIn(
  bytes: Uint8Array,
  path: string,
  find: typeof findConfig,
): { readonly config: CheckedConfig; readonly damage: StorageError | null } {
  try {
    return { config: checkedConfig(bytes, path), damage: null };
  } catch (error) {
    const isDamage = error instanceof StorageError && error.code === "INVALID_CONFIG";
    const config = isDamage ? find(bytes) : null;
    if (config === null || !isDamage) throw error;
    return { config, damage: error };
  }
}

function stateIn(
  fd: number,
  path: string,
  area: HeaderArea,
  bounds: Bounds,
  bytesPerCell: number,
): StateChoice | StorageError {
  try {
    if (bounds.fileCells < bounds.startIndex) {
      const message = `${path}: the file ends before its first cell: ${RESTORE}`;
      throw new StorageError("FILE_CUT", message, { path });
    }
    return chooseState(area, bounds, (record) => cellsOnFileMatch(fd, path, bytesPerCell, record), path);
  } catch (error) {
    if (error instanceof StorageError) return error;
    throw error;
  }
}

function copiesIn(area: HeaderArea, bounds: Bounds, state: StateChoice | StorageError): HeaderCopy[] {
  const behind = !(state instanceof StorageError) && state.recovery.ignored === "older";
  return [...pairOf("disk", area, bounds, false), ...pairOf("process", area, bounds, behind)];
}

function pairOf(sync: HeaderCopy["sync"], area: HeaderArea, bounds: Bounds, behind: boolean): HeaderCopy[] {
  const first = copyIn(area, `${sync}1`, bounds);
  const second = copyIn(area, `${sync}2`, bounds);
  if (behind && first.state === "good") first.state = "older";
  // Copy 1 is stored first, so a different copy 2 is older.
  const differs = first.header !== null && second.header !== null && !sameHeader(first.header, second.header);
  if (second.state === "good" && (behind || (first.state === "good" && differs))) second.state = "older";
  return [
    { sync, copy: 1, ...first },
    { sync, copy: 2, ...second },
  ];
}

function copyIn(area: HeaderArea, name: CopyName, bounds: Bounds): { header: Header | null; state: CopyState } {
  const header = area.copy(name);
  if (header === null) return { header, state: "torn" };
  return { header, state: checkHeader(header, bounds) === null ? "outside" : "good" };
}
