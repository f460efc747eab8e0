/** What the library makes of a file, held against the second decoder: both refuse it, or both see the same state. */

import { readFileSync, writeFileSync } from "node:fs";
import { check, StorageError, StorageReader, StorageWriter } from "../../../src/index.ts";
import {
  blobAt,
  decode,
  type DecodedFile,
  readerState as readerStateOf,
  Refused,
  type State,
  writerState,
} from "../../support/decoder.ts";

/** The codes that a file's content may lead to. */
const contentCodes = new Set(["NOT_A_STORAGE", "INVALID_CONFIG", "HEADER_BROKEN", "FILE_CUT"]);

export interface Verdict {
  readonly opened: boolean;
}

/**
 * Opens the bytes as a reader and as a writer, and checks them.
 * @throws whatever is wrong: another state than the decoder's, an untyped error, a file that a reader changed
 */
export function judge(path: string, bytes: Uint8Array, blobs: readonly number[]): Verdict {
  writeFileSync(path, bytes);
  const expected = outcome(() => decode(bytes));
  const file = expected.value;
  const seen = (state: (file: DecodedFile) => State): Outcome<State> =>
    file === null ? { value: null } : outcome(() => state(file));

  const readerState = seen((decoded) => readerStateOf(decoded, "flushes"));
  const reader = opening(() => StorageReader.open(path), readerState.value !== null, "reader");
  if (reader !== null && file !== null) {
    sameState(reader, readerState.value, "reader");
    for (const index of blobs) sameBlob(reader, file, index);
    reader.refresh();
    reader.close();
  }
  const findings = check(path, blobs);
  const broken = findings.some(({ level, part }) => level === "damage" && part !== "blob");
  if (broken !== (readerState.value === null)) throw new Error(`check says ${JSON.stringify(findings)}`);
  if (!readFileSync(path).equals(bytes)) throw new Error("a reader, or the checker, changed the file");

  const expectedWriter = seen(writerState);
  const writer = opening(() => StorageWriter.open(path), expectedWriter.value !== null, "writer");
  if (writer !== null) {
    sameState(writer, expectedWriter.value, "writer");
    const index = writer.write(Uint8Array.of(1, 2, 3));
    if (writer.read(index).join() !== "1,2,3") throw new Error("a recovered writer does not store");
    writer.close();
  }
  return { opened: readerState.value !== null };
}

interface Outcome<T> {
  readonly value: T | null;
}

/** The value, or null if the second decoder refuses. */
function outcome<T>(choose: () => T): Outcome<T> {
  try {
    return { value: choose() };
  } catch (error) {
    if (error instanceof Refused) return { value: null };
    throw error;
  }
}

function opening<T extends Disposable>(open: () => T, expected: boolean, who: string): T | null {
  try {
    const opened = open();
    if (expected) return opened;
    opened[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof StorageError) || !contentCodes.has(error.code)) throw error;
    if (expected) throw new Error(`the ${who} refuses what the decoder accepts: ${error.message}`);
    return null;
  }
  throw new Error(`the ${who} accepts what the decoder refuses`);
}

function sameState(storage: { root: number | null; length: number }, state: State | null, who: string): void {
  if ((storage.root ?? 0) === state?.root && storage.length === state.next) return;
  const got = { root: storage.root, length: storage.length };
  throw new Error(`${who}: ${JSON.stringify(got)}, the decoder: ${JSON.stringify(state)}`);
}

/** Reads one blob both ways: the same bytes, or both refuse. */
export function sameBlob(
  storage: { length: number; read(index: number): Uint8Array },
  file: DecodedFile,
  index: number,
): boolean {
  const expected = outcome(() => blobAt(file, index, storage.length)).value;
  try {
    const got = storage.read(index);
    if (expected === null) throw new Error(`read(${index}) accepts what the decoder refuses`);
    if (Buffer.compare(got, expected) !== 0) throw new Error(`read(${index}) differs from the decoder`);
    return true;
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    if (error.code !== "CHUNK_CORRUPT" && error.code !== "INDEX_OUT_OF_RANGE") throw error;
    if (expected !== null) throw new Error(`read(${index}) refuses what the decoder accepts: ${error.message}`);
    return false;
  }
}
