/** The content of a state on its way to a file: what the system says of the file must not be lost. */

import { expect, test } from "bun:test";
import { StorageWriter } from "../../src/index.ts";
import type { NewFile } from "../../src/os/new-file.ts";
import { contentOf, writeContent } from "../../src/replicate/content.ts";
import { newestState } from "../../src/replicate/find-state.ts";
import { openLog } from "../../src/replicate/log.ts";
import { replicate } from "../../src/replicate/replicator.ts";
import { useFolder } from "../support/folder.ts";
import { SMALL_BLOCK_BYTES, smallReplica } from "./life.ts";
import { MemoryStore } from "./memory-store.ts";

const path = useFolder({ inMemory: true });

test("a sync that fails between the blocks fails the restore: the system reports a lost write only once", async () => {
  const file = path();
  const store = new MemoryStore();
  await smallReplica(store);
  {
    using writer = StorageWriter.create(file);
    writer.root = writer.write(new Uint8Array(10 * SMALL_BLOCK_BYTES));
  }
  {
    await using replicator = replicate(file, store);
    await replicator.replicated();
  }
  const log = await openLog(store);
  const state = await newestState(log);
  if (state === null) throw new Error("no state");
  const content = await contentOf(log, state);
  for (const failing of [Infinity, 1, 2, 3]) {
    let syncs = 0;
    const written: number[] = [];
    const target = {
      write: async (bytes: Uint8Array) => void written.push(bytes.length),
      sync: async () => {
        syncs++;
        if (syncs === failing) throw new Error("EIO");
      },
    } as unknown as NewFile;
    const done = writeContent(log, content, target, { writerKey: new Uint8Array(32), onBytes: () => undefined });
    const outcome = await done.then(
      () => "written",
      (error: Error) => error.message,
    );
    expect([failing, outcome]).toEqual([failing, failing === Infinity ? "written" : "EIO"]);
    if (failing === Infinity) expect(written.reduce((sum, bytes) => sum + bytes, 0)).toBe(content.state.next * 32);
  }
});
