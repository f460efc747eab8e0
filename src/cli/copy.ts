/** `cellar copy`: a backup of a storage, beside its writer. */

import { printable } from "../error.ts";
import { command, type Command } from "./command.ts";
import { OK } from "./failure.ts";
import { bar, bytesText, rootText, shareText } from "./figures.ts";
import { openReader, readingOptions } from "./opening.ts";
import { errorWidth, print, printJson, redraw } from "./output.ts";
import { untilStopped } from "./stop.ts";

/** Ten times a second looks steady and costs little. */
const SHOW_EVERY_MS = 100;
const BAR_WIDTH = 40;

/** The library makes the copy, and leaves no file unless the copy is complete. Ctrl-C aborts its call. */
export const copy: Command = command({
  name: "copy",
  summary: "Copies a storage to a new file, beside its writer",
  positionals: [
    ["PATH", "the storage's file"],
    ["TO", "the new file; an existing file is never changed"],
  ],
  options: readingOptions,
  notes:
    "The copy appears complete and durable, or not at all: Ctrl-C leaves no file. Shows its progress if standard error is a terminal.",
  examples: ["cellar copy data.cellar backup.cellar"],
  run: async ({ positionals: [path = "", to = ""], values, json }) => {
    using reader = openReader(path, values);
    const { root, length } = await withProgress(to, (signal, show) =>
      reader.copyTo(to, {
        signal,
        onProgress: ({ copiedBytes, totalBytes }) => show(copiedBytes, totalBytes),
        allowUnsafeFilesystem: values["allow-unsafe-filesystem"],
      }),
    );
    const byteLength = length * reader.config.bytesPerCell;
    if (json) await printJson({ path, to, root, length, byteLength });
    else await print(`${printable(to)}: length ${length}, root ${rootText(root)}, ${bytesText(byteLength)}`);
    return OK;
  },
});

/** Runs a long call that makes a file. Ctrl-C cancels it. A line shows the progress, at most ten times a second. */
export async function withProgress<T>(
  path: string,
  run: (signal: AbortSignal, show: (doneBytes: number, totalBytes: number) => void) => Promise<T>,
): Promise<T> {
  try {
    return await untilStopped((signal) => run(signal, progressBar()), `${path}: cancelled, and no file is left`);
  } finally {
    // Clear the line for the next message.
    redraw("");
  }
}

function progressBar(): (doneBytes: number, totalBytes: number) => void {
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
