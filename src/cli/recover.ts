/** `cellar recover`: reports how a file can be repaired; `--yes` does it. */

import { printable } from "../error.ts";
import { recover, type RecoveryReport } from "../offline/recover.ts";
import { command, type Command } from "./command.ts";
import { OK } from "./failure.ts";
import { countText, rootText, shellWord } from "./figures.ts";
import { openingOptions } from "./opening.ts";
import { labelled, paint, print, printJson } from "./output.ts";
import { configDamageText, recoveryText } from "./recovery-text.ts";

const FACT_INDENT = 12;

const evidenceTexts: Readonly<Record<RecoveryReport["evidence"], readonly [by: string, means: string]>> = {
  flush: ["the disk-sync header", "every flushed cell is there"],
  proof: [
    "the process-sync header, and the CRC of a commit record",
    "proven: every cell since the flush before is there as committed",
  ],
  commit: ["the process-sync header alone", "NOT proven: cells of commits that were not flushed may be missing"],
  record: ["a commit record alone", "NOT proven: its cells are there, but it may be an old one"],
  cut: [
    "the disk-sync header, as far as the file goes",
    "INCOMPLETE: the lost cells are gone, and their indices will be used again",
  ],
};

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
      apply: values.yes,
      unproven: values.unproven,
      keep: values.keep,
      allowUnsafeFilesystem: values["allow-unsafe-filesystem"],
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

/** The lines before a repair: what it would do. */
function planLines(report: RecoveryReport): string[] {
  const { path, needed, evidence } = report;
  if (!needed) return [`${printable(path)}: nothing to recover: ${stateText(report)}`];
  const [by, means] = evidenceTexts[evidence];
  const facts: (readonly [string, string])[] = [
    ["state", stateText(report)],
    ["evidence", by],
    ["meaning", means],
  ];
  if (report.lostCells > 0) facts.push(["loses", lossText(report)]);
  facts.push(["copy", `the file as it is, kept as ${printable(report.kept)}`]);
  const unproven = report.proven ? "" : " --unproven";
  const isPlebeiaPossible = report.lastWriter === "unknown";
  return [
    `${paint("bold", printable(path))}: ${causeOf(report)}`,
    ...facts.flatMap(([label, text]) => labelled(`  ${paint("cyan", label)}`, text, FACT_INDENT)),
    `Nothing was changed. To do it: cellar recover ${shellWord(path)} --yes${unproven}`,
    ...(isPlebeiaPossible ? ["A Plebeia process may be writing it, and Cellar cannot detect one: end it first."] : []),
    ...(opensByItself(report) ? ["Opening it for writing does the same, without a copy."] : []),
  ];
}

/** The lines after a repair. */
function doneLines(report: RecoveryReport): string[] {
  const { path, root } = report;
  const what = root === null ? "" : ` ${shellWord(path)} root`;
  return [
    `${paint("bold", printable(path))}: ${paint("green", "recovered")}: ${stateText(report)}`,
    `The unchanged file is kept as ${printable(report.kept)}`,
    ...(opensByItself(report) || what === ""
      ? []
      : [`Flushed cells have no checksum. Check important blobs: cellar check${what}`]),
  ];
}

function stateText({ length, root }: RecoveryReport): string {
  return `length ${length}, root ${rootText(root)}`;
}

function lossText({ lostCells, lostRoot }: RecoveryReport): string {
  return `${countText(lostCells, "cell")}${lostRoot === null ? "" : `, the root ${lostRoot} among them: read the remaining blobs by their indices`}`;
}

function opensByItself({ opening, damagedConfig }: RecoveryReport): boolean {
  return opening !== null && damagedConfig === null;
}

function causeOf(report: RecoveryReport): string {
  const { damagedConfig, config } = report;
  if (damagedConfig === null) return headerCauseOf(report);
  return `the config is damaged: ${configDamageText(damagedConfig, config)}`;
}

function headerCauseOf({ opening, evidence, brokenCopies, lastWriter }: RecoveryReport): string {
  if (opening === null) {
    return evidence === "cut" ? "the file was cut short" : "both copies of the disk-sync header are broken";
  }
  if (opening.state === "clean")
    return `${brokenCopies} of 4 header copies ${brokenCopies === 1 ? "is" : "are"} broken`;
  const what = {
    closed: "was closed, but its headers do not agree",
    killed: "was not closed",
    unknown: "was not closed, or is damaged",
  };
  return `${what[lastWriter]}; opening resumes ${recoveryText(opening)}`;
}
