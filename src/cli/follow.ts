/** `cellar follow`: keeps a file at the newest state of a replica. */

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
    ["PATH", "the file: made if there is none, and never touched if it has writes of its own"],
  ],
  options: {
    once: { help: "end at the newest state" },
    interval: { value: "MS", help: "milliseconds between two looks at the replica (default 1000)" },
    ...storeOptions,
    ...openingOptions,
  },
  notes:
    "Prints a line for each state that the file comes to. Local readers see them as those of a writer: cellar tail PATH --follow flushes. Ctrl-C ends it; a later start goes on from there.",
  examples: ["cellar follow s3://bucket/data replica.cellar"],
  run: async ({ positionals: [target = "", path = ""], values, json }) => {
    const intervalMs = numberOption(values, "interval", 1);
    const { follow: start } = await import("../replicate/index.ts");
    const store = await openTarget(target, values);
    await untilStopped(async (signal) => {
      const states = start(store, path, {
        intervalMs,
        once: values.once === true,
        signal,
        allowUnsafeFilesystem: values["allow-unsafe-filesystem"] === true,
      });
      for await (const state of states) await (json ? printJson(stateFields(state)) : print(stateLine(state)));
    });
    return OK;
  },
});
