/** The state that users get, and snapshots, which copies and streams use while the storage changes. */

import { RESTORE, StorageError } from "../error.ts";
import { keepsCells } from "../format/commit-record.ts";
import type { CheckedHeader, Header } from "../format/header.ts";
import type { ReadableRegion } from "../region/region.ts";
import { loadArea } from "./choose-state.ts";
import type { Follower } from "./follower.ts";
import type { Publisher } from "./publisher.ts";

/** A state of a storage: its root, and its length in cells. */
export interface StorageState {
  readonly root: number | null;
  readonly length: number;
}

/** Returns the state of a header in the form of the API: without a root, the root is null. */
export function stateOf({ next, root }: Header): StorageState {
  return { root: root === 0 ? null : root, length: next };
}

/** A state, and checks that its cells are still there. */
export interface Snapshot {
  readonly header: Header;
  /**
   * Call it after copying cells, before using the copy.
   * @throws TRUNCATED the cells may have been allocated again; FILE_CUT the file no longer has them
   */
  check(): void;
  /**
   * Call it before copying cells, and again before using the copy.
   * @throws FAILED a sync has failed, so the kernel may show the disk's bytes instead of those stored; FILE_CHANGED
   */
  checkTrust(): void;
}

/** A snapshot of the writer's last commit. Cells after it belong to no commit yet. */
export function writerSnapshot(publisher: Publisher, path: string): Snapshot {
  const { committed, truncations } = publisher;
  const check = (): void => {
    if (publisher.truncations !== truncations) throw truncated(path);
  };
  return { header: committed, check, checkTrust: () => publisher.checkFile() };
}

/**
 * A snapshot of the state that a reader shows.
 * @param onCut called when the file has become shorter than the state, so that no later access touches missing pages
 */
export function readerSnapshot(
  region: ReadableRegion,
  follower: Follower,
  bytesPerCell: number,
  onCut: () => void,
): Snapshot {
  const header: CheckedHeader = follower.header;
  // Take the count of the reader's last look, not the current one: a truncation since then affects the state shown.
  const truncations = follower.annexTruncations;
  const check = (): void => {
    region.measure();
    if (region.sizeBytes < header.next * bytesPerCell) {
      onCut();
      const message = `${region.path}: the file was cut to ${region.sizeBytes} bytes by another program: ${RESTORE}`;
      throw new StorageError("FILE_CUT", message, { path: region.path });
    }
    if (!keepsCells(loadArea(region).records, truncations)) throw truncated(region.path);
  };
  // A reader cannot see that a writer's sync has failed. By default it shows flushes, which are on the disk.
  return { header, check, checkTrust: () => undefined };
}

function truncated(path: string): StorageError {
  const message = `${path}: the storage was truncated since this state, and its cells may hold other data: start again from the current state (a reader calls refresh() first)`;
  return new StorageError("TRUNCATED", message, { path });
}
