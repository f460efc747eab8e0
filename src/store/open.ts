/** Creating a storage in a region, and opening one for its writer: the steps, in their order. */

import { type CheckedConfig, encodeConfig } from "../format/config.ts";
import { type CommitRecord, isTruncating } from "../format/annex.ts";
import { type CopyName, diskCopies, type HeaderArea } from "../format/area.ts";
import { type Bounds, boundsOf, encodeHeader, type Header, sameHeader } from "../format/header.ts";
import { FILE, startIndexOf } from "../format/layout.ts";
import type { WritableRegion } from "../region/region.ts";
import { storeProcessId } from "../state/header-stores.ts";
import { cellsMatch, CommitChecksum } from "../state/commit-checksum.ts";
import { Publisher } from "../state/publisher.ts";
import { chooseState, loadArea, type Recovery } from "../state/choose-state.ts";
import { Space } from "../cells/space.ts";
import { makeWhole, wholePages } from "../cells/space.ts";

/** A storage that is open for writing. */
export interface OpenStore {
  readonly publisher: Publisher;
  readonly space: Space;
  readonly root: number;
  readonly recovery: Recovery;
}

/** What a writer chooses. */
export interface WriterChoices {
  readonly writerKey: Uint8Array;
  /** Null: the step grows with the storage. */
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
  // All of a new file has been allocated.
  const reserved = Math.min(config.maxIndex, Math.floor(region.sizeBytes / config.bytesPerCell));
  const space = new Space(region, config, choices.stepBytes, startIndex, () => publisher.inspectFile(), reserved);
  region.store({ offset: FILE.config.offset, bytes: encodeConfig(config) });
  storeProcessId(region, process.pid);
  publisher.flushSync(header);
  return { publisher, space, root: 0, recovery: created };
}

/**
 * Recovers the state of a region whose lock is held. A crash at any step leaves a file that opens at the same state.
 * @throws HEADER_BROKEN, FILE_CUT, FAILED
 */
export function openStore(region: WritableRegion, config: CheckedConfig, choices: WriterChoices): OpenStore {
  const { bytesPerCell } = config;
  const area = loadArea(region);
  const bounds = boundsOf(config, region.sizeBytes);
  const matches = (record: CommitRecord): boolean => cellsMatch(region, bytesPerCell, record);
  const { header, disk, recovery } = chooseState(area, bounds, matches, region.path);
  const latest = area.records[0];
  const closed = area.annexHead?.processId === 0 && sameHeader(header, disk);
  const unproven = header.next > disk.next;
  const wholeCells = makeWhole(region, config, unproven ? header.next : 0);
  // What the page cache shows of cells that no flush covers may not be on the disk, whatever earlier syncs said.
  if (unproven) region.rewriteUncached(disk.next * bytesPerCell, header.next * bytesPerCell);
  repairDiskCopies(region, area, disk, header.next * bytesPerCell);
  makeDurable(region, header, disk, header.next * bytesPerCell);
  repairProcessCopies(region, area, bounds);
  // Before the flush, and so on the disk before there is a commit of this writer there.
  storeProcessId(region, process.pid);
  const publisher = new Publisher(region, bytesPerCell, choices.writerKey, {
    durable: header,
    sequence: latest?.sequence ?? 0,
    truncations: latest?.truncations ?? 0,
    running: new CommitChecksum(region, bytesPerCell, header.next),
  });
  publisher.startOver(header, reusesCells(latest, recovery));
  // Nor do pages behind them that a failed write-back has left in the cache take new cells to the disk. Not before
  // the flush: a reader may still be at a state that it replaced.
  if (!closed) region.deallocate(wholePages(header.next * bytesPerCell), wholeCells * bytesPerCell, "diskOnly");
  const space = new Space(region, config, choices.stepBytes, header.next, () => publisher.inspectFile());
  return { publisher, space, root: header.root, recovery };
}

/**
 * Whether cells that readers may know are given out again, or may have been: a truncation was under way; or the
 * process-sync header is gone, or points past the file, so that nothing tells which cells readers know.
 */
function reusesCells(latest: CommitRecord | undefined, { ignored }: Recovery): boolean {
  return isTruncating(latest?.truncations ?? 0) || ignored === "pastEnd" || ignored === "torn";
}

/**
 * Makes process-sync copy 2 what copy 1 is. A commit stores copy 1 first: a kill in its middle must not find copy 2 torn or
 * older from a kill before, for readers may hold cells that only copy 1 tells of. The bytes stay as they are, so that
 * readers with their writer's key still know them. Where only copy 2 is good, nothing is stored: to readers that wait for
 * a writer a copy 1 that moves is its commit.
 */
function repairProcessCopies(region: WritableRegion, area: HeaderArea, bounds: Bounds): void {
  if (area.believed(["process1"], bounds) === null) return;
  const [bytes, before] = [area.bytesAt(FILE.process1), area.bytesAt(FILE.process2)];
  if (Buffer.compare(bytes, before) !== 0) region.store({ offset: FILE.process2.offset, bytes });
}

/** Makes both disk-sync copies the chosen header, so that the next flush finds a good one beside the one it stores. */
function repairDiskCopies(region: WritableRegion, area: HeaderArea, disk: Header, toBytes: number): void {
  const bytes = encodeHeader(disk, null);
  const isGood = (name: CopyName): boolean => {
    const copy = area.copy(name);
    return copy !== null && sameHeader(copy, disk);
  };
  const [good, bad] = [diskCopies.find(isGood), diskCopies.find((name) => !isGood(name))];
  if (good === undefined || bad === undefined) return;
  // Before a store into either copy, the other one must be on the disk as it is in memory. It is stored again, as it
  // is: after a sync that failed, its page may pass for written.
  region.store({ offset: FILE[good].offset, bytes });
  region.sync(toBytes);
  region.store({ offset: FILE[bad].offset, bytes });
  region.sync(toBytes);
}

/**
 * Makes the state that was chosen that of the last flush. Nothing that it was chosen by is touched before: with a
 * record or the process-sync header gone, the next opening would choose another state.
 */
function makeDurable(region: WritableRegion, header: Header, disk: Header, toBytes: number): void {
  if (sameHeader(header, disk)) return;
  const bytes = encodeHeader(header, null);
  // A power cut up to here: the cells are there or not, and the same is chosen again.
  region.sync(toBytes);
  region.store({ offset: FILE.disk1.offset, bytes });
  // Up to here: copy 1 is old, new or torn, and copy 2 is the last flush: the same is chosen, by the copy or by what proved it.
  region.sync(toBytes);
  region.store({ offset: FILE.disk2.offset, bytes });
}
