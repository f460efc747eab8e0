/**
 * Chooses the state of a file from its header area. Pure, except that the caller's `cellsMatch` compares the cells of a
 * commit record with its CRC.
 *
 * | process sync, against disk sync       | newest proven record      | opened at                                     |
 * |---------------------------------------|---------------------------|-----------------------------------------------|
 * | the same                              | not needed                | both: clean                                   |
 * | anything else                         | there is one              | root of the record, larger `next`: see below  |
 * | newer                                 | none                      | root of disk sync, `next` of process sync     |
 * | torn, older, past the end of the file | none                      | disk sync                                     |
 *
 * The larger `next` is that of the record or of a believed process-sync header. Readers may hold the cells before it, so
 * these must not be allocated again.
 */

import { RESTORE, StorageError } from "../error.ts";
import type { CommitRecord } from "../format/commit-record.ts";
import { decodeArea, diskCopies, type HeaderArea, processCopies } from "../format/area.ts";
import { type Bounds, type CheckedHeader, checkHeader, type Header, sameHeader } from "../format/header.ts";
import { HEADER_AREA_BYTES } from "../format/layout.ts";
import { libc } from "../os/libc.ts";

/** What opening found in the file, and which state it chose. */
export interface Recovery {
  /**
   * `clean`: disk sync and process sync agreed. `resumedAtCommit`: the state is that of the newest commit whose cells
   * are all there; after a kill this is the last commit. `resumedAtFlush`: the state is that of the last flush.
   */
  readonly state: "clean" | "resumedAtCommit" | "resumedAtFlush";
  /**
   * Cells of commits that could not be proven. They are never allocated again, because readers may hold their indices.
   */
  readonly skippedCells: number;
  /** How many of the four header copies had a wrong hash. */
  readonly tornCopies: number;
  /** Why the process-sync header was ignored; `pastEnd`: it points past the end of the file. */
  readonly ignored?: "torn" | "older" | "pastEnd";
}

export interface StateChoice {
  /** The state that the writer continues from. */
  readonly header: CheckedHeader;
  /** The last flush. */
  readonly disk: CheckedHeader;
  readonly recovery: Recovery;
}

/** The limit of loads until two agree. A load takes a fraction of a microsecond, a commit several microseconds. */
const MAX_LOADS = 100;
const barrier = new Int32Array(1);

/** Tells whether the cells `[base, next)` have the record's CRC. */
export type CellsMatch = (record: CommitRecord) => boolean;

/**
 * Chooses the state by the table above.
 * @throws HEADER_BROKEN both disk-sync copies are torn or impossible
 * @throws FILE_CUT the disk-sync header points past the end of the file
 */
export function chooseState(area: HeaderArea, bounds: Bounds, cellsMatch: CellsMatch, path: string): StateChoice {
  const tornCopies = [...diskCopies, ...processCopies].filter((name) => area.copy(name) === null).length;
  const disk = diskHeader(area, bounds, path);
  const process = area.believed(processCopies, bounds);
  if (process !== null && sameHeader(process, disk)) {
    return { header: disk, disk, recovery: { state: "clean", skippedCells: 0, tornCopies } };
  }
  const ignored = ignoredFor(process, disk, area);
  const proven = newestProven(area, bounds, disk, process, cellsMatch);
  const found = proven ?? disk;
  const next = Math.max(found.next, ignored === undefined ? (process?.next ?? 0) : 0);
  const recovery: Recovery = {
    state: proven === null ? "resumedAtFlush" : "resumedAtCommit",
    skippedCells: next - found.next,
    tornCopies,
    ...(ignored === undefined ? {} : { ignored }),
  };
  // The result counts as checked: `next` is that of a believed header, and the root is less than `next`.
  return { header: { next, root: found.root } as CheckedHeader, disk, recovery };
}

/**
 * The disk-sync header: the last flush.
 * @throws HEADER_BROKEN, FILE_CUT
 */
export function diskHeader(area: HeaderArea, bounds: Bounds, path: string): CheckedHeader {
  return area.believed(diskCopies, bounds) ?? brokenHeader(area, bounds, path);
}

/** Returns why the process-sync header is ignored; undefined if it is used. */
function ignoredFor(
  process: Header | null,
  disk: Header,
  area: HeaderArea,
): NonNullable<Recovery["ignored"]> | undefined {
  if (process === null) return processCopies.every((name) => area.copy(name) === null) ? "torn" : "pastEnd";
  return process.next < disk.next ? "older" : undefined;
}

/**
 * Returns the state of the newest commit record that is proven, or null. A record is a candidate if it equals the
 * process-sync header. It is also a candidate if its commit came after the flush in disk sync, even if the process-sync
 * header is torn or of another commit. Such a record must name the flush by length and root. Otherwise it could be an
 * old record: Plebeia does not change records when it continues from a flush.
 */
function newestProven(
  area: HeaderArea,
  bounds: Bounds,
  disk: Header,
  process: Header | null,
  cellsMatch: CellsMatch,
): CheckedHeader | null {
  for (const record of area.records) {
    // This is the record of the flush itself; the records after it in the list are older.
    if (sameHeader(record, disk)) return null;
    const header = checkHeader({ next: record.next, root: record.root }, bounds);
    const isAfterDisk = record.base === disk.next && record.baseRoot === disk.root && record.next > disk.next;
    const isCandidate = isAfterDisk || (process !== null && sameHeader(record, process));
    if (header !== null && isCandidate && covers(record, disk, bounds) && cellsMatch(record)) return header;
  }
  return null;
}

/** Tells whether the record's CRC and the flush together cover all cells of the record's state. */
function covers({ base, next }: CommitRecord, disk: Header, { startIndex }: Bounds): boolean {
  return startIndex <= base && base <= disk.next && disk.next <= next;
}

/**
 * Loads the header area. All its parts must come from one moment: a commit during a load would leave old headers beside
 * new records. So the area is loaded until two loads agree, at most `MAX_LOADS` times.
 */
export function loadArea({ address }: { readonly address: number }): HeaderArea {
  let area = new Uint8Array(HEADER_AREA_BYTES);
  let again = new Uint8Array(HEADER_AREA_BYTES);
  loadHeader(address, area);
  for (let load = 0; load < MAX_LOADS; load++) {
    loadHeader(address, again);
    if (Buffer.compare(area, again) === 0) break;
    [area, again] = [again, area];
  }
  return decodeArea(area);
}

/**
 * Copies the first bytes of the memory at `address`. Later loads of cells return data that is at least as new.
 *
 * It loads by libc's `memcpy`, never by `Atomics.load`: JSC's optimizing compiler turns that into an instruction that
 * needs a writable page, which kills the process on a reader's mapping (Bun 1.4.5, x64).
 */
export function loadHeader(address: number, target: Uint8Array): void {
  libc().memcpy(target, address, target.byteLength);
  // A sequentially consistent read-modify-write: on arm64 too, no later load of a cell moves before the loads above.
  Atomics.add(barrier, 0, 0);
}

/** Tells whether a commit record proves that every cell of the process-sync header is in the file. */
export function isProven(
  area: HeaderArea,
  bounds: Bounds,
  { process, disk }: { readonly process: CheckedHeader; readonly disk: CheckedHeader },
  cellsMatch: CellsMatch,
): boolean {
  return area.records.some(
    (record) => sameHeader(record, process) && covers(record, disk, bounds) && cellsMatch(record),
  );
}

function brokenHeader(area: HeaderArea, bounds: Bounds, path: string): never {
  const inLongerFile = { ...bounds, fileCells: bounds.maxIndex };
  const cut = area.believed(diskCopies, inLongerFile);
  if (cut !== null) {
    const message = `${path}: the last flush has ${cut.next} cells, the file only ${bounds.fileCells}: it was cut; see what cellar recover can do, or ${RESTORE}`;
    throw new StorageError("FILE_CUT", message, { path });
  }
  const message = `${path}: both copies of the disk-sync header are broken: see what cellar recover can do, or ${RESTORE}`;
  throw new StorageError("HEADER_BROKEN", message, { path });
}
