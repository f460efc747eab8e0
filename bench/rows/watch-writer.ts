/**
 * The writer of the row `watch`, in a process of its own: `bun watch-writer.ts KIND FOLDER`. At the line
 * "COUNT LEAST_MS MOST_MS" it commits the time so often, with pauses of a random length, and answers the last one.
 */

import { openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { latestKinds, latestWriter } from "../compare/latest.ts";
import { answerLines } from "../lib/helper.ts";
import { sharedClock } from "../lib/libc.ts";

/** The name of the plain file that is written where the kind is `file`. */
export const FILE_NAME = "latest.file";

async function putter(wanted: string, folder: string): Promise<(value: number) => void> {
  const kind = latestKinds.find((name) => name === wanted);
  if (kind !== undefined) {
    const writer = await latestWriter(kind, folder);
    return (value) => writer.put(value);
  }
  const fd = openSync(join(folder, FILE_NAME), "w+");
  const bytes = Float64Array.of(0);
  return (value) => {
    bytes[0] = value;
    writeSync(fd, bytes, 0, bytes.byteLength, 0);
  };
}

if (import.meta.main) {
  const [kind = "", folder = ""] = process.argv.slice(2);
  const put = await putter(kind, folder);
  const now = sharedClock();
  let last = now();
  put(last);
  await answerLines(async (line) => {
    const [count = 0, leastMs = 0, mostMs = 0] = line.split(" ").map(Number);
    for (let i = 0; i < count; i++) {
      await Bun.sleep(leastMs + Math.random() * (mostMs - leastMs));
      last = now();
      put(last);
    }
    return String(last);
  });
}
