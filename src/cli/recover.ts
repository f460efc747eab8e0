/** `cellar recover`: reports how a file can be repaired; `--yes` does it. */

import { recover, type RecoveryReport } from "../offline/recover.ts";
import { command, type Command } from "./command.ts";
import { OK } from "./failure.ts";
import { openingOptions } from "./opening.ts";
import { print, printJson } from "./output.ts";
import { doneLines, planLines } from "./recover-text.ts";

/** Only `--yes` changes the file, so that a try never loses data. */
export const recoverCommand: Command = command({
  name: "recover",
  summary: "Reports how a file can be repaired; with --yes repairs it",
  positionals: [["PATH", "the storage's file"]],
  options: {
    yes: { help: "repair the file, after copying it to another name" },
    unproven: { help: "with --yes: also accept a state that is not proven complete" },
    keep: { value: "NAME", help: "the path of the copy; default: PATH.before-recovery" },
    ...openingOptions,
  },
  notes:
    "A storage whose writer was killed needs no repair: opening it for writing recovers it. Use this command for files that do not open, or to look before opening. It refuses a file that a writer has open. docs/cli.md lists what can be repaired.",
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
