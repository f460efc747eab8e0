/** `cellar copy`: a backup of a storage, beside its writer. */

import type { CopyProgress } from "../copy.ts";
import { printable } from "../error.ts";
import type { StorageReader } from "../reader.ts";
import type { StorageState } from "../state/snapshot.ts";
import { command, type Command } from "./command.ts";
import { CommandError, OK } from "./failure.ts";
import { bar, bytesText, rootText, shareText } from "./figures.ts";
import { openReader, readingOptions } from "./opening.ts";
import { errorWidth, print, printJson, redraw } from "./output.ts";
import { untilStopped } from "./stop.ts";

/** Ten times a second looks steady, and costs little compared with the copy. */
const SHOW_EVERY_MS = 100;
const BAR_WIDTH = 40;

/** The library does the work, and leaves nothing unless the copy is complete; a signal here is an abort there. */
export const copy: Command = command({
  name: "copy",
  summary: "Copies what a storage holds to a new file, beside its writer",
  positionals: [
    ["PATH", "the storage's file"],
    ["TO", "the file to make; an existing one is never touched"],
  ],
  options: readingOptions,
  notes:
    "The copy appears complete and durable, or not at all: Ctrl-C leaves nothing. Shows its progress where standard error is a terminal.",
  examples: ["cellar copy data.cellar backup.cellar"],
  run: async ({ positionals: [path = "", to = ""], values, json }) => {
    using reader = openReader(path, values);
    const { root, length } = await copied(reader, to, values["allow-unsafe-filesystem"] === true);
    const byteLength = length * reader.config.bytesPerCell;
    if (json) await printJson({ path, to, root, length, byteLength });
    else await print(`${printable(to)}: length ${length}, root ${rootText(root)}, ${bytesText(byteLength)}`);
    return OK;
  },
});

/** Makes the copy. However it ends, the progress line is cleared for the next message. */
async function copied(reader: StorageReader, to: string, allowUnsafeFilesystem: boolean): Promise<StorageState> {
  return untilStopped(async (signal) => {
    try {
      return await reader.copyTo(to, { signal, onProgress: progress(), allowUnsafeFilesystem });
    } catch (error) {
      if (signal.aborted) throw new CommandError("CANCELLED", `${to}: cancelled, and nothing is left of it`, error);
      throw error;
    } finally {
      redraw("");
    }
  });
}

/** Shows the progress, at most ten times a second. */
function progress(): (progress: CopyProgress) => void {
  const show = progressBar();
  return ({ copiedBytes, totalBytes }) => show(copiedBytes, totalBytes);
}

/** The same for anything that has a size. */
export function progressBar(): (doneBytes: number, totalBytes: number) => void {
  let shownAt = performance.now();
  return (doneBytes, totalBytes) => {
    const now = performance.now();
    if (now - shownAt < SHOW_EVERY_MS) return;
    shownAt = now;
    const figures = ` ${shareText(doneBytes, totalBytes)} of ${bytesText(totalBytes)}`;
    // Leave one column free: after the last one, some terminals go to the next line.
    const { full, empty } = bar(doneBytes, totalBytes, Math.min(BAR_WIDTH, errorWidth() - figures.length - 1));
    redraw(`${full}${empty}${figures}`);
  };
}
