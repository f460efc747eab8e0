/** A state that is held on to over some time, while the storage goes on: for copies and streams. */

import { RESTORE, StorageError } from "../error.ts";
import { keepsCells } from "../format/annex.ts";
import type { CheckedHeader, Header } from "../format/header.ts";
import type { ReadableRegion } from "../region/region.ts";
import { loadArea } from "./choose-state.ts";
import type { Follower } from "./follower.ts";
import type { Publisher } from "./publisher.ts";

/** A state, and whether its cells are still there. */
export interface Snapshot {
  readonly header: Header;
  /**
   * To be called after cells were copied, before the copy is used.
   * @throws TRUNCATED they may have been given out again; FILE_CUT the file no longer has them
   */
  check(): void;
  /**
   * To be called before cells are copied, and before the copy is used.
   * @throws FAILED a sync has failed: the kernel may show what the disk has instead of what was stored; FILE_CHANGED
   */
  checkTrust(): void;
}

/** What a writer has committed last: the cells behind it are nobody's yet. */
export function writerSnapshot(publisher: Publisher, path: string): Snapshot {
  const { committed, truncations } = publisher;
  const check = (): void => {
    if (publisher.truncations !== truncations) throw truncated(path);
  };
  return { header: committed, check, checkTrust: () => publisher.checkFile() };
}

/**
 * What a reader shows.
 * @param onCut called when the file has become shorter than that, so that nothing touches what is gone
 */
export function readerSnapshot(
  region: ReadableRegion,
  follower: Follower,
  bytesPerCell: number,
  onCut: () => void,
): Snapshot {
  const header: CheckedHeader = follower.header;
  // At the reader's last look, not now: a truncation since then has overtaken what it shows.
  const truncations = follower.toldTruncations;
  const check = (): void => {
    region.measure();
    if (region.sizeBytes < header.next * bytesPerCell) {
      onCut();
      const message = `${region.path}: the file was cut to ${region.sizeBytes} bytes by another program: ${RESTORE}`;
      throw new StorageError("FILE_CUT", message, { path: region.path });
    }
    if (!keepsCells(loadArea(region).records, truncations)) throw truncated(region.path);
  };
  // Whose writer it is that failed a reader cannot know: by default it shows flushes, which are on the disk.
  return { header, check, checkTrust: () => undefined };
}

function truncated(path: string): StorageError {
  const message = `${path}: the storage was truncated since this state, and its cells may hold other data: start again from the state as it is now (of a reader: after refresh())`;
  return new StorageError("TRUNCATED", message, { path });
}
