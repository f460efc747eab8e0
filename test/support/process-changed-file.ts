/**
 * A writer whose file another program changes: `bun process-changed-file.ts HOW PATH BACKUP`. In a process of its own,
 * because a touch past the end of a file that was cut ends it. Prints what each call threw, and what is left of the file.
 */

import { copyFileSync, readFileSync, truncateSync } from "node:fs";
import { StorageError, StorageWriter } from "../../src/index.ts";

const [how = "", path = "", backup = ""] = process.argv.slice(2);
const KIB = 1024;
const CAPACITY_CELLS = 65536;

type Call = (writer: StorageWriter) => unknown;

/** What another program does. */
const changes: Readonly<Record<string, () => void>> = {
  cut: () => truncateSync(path, 8 * KIB),
  "cut in its header": () => truncateSync(path, 100),
  emptied: () => truncateSync(path, 0),
  "copied over": () => copyFileSync(backup, path),
};

/** What the writer does then, which finds it or hides it: grows, or writes up to the end that the file had. */
const writes: Readonly<Record<string, Call>> = {
  "cut, then grown": (writer) => (writer.root = writer.write(new Uint8Array(8192 * KIB))),
  "cut, then filled": (writer) => writer.allocate(CAPACITY_CELLS - writer.length),
};

/** What the writer does next. */
const next: Readonly<Record<string, Call>> = {
  commit: (writer) => writer.commit(),
  flush: (writer) => writer.flush(),
  flushSync: (writer) => writer.flushSync(),
  truncate: (writer) => writer.truncate(),
  overrideVersion: (writer) => writer.overrideVersion(2),
  close: (writer) => writer.close(),
  copyTo: (writer) => writer.copyTo(`${path}.copy`),
  dispose: (writer) => writer[Symbol.asyncDispose](),
};

async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call();
    return "no error";
  } catch (error) {
    return error instanceof StorageError ? error.code : String(error);
  }
}

const codes: Record<string, string[]> = {};
let stored = 0;
for (const [name, call] of Object.entries(next)) {
  const writer = StorageWriter.create(path, { capacityCells: CAPACITY_CELLS, resizeStepBytes: 8192 * KIB });
  writer.root = writer.write(new Uint8Array(1024 * KIB).fill(1));
  const blob = writer.root;
  writer.flushSync();
  changes[how.split(",", 1)[0] ?? ""]?.();
  const before = readFileSync(path);
  writes[how]?.(writer);
  codes[name] = [await codeOf(() => call(writer)), await codeOf(() => writer.flushSync())];
  if (name !== "close" && name !== "dispose") {
    codes[name].push(await codeOf(() => writer.read(blob)), await codeOf(() => writer.stats()));
  }
  codes[name].push(await codeOf(() => writer.close()));
  if (Buffer.compare(before, readFileSync(path)) !== 0) stored++;
  await Bun.file(path).delete();
}
process.stdout.write(`${JSON.stringify({ codes, stored })}\n`);
