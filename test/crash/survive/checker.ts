/**
 * Opens what a victim left, in a process of its own: a signal here is a finding, not the end of the supervisor.
 * Commands: open (as a reader or a writer), check blobs, go on writing, close.
 */

import { StorageReader, StorageWriter } from "../../../src/index.ts";
import { type Message, serve } from "../../support/child.ts";
import { type Blob, contentOf, isContent, specOf } from "./blobs.ts";
import { Random } from "../../support/random.ts";

let storage: StorageReader | StorageWriter | null = null;

const actions: Readonly<Record<string, (command: Message) => Message>> = {
  read: ({ path, follow }) => {
    storage = StorageReader.open(String(path), { follow: follow === "commits" ? "commits" : "flushes" });
    return { root: storage.root, length: storage.length };
  },
  write: ({ path }) => {
    const writer = StorageWriter.openOrCreate(String(path), { lockTimeoutMs: 5000 });
    storage = writer;
    const { root, length, recovery } = writer;
    return {
      root,
      length,
      startIndex: writer.startIndex,
      recovery: recovery.state,
      skippedCells: recovery.skippedCells,
    };
  },
  /** Which of the blobs do not read as they should. */
  check: ({ blobs }) => {
    const bad = (blobs as Blob[]).filter((blob) => !reads(blob));
    const { root = null } = storage ?? {};
    const rootIsRight = root === null || (storage !== null && specOf(storage.read(root)) !== null);
    return { bad: bad.map(({ number, index }) => `${number} at ${index}`), rootIsRight };
  },
  /** The writer goes on: what it writes and flushes reads right, and `allocate` gives zeros. */
  goOn: ({ seed, firstNumber }) => {
    const writer = storage as StorageWriter;
    const random = new Random(Number(seed));
    const blobs: Blob[] = [];
    for (let number = Number(firstNumber); blobs.length < 5; number++) {
      const spec = { number, sizeBytes: random.between(16, 9000), previousIndex: 0, previousNumber: 0 };
      blobs.push({ ...spec, index: writer.write(contentOf(spec)) });
    }
    writer.root = blobs.at(-1)?.index ?? null;
    const { root, length } = writer.flushSync();
    return { root, length, blobs, bad: blobs.filter((blob) => !reads(blob)).map(({ index }) => index) };
  },
  close: () => {
    storage?.close();
    storage = null;
    return {};
  },
};

function reads(blob: Blob): boolean {
  if (storage === null || blob.index >= storage.length) return false;
  return isContent(storage.read(blob.index), blob);
}

await serve((command) => {
  const action = actions[String(command["do"])];
  if (action === undefined) throw new Error(`unknown command ${JSON.stringify(command)}`);
  return action(command);
});
