/**
 * Maps keys to paths in a folder. Records go to subfolders of at most 4,096 names. A year of one record a second, 31
 * million files, is then listed from either end by reading three folders:
 *
 *     log/fffffffffffffffe  →  log/ffffffffff/fff/fffffffffffffffe
 */

import { wrongType } from "../../error.ts";
import { checkKey, isKey } from "./store.ts";

const LOG = "log";
const RECORD_NAME = /^[0-9a-f]{16}$/;
/** How many digits of a record's name are in the names of its two subfolders. */
const SHARDS: readonly (readonly [from: number, to: number])[] = [
  [0, 10],
  [10, 13],
];

/** The names of the folders below the store's, and of the file. @throws TypeError */
export function segmentsOf(key: string): string[] {
  const segments = checkKey(key).split("/");
  if (segments[0] !== LOG) return segments;
  const name = segments[1] ?? "";
  if (segments.length !== 2 || !RECORD_NAME.test(name)) throw wrongType("key", "log/ and 16 hexadecimal digits", key);
  return [LOG, ...SHARDS.map(([from, to]) => name.slice(from, to)), name];
}

/** Returns the key of a file, or null if the file is not an object of the store. */
export function keyOf(segments: readonly string[]): string | null {
  const key = segments[0] === LOG ? `${LOG}/${segments.at(-1)}` : segments.join("/");
  if (!isKey(key) || (segments[0] === LOG && !RECORD_NAME.test(segments.at(-1) ?? ""))) return null;
  return segmentsOf(key).join("/") === segments.join("/") ? key : null;
}

/** Returns the common beginning of the keys of all files below a folder. */
export function keysBelow(folders: readonly string[]): string {
  if (folders.length === 0) return "";
  return folders[0] === LOG ? `${LOG}/${folders.slice(1).join("")}` : `${folders.join("/")}/`;
}
