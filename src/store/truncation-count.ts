/**
 * How often a storage was truncated, as a reader counts it: told by the commit records, and no sooner than the state
 * that it belongs to is shown.
 */

import { type CommitRecord, decodeAnnexHead, decodeCommitRecords, isLater } from "../format/annex.ts";
import { COMMIT_RECORD, FILE } from "../format/layout.ts";

/** Where the counts stand in the header area, in words. */
export const truncationWords: readonly number[] = [FILE.commitRecord1, FILE.commitRecord2].map(
  (place) => (place.offset + COMMIT_RECORD.truncations.offset) / 4,
);

export class TruncationCount {
  #count = 0;
  /** The count in the newest record, which runs ahead while a truncation is under way. */
  #latest = 0;
  #marks: readonly number[] = truncationWords.map(() => 0);
  /** The words when a record last told of what is shown; none until one does. */
  #seen: readonly number[] = this.#marks;

  /** That of the state which is shown. */
  get count(): number {
    return this.#count;
  }

  /** The words when what is shown was chosen: they move before a cell of it is given out again. */
  get marks(): readonly number[] {
    return this.#marks;
  }

  /** Whether the header area, in words, may tell of another count. */
  hasMoved(area: Int32Array): boolean {
    return truncationWords.some((word, i) => area[word] !== this.#seen[i]);
  }

  /** Whether a truncation was begun since: it flushed what was shown, and copy 2 may be what it was long before. */
  hasBegun(area: Uint8Array): boolean {
    return (decodeCommitRecords(area)[0]?.truncations ?? 0) !== this.#latest;
  }

  /** Takes the count that belongs to the header that is shown, from a commit record that tells of it. */
  take(area: Uint8Array, tellsOfIt: (record: CommitRecord) => boolean, startIndex: number): void {
    const records = decodeCommitRecords(area);
    this.#latest = records[0]?.truncations ?? 0;
    const telling = records.find(tellsOfIt);
    const words = wordsIn(area);
    // Both records may be of a truncation under way already: then no mark is right, for none will move again. Where a
    // writer of Cellar has closed the file, none is, and it is the original that has written since.
    const empty = records[0]?.next === startIndex;
    if (telling !== undefined || !empty || decodeAnnexHead(area)?.processId === 0) this.#marks = words;
    if (telling !== undefined) {
      this.#count = telling.truncations;
      this.#seen = words;
    }
    // While a truncation is under way both tell of it, and this header came before. Looked at again until one tells.
    else this.#count = oneBefore(this.#latest, this.#count);
  }
}

function wordsIn(area: Uint8Array): readonly number[] {
  const view = new DataView(area.buffer, area.byteOffset);
  return truncationWords.map((word) => view.getInt32(word * 4, true));
}

/** The count before `latest`, but none that is older than what is known: after the original wrote, none ever tells. */
function oneBefore(latest: number, known: number): number {
  const before = (latest - 1) >>> 0;
  return isLater(before, known) ? before : known;
}
