/** Shared by the commands that open a storage: their options, and the indices that the user gives. */

import { StorageReader } from "../reader.ts";
import type { Storage } from "../storage.ts";
import { CommandError, UsageError } from "./failure.ts";

const unsafe = "allow-unsafe-filesystem";

/** Options of every command that opens a storage. */
export const openingOptions: Record<typeof unsafe, { readonly help: string }> = {
  [unsafe]: { help: "allow a file on NFS, SMB, 9p or FUSE" },
};

/** Options of every command that reads a storage. */
export const readingOptions: typeof openingOptions &
  Record<"follow", { readonly value: string; readonly help: string }> = {
  follow: { value: "WHAT", help: '"commits" (default): the last commit; "flushes": the last flush, which is durable' },
  ...openingOptions,
};

interface ReadingValues {
  readonly follow?: string;
  readonly [unsafe]?: boolean;
}

/** Opens a reader with the given options. */
export function openReader(path: string, values: ReadingValues): StorageReader {
  const { follow = "commits" } = values;
  if (follow !== "commits" && follow !== "flushes") {
    throw new UsageError(`--follow: expected "commits" or "flushes", got ${JSON.stringify(follow)}`);
  }
  return StorageReader.open(path, { follow, allowUnsafeFilesystem: values[unsafe] });
}

/** Parses a whole number. */
export function wholeNumber(name: string, text: string, least = 0, most: number = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  const range = most === Number.MAX_SAFE_INTEGER ? `${least} on` : `${least} to ${most}`;
  throw new UsageError(`${name}: expected a whole number from ${range}, got ${JSON.stringify(text)}`);
}

/** Returns the whole number of an option, or undefined if it was not given. */
export function numberOption<Name extends string>(
  values: { readonly [K in Name]?: string },
  name: Name,
  least?: number,
  most?: number,
): number | undefined {
  const text = values[name];
  return text === undefined ? undefined : wholeNumber(`--${name}`, text, least, most);
}

/** Returns the given index, or the storage's root if none was given. */
export function indexIn(storage: Storage, text: string = "root"): number {
  if (text !== "root") return wholeNumber("INDEX", text);
  if (storage.root !== null) return storage.root;
  throw new CommandError("NO_ROOT", `${storage.path}: the storage has no root: give an index`);
}
