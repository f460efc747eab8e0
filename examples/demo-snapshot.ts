/** Stores a folder as a snapshot: a blob for each file, and a manifest, a blob that lists the files in JSON. */

import { constants, lstatSync, readdirSync, readFileSync, realpathSync, type Stats } from "node:fs";
import { join } from "node:path";
import { getSystemErrorMessage } from "node:util";
import { StorageError, type StorageReader, type StorageWriter } from "cellar";
import { type Meter, say } from "./demo-meter.ts";

export interface Manifest {
  readonly time: string;
  readonly folder: string;
  readonly files: readonly StoredFile[];
  /** The index of the manifest before this one. */
  readonly previous: number | null;
}

export interface StoredFile {
  readonly path: string;
  readonly bytes: number;
  readonly mtimeMs: number;
  readonly index: number;
}

/** If a file has become a link or a FIFO since `lstat`, the open does not follow it and does not wait. */
const flag = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Stores the regular files of a folder, one at a time in memory, and makes their manifest the root. */
export function storeFolder(writer: StorageWriter, folder: string, meter: Meter): void {
  const files: StoredFile[] = [];
  const manifest: Manifest = { time: new Date().toISOString(), folder, files, previous: writer.root };
  const storage = realpathSync(writer.path);
  const visit = (path: string): void => {
    const fullPath = join(folder, path);
    try {
      const stats = lstatSync(fullPath);
      if (stats.isDirectory()) for (const name of readdirSync(fullPath)) visit(join(path, name));
      if (!stats.isFile() || fullPath === storage) return;
      if (stats.size > 2 ** 31) return say("Skipped", `${path}: too long for one blob`);
      const bytes = readFileSync(fullPath, { flag });
      files.push({ path, bytes: bytes.length, mtimeMs: stats.mtimeMs, index: writer.write(bytes) });
      meter.addFile(bytes.length, "Storing");
    } catch (error) {
      say("Skipped", `${path}: ${refusal(error)}`);
    }
  };
  visit(".");
  writer.root = writer.write(Buffer.from(JSON.stringify(manifest)));
}

/** The storage's manifests, the newest first. */
export function* snapshots(storage: StorageReader | StorageWriter): Generator<Manifest> {
  for (let index = storage.root; index !== null;) {
    const manifest = JSON.parse(Buffer.from(storage.read(index)).toString()) as Manifest;
    yield manifest;
    index = manifest.previous;
  }
}

/** Compares every file of the newest snapshot with the folder. Prints differences; returns whether all are equal. */
export function compareFolder(reader: StorageReader, folder: string, meter: Meter): boolean {
  const [newest] = snapshots(reader);
  for (const file of newest?.files ?? []) {
    const finding = compareFile(reader, file, join(folder, file.path));
    if (finding === "equal") meter.addFile(file.bytes, "Comparing");
    else say("Not equal", `${file.path}: ${finding}`);
  }
  return newest?.files.length === meter.files;
}

function compareFile(reader: StorageReader, file: StoredFile, fullPath: string): string {
  const isAsStored = (stats: Stats): boolean =>
    stats.isFile() && stats.size === file.bytes && stats.mtimeMs === file.mtimeMs;
  try {
    if (!isAsStored(lstatSync(fullPath))) return "changed meanwhile";
    if (readFileSync(fullPath, { flag }).equals(reader.read(file.index))) return "equal";
    return isAsStored(lstatSync(fullPath)) ? "DIFFERENT" : "changed meanwhile";
  } catch (error) {
    return error instanceof StorageError ? `DIFFERENT: ${error.message}` : `changed meanwhile: ${refusal(error)}`;
  }
}

/** The system's message of an error. Rethrows any other error. */
function refusal(error: unknown): string {
  if (error instanceof StorageError || !(error instanceof Error && "errno" in error)) throw error;
  return getSystemErrorMessage(Number(error.errno));
}
