/** One of several processes that want to write the same file. Waits for its turn, writes, keeps it until it is killed. */

import { StorageError, StorageWriter } from "../../../src/index.ts";
import { serve } from "../../support/child.ts";
import { contentOf, specOf } from "./blobs.ts";
import { say } from "./lines.ts";

let writer: StorageWriter | null = null;

/** Milliseconds, the same in every process. */
const now = (): number => performance.timeOrigin + performance.now();

await serve((command) => {
  switch (command["do"]) {
    case "open": {
      // All begin at the same moment: not before, whoever was told first.
      while (now() < Number(command["at"])) continue;
      if (command["waits"] === true) say({ waiting: true });
      return open(String(command["path"]), Number(command["lockTimeoutMs"]));
    }
    case "write":
      return write(Number(command["number"]));
    default: {
      const closedAt = now();
      writer?.close();
      writer = null;
      return { closedAt };
    }
  }
});

function open(path: string, lockTimeoutMs: number): Record<string, unknown> {
  try {
    writer = StorageWriter.openOrCreate(path, { lockTimeoutMs });
  } catch (error) {
    return { won: false, code: error instanceof StorageError ? error.code : String(error) };
  }
  const { root } = writer;
  return { won: true, at: now(), last: root === null ? 0 : (specOf(writer.read(root))?.number ?? -1) };
}

/** Appends a blob and commits it: whoever comes next must find it. */
function write(number: number): Record<string, unknown> {
  if (writer === null) return { number: 0 };
  writer.root = writer.write(contentOf({ number, sizeBytes: 500, previousIndex: 0, previousNumber: 0 }));
  if (number % 3 === 0) writer.flushSync();
  else writer.commit();
  return { number };
}
