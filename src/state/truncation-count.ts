/**
 * How often a storage was truncated, as a reader counts it: told by the commit records, and no sooner than the state
 * that it belongs to is shown.
 */

import { type CommitRecord, decodeCommitRecords, isLater } from "../format/annex.ts";
import { COMMIT_RECORD, FILE, type Place } from "../format/layout.ts";
import { decodeAt } from "./choose-state.ts";

/** A word of the header area, by number, and what it was. */
export type Mark = readonly [word: number, value: number];

const records: readonly Place[] = [FILE.commitRecord1, FILE.commitRecord2];
/** Where the counts stand in the header area, in words. */
const truncationWords: readonly number[] = records.map(
  (place) => (place.offset + COMMIT_RECORD.truncations.offset) / 4,
);
/** What a truncation under way has yet to store, and whatever is done after it. */
const wordsOfTruncation: readonly number[] = [FILE.disk1, FILE.disk2, ...records].flatMap(({ offset, sizeBytes }) =>
  Array.from({ length: sizeBytes / 4 }, (_, i) => offset / 4 + i),
);

export class TruncationCount {
  #count = 0;
  /** Whether the count is that of a state which was shown. */
  #isShown = false;
  /** The count in the newest record, which runs ahead while a truncation is under way. */
  #latest = 0;
  #marks: readonly Mark[] = [];
  /** The counts when a record last told of what is shown; none until one does. */
  #seen: readonly Mark[] = truncationWords.map((word) => [word, 0]);

  /** That of the state which is shown. */
  get count(): number {
    return this.#count;
  }

  /** Words when what is shown was chosen: one moves before a cell of it is given out again. */
  get marks(): readonly Mark[] {
    return this.#marks;
  }

  /** Whether the header area, in words, may tell of another count. */
  hasMoved(area: Int32Array): boolean {
    return haveMoved(this.#seen, area);
  }

  /** Whether a truncation was begun since: it flushed what was shown, and copy 2 may be what it was long before. */
  hasBegun(area: Uint8Array): boolean {
    return (decodeCommitRecords(area)[0]?.truncations ?? 0) !== this.#latest;
  }

  /** Takes the count that belongs to the header that is shown, from a commit record that tells of it. */
  take(area: Uint8Array, tellsOfIt: (record: CommitRecord) => boolean, startIndex: number): void {
    const decoded = decodeCommitRecords(area);
    this.#latest = decoded[0]?.truncations ?? 0;
    const telling = decoded.find(tellsOfIt);
    const counts = marksOf(truncationWords, area);
    // Both records may be of a truncation under way already, or of one that failed: the counts will not move again, but
    // its disk-sync copies will, and the records with the next commit. The process-sync header is its too until then; it is
    // not where the original has written since.
    const isUnderWay = decoded[0]?.next === startIndex && decodeAt(area, FILE.process1)?.next === startIndex;
    this.#marks = telling === undefined && isUnderWay ? marksOf(wordsOfTruncation, area) : counts;
    if (telling !== undefined) {
      this.#count = telling.truncations;
      this.#seen = counts;
    }
    // While a truncation is under way both tell of it, and this header came before. Looked at again until one tells.
    else this.#count = oneBefore(this.#latest, this.#isShown ? this.#count : null);
    this.#isShown = true;
  }
}

/** Whether a word is no longer what it was; of the header area, in words. */
export function haveMoved(marks: readonly Mark[], area: Int32Array): boolean {
  return marks.some(([word, value]) => area[word] !== value);
}

function marksOf(words: readonly number[], area: Uint8Array): readonly Mark[] {
  const view = new DataView(area.buffer, area.byteOffset);
  return words.map((word) => [word, view.getInt32(word * 4, true)]);
}

/** The count before `latest`, but none that is older than what is known: after the original wrote, none ever tells. */
function oneBefore(latest: number, known: number | null): number {
  const before = (latest - 1) >>> 0;
  if (known === null) return latest === 0 ? 0 : before;
  return isLater(before, known) ? before : known;
}
