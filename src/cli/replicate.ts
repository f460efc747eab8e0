/** `cellar replicate`: copies the flushed states of a storage to a replica, beside its writer. */

import type { ReplicaState } from "../replicate/history.ts";
import type { Replicator } from "../replicate/replicator.ts";
import { MAX_INTERVAL_MS } from "../options.ts";
import { command, type Command } from "./command.ts";
import { OK } from "./failure.ts";
import { countText } from "./figures.ts";
import { numberOption, openingOptions } from "./opening.ts";
import { isStderrTerminal, print, printError, printJson, redraw, widthOf } from "./output.ts";
import { openTarget, stateFields, stateLine, storeOptions, targetHelp } from "./replica-options.ts";
import { untilStopped } from "./stop.ts";

const SHOW_EVERY_MS = 200;

export const replicate: Command = command({
  name: "replicate",
  summary: "Copies each flushed state to a replica, beside the writer",
  positionals: [
    ["PATH", "the storage's file; read access is enough"],
    ["TARGET", targetHelp],
  ],
  options: {
    once: { help: "end when the last flush is replicated, and the whole file was compared" },
    interval: { value: "MS", help: "look at the file every MS milliseconds; default: 1000" },
    "new-epoch": { help: "if the file does not continue the replica, upload it whole as a new epoch" },
    ...storeOptions,
    ...openingOptions,
  },
  notes:
    "Prints a line for each replicated state. On a terminal, one line shows the newest state, the lag, and errors of the store. Ctrl-C ends it after the current request; a later start continues from there. Only one machine at a time can replicate to a target: the other one ends with FENCED.",
  examples: [
    "cellar replicate data.cellar /mnt/nas/data",
    "cellar replicate data.cellar s3://bucket/data --endpoint https://s3.example",
  ],
  run: async ({ positionals: [path = "", target = ""], values, json }) => {
    const intervalMs = numberOption(values, "interval", 1, MAX_INTERVAL_MS);
    const { replicate: start } = await import("../replicate/index.ts");
    const store = await openTarget(target, values);
    return untilStopped(async (signal) => {
      await using replicator = start(path, store, {
        intervalMs,
        signal,
        newEpoch: values["new-epoch"],
        allowUnsafeFilesystem: values["allow-unsafe-filesystem"],
      });
      const isShown = !json && widthOf() !== Infinity && isStderrTerminal();
      const reportOutage = outageReporter(replicator);
      const timer = setInterval(() => (isShown ? redraw(statusOf(replicator)) : reportOutage()), SHOW_EVERY_MS);
      try {
        const shown = new Set<number>();
        const showing = showAll(replicator, isShown, json, shown);
        // Ignore its error here: the promises awaited below reject with the same error.
        showing.catch(() => undefined);
        if (values.once === true) {
          const state = await whileItRuns(replicator.replicated({ compared: true }), signal);
          await replicator.close();
          await showing;
          // No state was new: show the newest state that the replica already had.
          if (state !== null && !shown.has(state.sequence)) await show(state, replicator, json);
        }
        await showing;
        await replicator.ended;
      } finally {
        clearInterval(timer);
        redraw("");
      }
      const { state } = replicator.stats();
      if (isShown && state !== null) await print(stateLine(state));
      return OK;
    });
  },
});

async function showAll(replicator: Replicator, isShown: boolean, json: boolean, shown: Set<number>): Promise<void> {
  for await (const state of replicator) {
    if (isShown) continue;
    shown.add(state.sequence);
    await show(state, replicator, json);
  }
}

async function show(state: ReplicaState, replicator: Replicator, json: boolean): Promise<void> {
  if (!json) return print(stateLine(state));
  const { lastSuccess, blocksSent, requests } = replicator.stats();
  await printJson({ ...stateFields(state), lastSuccess: lastSuccess?.toISOString() ?? null, blocksSent, requests });
}

/** Returns the result of a promise, or null if it rejected after the signal was aborted. */
async function whileItRuns<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  try {
    return await promise;
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  }
}

/** Returns a function that reports once that the store does not answer, and once that it answers again. */
function outageReporter(replicator: Replicator): () => void {
  let isFailing = false;
  return () => {
    const { failure } = replicator.stats();
    if ((failure !== null) === isFailing) return;
    isFailing = failure !== null;
    const what = failure === null ? "the store answers again" : `${failure.message}; asking again until it answers`;
    // If standard error is closed, the states on standard output still show the progress.
    printError(what).catch(() => undefined);
  };
}

function statusOf(replicator: Replicator): string {
  const { state, lagMs, isFileMissing, failure, blocksSent, isCompared } = replicator.stats();
  if (isFileMissing) return "the file is missing: waiting for it";
  if (failure !== null) return `no answer: ${failure.message}`;
  const newest = state === null ? "no state yet" : `state ${state.sequence}, length ${state.length}`;
  const lag = lagMs === Infinity ? "" : `, ${(lagMs / 1000).toFixed(1)} s ago`;
  const sent = blocksSent === 0 ? "" : `, ${countText(blocksSent, "block")} sent`;
  return `${newest}${lag}${sent}${isCompared ? "" : ", comparing"}`;
}
