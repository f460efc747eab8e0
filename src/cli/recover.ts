/** `cellar recover`: reports how a file can be repaired; `--yes` does it. */

import { recover, type RecoveryReport } from "../offline/recover.ts";
import { command, type Command } from "./command.ts";
import { OK } from "./failure.ts";
import { openingOptions } from "./opening.ts";
import { print, printJson } from "./output.ts";
import { doneLines, planLines } from "./recover-text.ts";

/** Two steps, so that no file is lost by trying. Named unlike the function that it calls. */
export const recoverCommand: Command = command({
  name: "recover",
  summary: "Says what recovery would make of a storage; with --yes does it",
  positionals: [["PATH", "the storage's file"]],
  options: {
    yes: { help: "do it, after the file was copied to another name" },
    unproven: { help: "with --yes: also go to a state that nothing proves complete" },
    keep: { value: "NAME", help: "where the file is kept as it was; default: PATH.before-recovery" },
    ...openingOptions,
  },
  notes:
    "A storage whose writer was killed needs no command: opening it for writing recovers it. This one is for files that do not open, and for looking first. It refuses while a writer has the file. docs/cli.md tells what can be recovered, and what cannot.",
  examples: ["cellar recover data.cellar", "cellar recover data.cellar --yes"],
  run: async ({ positionals: [path = ""], values, json }) => {
    const report = recover(path, {
      apply: values.yes === true,
      unproven: values.unproven === true,
      keep: values.keep,
      allowUnsafeFilesystem: values["allow-unsafe-filesystem"] === true,
    });
    if (json) await printJson(jsonOf(report));
    else await print(report.done ? doneLines(report) : planLines(report));
    return OK;
  },
});

/** The fields that `docs/cli.md` names. */
function jsonOf(report: RecoveryReport): unknown {
  const { path, needed, evidence, proven, length, root, skippedCells, lostCells, lostRoot } = report;
  const { config, damagedConfig, lastWriter, done, kept } = report;
  const state = { path, needed, evidence, proven, length, root, skippedCells, lostCells, lostRoot };
  return { ...state, config, damagedConfig, lastWriter, done, kept: done ? kept : null };
}
