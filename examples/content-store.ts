/**
 * Snapshots of a folder. Equal contents are stored once, in all snapshots and under all names:
 *
 *   bun examples/content-store.ts STORE add FOLDER              a new snapshot
 *   bun examples/content-store.ts STORE history                 the snapshots, the latest first
 *   bun examples/content-store.ts STORE restore NUMBER FOLDER   a snapshot's files, in a new folder
 *
 * The address of a content is its SHA-256. A snapshot is a manifest in JSON: it has the address and the index of every
 * file, and the index of the manifest before it. The root is the latest manifest. The manifests are also the table of
 * addresses. Each read compares the content with its address, so it detects what a failing disk has changed.
 */

import { mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Storage, StorageReader, StorageWriter } from "cellar";

interface StoredFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly index: number;
}

interface Snapshot {
  readonly number: number;
  readonly time: string;
  readonly files: readonly StoredFile[];
  readonly previous: number | null;
}

const headString = "cellar contents";

/** The snapshots, the latest first. */
function* history(storage: Storage): Generator<Snapshot> {
  for (let index = storage.root; index !== null;) {
    const snapshot = JSON.parse(new TextDecoder().decode(storage.read(index))) as Snapshot;
    yield snapshot;
    index = snapshot.previous;
  }
}

/** Stores the contents that the storage does not have yet, and a manifest of all files of the folder. */
function add(writer: StorageWriter, folder: string): void {
  const [latest, ...older] = history(writer);
  const known = new Map([latest, ...older].flatMap((one) => one?.files ?? []).map((file) => [file.sha256, file.index]));
  const lengthBefore = writer.byteLength;
  const files = filesIn(folder, realpathSync(writer.path)).map((path): StoredFile => {
    const content = readFileSync(join(folder, path));
    const sha256 = addressOf(content);
    const index = known.get(sha256) ?? writer.write(content);
    known.set(sha256, index);
    return { path, bytes: content.length, sha256, index };
  });
  const time = new Date().toISOString();
  const snapshot: Snapshot = { number: (latest?.number ?? 0) + 1, time, files, previous: writer.root };
  writer.root = writer.write(Buffer.from(JSON.stringify(snapshot)));
  // After a kill before this line, the storage still shows the previous snapshots.
  writer.flushSync();
  console.log(`${describe(snapshot)}, the store grew by ${writer.byteLength - lengthBefore}`);
}

function restore(reader: StorageReader, number: number, folder: string): void {
  const snapshot = history(reader).find((one) => one.number === number);
  if (snapshot === undefined) throw new Error(`there is no snapshot ${number}`);
  mkdirSync(folder);
  for (const { path, sha256, index } of snapshot.files) {
    if (!join(folder, path).startsWith(join(folder, "/"))) throw new Error(`${path}: leads out of the folder`);
    const content = reader.read(index);
    if (addressOf(content) !== sha256) throw new Error(`${path}: the bytes in the store are not those of ${sha256}`);
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  console.log(`restored ${describe(snapshot)}`);
}

function describe({ number, time, files }: Snapshot): string {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return `snapshot ${number} of ${time}: ${files.length} files, ${bytes} bytes`;
}

/** The regular files of a folder, as paths in it. */
function filesIn(folder: string, except: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map(({ name, parentPath }) => join(parentPath, name));
  return paths
    .filter((path) => realpathSync(path) !== except)
    .map((path) => path.slice(join(folder, "/").length))
    .sort();
}

function addressOf(content: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(content).digest("hex");
}

const [path = "", verb, ...args] = process.argv.slice(2);
try {
  if (verb === "add" && args.length === 1) {
    using writer = StorageWriter.openOrCreate(path, { headString });
    add(writer, args[0] ?? "");
  } else if (verb === "history" || (verb === "restore" && args.length === 2)) {
    using reader = StorageReader.open(path, { expect: { headString } });
    if (verb === "history") for (const snapshot of history(reader)) console.log(describe(snapshot));
    else restore(reader, Number(args[0]), args[1] ?? "");
  } else throw new Error("usage: STORE add FOLDER, STORE history, or STORE restore NUMBER FOLDER");
} catch (error) {
  if (!(error instanceof Error)) throw error;
  console.error(`content-store: ${error.message}`);
  process.exitCode = 1;
}
