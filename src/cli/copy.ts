/** `cellar copy`: a backup of what a storage holds, beside its writer. */

import { readFileSync } from "node:fs";
import type { CopyProgress } from "../copy.ts";
import { printable } from "../error.ts";
import type { StorageReader } from "../reader.ts";
import type { StorageState } from "../state.ts";
import { command, type Command } from "./command.ts";
import { CommandError, OK } from "./failure.ts";
import { bar, bytesText, rootText, shareText } from "./figures.ts";
import { openReader, readingOptions } from "./opening.ts";
import { errorsAreSeen, errorWidth, print, printJson, redraw } from "./output.ts";

/** Ten times a second looks steady, and costs nothing beside the copy. */
const SHOW_EVERY_MS = 100;
const BAR_WIDTH = 40;
const endingSignals: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM"];

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

/** The copy itself. However it ends, the line that showed its progress is clear for what is said next. */
async function copied(reader: StorageReader, to: string, allowUnsafeFilesystem: boolean): Promise<StorageState> {
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  const signals = isHangupIgnored() ? endingSignals : [...endingSignals, "SIGHUP"];
  // As often as they come: the second one must not end us before the first has removed what was copied.
  for (const name of signals) process.on(name, abort);
  try {
    return await reader.copyTo(to, { signal: stop.signal, onProgress: progress(), allowUnsafeFilesystem });
  } catch (error) {
    if (stop.signal.aborted) throw new CommandError("CANCELLED", `${to}: cancelled, and nothing is left of it`, error);
    throw error;
  } finally {
    for (const name of signals) process.off(name, abort);
    redraw("");
  }
}

/**
 * Whether nohup(1) started us: listening to SIGHUP would undo what it is for. What is ignored can be asked for on Linux;
 * elsewhere it goes by standard error, which nohup leads away from the terminal.
 */
function isHangupIgnored(): boolean {
  let status: string;
  try {
    status = readFileSync("/proc/self/status", "latin1");
  } catch {
    return !errorsAreSeen();
  }
  // A set of bits in hex; SIGHUP, number 1, is the lowest.
  const ignored = /^SigIgn:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  return (BigInt(`0x${ignored}`) & 1n) === 1n;
}

/** Shows how far it has come, not more often than an eye sees. */
function progress(): (progress: CopyProgress) => void {
  let shownAt = performance.now();
  return ({ copiedBytes, totalBytes }) => {
    const now = performance.now();
    if (now - shownAt < SHOW_EVERY_MS) return;
    shownAt = now;
    const figures = ` ${shareText(copiedBytes, totalBytes)} of ${bytesText(totalBytes)}`;
    // One column stays free: in the last one, some terminals go to the next line.
    const { full, empty } = bar(copiedBytes, totalBytes, Math.min(BAR_WIDTH, errorWidth() - figures.length - 1));
    redraw(`${full}${empty}${figures}`);
  };
}
