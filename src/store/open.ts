/** Creates a storage in a region, and opens one for writing: the steps, in order. */

import { type CheckedConfig, encodeConfig } from "../format/config.ts";
import { type CommitRecord, isTruncating } from "../format/commit-record.ts";
import { type CopyName, diskCopies, type HeaderArea } from "../format/area.ts";
import { type Bounds, boundsOf, encodeHeader, type Header, sameHeader } from "../format/header.ts";
import { FILE, startIndexOf } from "../format/layout.ts";
import type { WritableRegion } from "../region/region.ts";
import { storeProcessId } from "../state/header-stores.ts";
import { cellsMatch, CommitChecksum } from "../state/commit-checksum.ts";
import { Publisher } from "../state/publisher.ts";
import { chooseState, loadArea, type Recovery } from "../state/choose-state.ts";
import { alignFileEnd, alignToPages, Space } from "../cells/space.ts";

/** A storage that is open for writing. */
export interface OpenStore {
  readonly publisher: Publisher;
  readonly space: Space;
  /** The state at opening. */
  readonly header: Header;
  readonly recovery: Recovery;
}

/** The checked options of a writer. */
export interface WriterChoices {
  readonly writerKey: Uint8Array;
  /** If null, the step grows with the storage. */
  readonly stepBytes: number | null;
}

const created: Recovery = { state: "clean", skippedCells: 0, tornCopies: 0 };

/** Writes config, headers and annex into a region of zeros, and makes them durable. */
export function createStore(region: WritableRegion, config: CheckedConfig, choices: WriterChoices): OpenStore {
  const startIndex = startIndexOf(config.bytesPerCell);
  const header: Header = { next: startIndex, root: 0 };
  const running = new CommitChecksum(region, config.bytesPerCell, startIndex);
  const from = { durable: header, sequence: 0, truncations: 0, running };
  const publisher = new Publisher(region, config.bytesPerCell, choices.writerKey, from);
  // The disk space of a new file is reserved as a whole.
  const reserved = Math.min(config.maxIndex, Math.floor(region.sizeBytes / config.bytesPerCell));
  const space = new Space(region, config, choices.stepBytes, reserved, () => publisher.inspectFile());
  region.store({ offset: FILE.config.offset, bytes: encodeConfig(config) });
  storeProcessId(region, process.pid);
  publisher.flushSync(header);
  return { publisher, space, header, recovery: created };
}

/**
 * Recovers the state of a region; the caller holds the lock. A crash at any step leaves a file that opens at the same
 * state.
 * @throws HEADER_BROKEN, FILE_CUT, FAILED
 */
export function openStore(region: WritableRegion, config: CheckedConfig, choices: WriterChoices): OpenStore {
  const { bytesPerCell } = config;
  const area = loadArea(region);
  const bounds = boundsOf(config, region.sizeBytes);
  const matches = (record: CommitRecord): boolean => cellsMatch(region, bytesPerCell, record);
  const { header, disk, recovery } = chooseState(area, bounds, matches, region.path);
  const latest = area.records[0];
  const wasClosed = area.annexHead?.processId === 0 && sameHeader(header, disk);
  const hasUnflushed = header.next > disk.next;
  const wholeCells = alignFileEnd(region, config, hasUnflushed ? header.next : 0);
  // Cells that no flush covers may be in the page cache but not on the disk, even if earlier syncs succeeded.
  if (hasUnflushed) region.rewriteUncached(disk.next * bytesPerCell, header.next * bytesPerCell);
  repairDiskCopies(region, area, disk, header.next * bytesPerCell);
  makeDurable(region, header, disk, header.next * bytesPerCell);
  repairProcessCopies(region, area, bounds);
  // Store it before the flush, so that it is on the disk before any commit of this writer.
  storeProcessId(region, process.pid);
  const publisher = new Publisher(region, bytesPerCell, choices.writerKey, {
    durable: header,
    sequence: latest?.sequence ?? 0,
    truncations: latest?.truncations ?? 0,
    running: new CommitChecksum(region, bytesPerCell, header.next),
  });
  publisher.startOver(header, reusesCells(latest, recovery));
  // Drop the pages behind the cells too: after a failed write-back, a page that stayed in the cache may never bring new
  // cells to the disk. Do it after the flush, because a reader may still show a state that the flush replaced.
  if (!wasClosed) region.deallocate(alignToPages(header.next * bytesPerCell), wholeCells * bytesPerCell, "diskOnly");
  const space = new Space(region, config, choices.stepBytes, header.next, () => publisher.inspectFile());
  return { publisher, space, header, recovery };
}

/**
 * Tells whether cells that readers may hold can be allocated again, or may have been. This is the case if a truncation
 * was under way. It is also the case if the process-sync header is torn or points past the file, because the cells that
 * readers hold are then unknown.
 */
function reusesCells(latest: CommitRecord | undefined, { ignored }: Recovery): boolean {
  return isTruncating(latest?.truncations ?? 0) || ignored === "pastEnd" || ignored === "torn";
}

/**
 * Makes process-sync copy 2 equal to copy 1. The next commit stores copy 1 first. If a kill tears copy 1, copy 2 must
 * be whole, and must cover all cells that readers hold. The bytes are copied unchanged, so that readers with the
 * earlier writer's key still recognize them. If only copy 2 is believed, nothing is stored: readers that wait for a
 * writer interpret a change of copy 1 as its commit.
 */
function repairProcessCopies(region: WritableRegion, area: HeaderArea, bounds: Bounds): void {
  if (area.believed(["process1"], bounds) === null) return;
  const [bytes, before] = [area.bytesAt(FILE.process1), area.bytesAt(FILE.process2)];
  if (Buffer.compare(bytes, before) !== 0) region.store({ offset: FILE.process2.offset, bytes });
}

/**
 * Makes both disk-sync copies equal to the disk-sync header, so that one is whole while the next flush stores the other.
 */
function repairDiskCopies(region: WritableRegion, area: HeaderArea, disk: Header, toBytes: number): void {
  const bytes = encodeHeader(disk, null);
  const isCurrent = (name: CopyName): boolean => {
    const copy = area.copy(name);
    return copy !== null && sameHeader(copy, disk);
  };
  const [current, other] = [diskCopies.find(isCurrent), diskCopies.find((name) => !isCurrent(name))];
  if (current === undefined || other === undefined) return;
  // Before a store into one copy, the other copy must be on the disk as it is in memory. So store the current copy
  // again, unchanged: after a failed sync, the kernel may treat its page as written.
  region.store({ offset: FILE[current].offset, bytes });
  region.sync(toBytes);
  region.store({ offset: FILE[other].offset, bytes });
  region.sync(toBytes);
}

/**
 * Makes the chosen state the last flush. The records and the process-sync header stay unchanged until then: without
 * them, the next opening would choose another state.
 */
function makeDurable(region: WritableRegion, header: Header, disk: Header, toBytes: number): void {
  if (sameHeader(header, disk)) return;
  const bytes = encodeHeader(header, null);
  // A power cut up to here leaves the headers as they were. The same state is chosen again.
  region.sync(toBytes);
  region.store({ offset: FILE.disk1.offset, bytes });
  // A power cut up to here leaves copy 1 old, new or torn, and copy 2 old. The same state is chosen, by copy 1 or by
  // its proof.
  region.sync(toBytes);
  region.store({ offset: FILE.disk2.offset, bytes });
}
