/** `cellar follow`: keeps a file at the newest state of a replica. */

import { MAX_INTERVAL_MS } from "../options.ts";
import { command, type Command } from "./command.ts";
import { OK } from "./failure.ts";
import { numberOption, openingOptions } from "./opening.ts";
import { print, printJson } from "./output.ts";
import { openTarget, stateFields, stateLine, storeOptions, targetHelp } from "./replica-options.ts";
import { untilStopped } from "./stop.ts";

export const follow: Command = command({
  name: "follow",
  summary: "Keeps a file at the newest state of a replica",
  positionals: [
    ["TARGET", targetHelp],
    ["PATH", "the file: created if there is none, refused if it has writes of its own"],
  ],
  options: {
    once: { help: "end when the file has the newest state" },
    interval: { value: "MS", help: "look at the replica every MS milliseconds; default: 1000" },
    ...storeOptions,
    ...openingOptions,
  },
  notes:
    "Prints a line for each state that the file reaches. Local readers see each state as a flush: cellar tail PATH --follow flushes. Ctrl-C ends it; a later start continues from there.",
  examples: ["cellar follow s3://bucket/data replica.cellar"],
  run: async ({ positionals: [target = "", path = ""], values, json }) => {
    const intervalMs = numberOption(values, "interval", 1, MAX_INTERVAL_MS);
    const { follow: start } = await import("../replicate/index.ts");
    const store = await openTarget(target, values);
    await untilStopped(async (signal) => {
      const states = start(store, path, {
        intervalMs,
        once: values.once,
        signal,
        allowUnsafeFilesystem: values["allow-unsafe-filesystem"],
      });
      for await (const state of states) await (json ? printJson(stateFields(state)) : print(stateLine(state)));
    });
    return OK;
  },
});
