/** `cellar restore`: restores a state of a replica to a new file. */

import { printable } from "../error.ts";
import { command, type Command } from "./command.ts";
import { withProgress } from "./copy.ts";
import { OK } from "./failure.ts";
import { openingOptions } from "./opening.ts";
import { print, printJson } from "./output.ts";
import { openTarget, stateFields, stateLine, storeOptions, targetHelp, timeFrom } from "./replica-options.ts";

export const restore: Command = command({
  name: "restore",
  summary: "Restores a state of a replica to a new file",
  positionals: [
    ["TARGET", targetHelp],
    ["PATH", "the new file; an existing file is never changed"],
  ],
  options: {
    at: {
      value: "STATE",
      help: "the number of a state, or a time: the last state at or before it; default: the newest",
    },
    ...storeOptions,
    ...openingOptions,
  },
  notes:
    "The file appears complete and durable, or not at all: Ctrl-C leaves no file. Every byte is checked against its hash. cellar replica states TARGET lists the states.",
  examples: ["cellar restore s3://bucket/data data.cellar", "cellar restore /mnt/nas/data old.cellar --at 2026-11-01"],
  run: async ({ positionals: [target = "", path = ""], values, json }) => {
    const at = values.at === undefined ? undefined : stateFrom(values.at);
    const { restore: run } = await import("../replicate/index.ts");
    const store = await openTarget(target, values);
    const state = await withProgress(path, (signal, show) =>
      run(store, path, {
        at,
        signal,
        onProgress: ({ restoredBytes, totalBytes }) => show(restoredBytes, totalBytes),
        allowUnsafeFilesystem: values["allow-unsafe-filesystem"],
      }),
    );
    if (json) await printJson({ path, ...stateFields(state) });
    else await print(`${printable(path)}: ${stateLine(state)}`);
    return OK;
  },
});

/** Parses the number of a state, or a time. */
function stateFrom(text: string): number | Date {
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : timeFrom("--at", text);
}
