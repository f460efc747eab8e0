/** What `cellar recover` says. Pure but for the terminal's width and colours: the plan in, lines out. */

import { printable } from "../error.ts";
import type { Header } from "../format/header.ts";
import type { Recovery } from "../state/choose-state.ts";
import type { Evidence } from "../offline/repair.ts";
import { countText, rootText, shellWord } from "./figures.ts";
import { labelled, paint } from "./output.ts";
import { recoveryText } from "./recovery-text.ts";

/** What recovery would make of a file. */
export interface Plan {
  readonly path: string;
  readonly needed: boolean;
  /** Header copies that are torn, or point outside the file, of four. */
  readonly broken: number;
  /** What opening for writing would say; null of a file that does not open. */
  readonly recovery: Recovery | null;
  readonly header: Header;
  /** `flush`: a whole disk-sync header. */
  readonly evidence: Evidence | "flush";
  readonly lostCells: number;
  /** Without one, the file is of the original, whose writers take no lock that could be seen. */
  readonly hasAnnex: boolean;
}

const FACT_INDENT = 11;

const told: Readonly<Record<Plan["evidence"], readonly [by: string, means: string]>> = {
  flush: ["the disk-sync header", "all that was flushed is there"],
  proof: [
    "the process-sync header, and the CRC of a commit record",
    "proven: every cell since the flush before is there as committed",
  ],
  commit: ["the process-sync header alone", "NOT proven: cells of commits that were not flushed may be missing"],
  record: ["a commit record alone", "NOT proven: its cells are there, but it may be an old one"],
  cut: [
    "the disk-sync header, as far as the file goes",
    "NOT complete: lost cells are lost, and their indices come again",
  ],
};

/** What would be done. */
export function planLines(plan: Plan, kept: string): string[] {
  const { path, needed, header, evidence } = plan;
  const state = `length ${header.next}, root ${rootText(header.root)}`;
  if (!needed) return [`${printable(path)}: nothing to recover: ${state}`];
  const [by, means] = told[evidence];
  const facts: (readonly [string, string])[] = [
    ["goes to", state],
    ["told by", by],
    ["that is", means],
  ];
  if (plan.lostCells > 0) facts.push(["loses", countText(plan.lostCells, "cell")]);
  facts.push(["keeps", `the file as it is, copied to ${printable(kept)}`]);
  const unproven = evidence === "flush" || evidence === "proof" ? "" : " --unproven";
  return [
    `${paint("bold", printable(path))}: ${causeOf(plan)}`,
    ...facts.flatMap(([label, text]) => labelled(`  ${paint("cyan", label)}`, text, FACT_INDENT)),
    `Nothing was changed. To do it: cellar recover ${shellWord(path)} --yes${unproven}`,
    ...(plan.hasAnnex ? [] : ["A process of the original may be writing it, which no lock would tell: end it first."]),
    ...(plan.recovery === null ? [] : ["Opening it for writing does the same, without a copy."]),
  ];
}

/** What was done. */
export function doneLines({ path, header, recovery }: Plan, kept: string): string[] {
  return [
    `${paint("bold", printable(path))}: ${paint("green", "recovered")}: length ${header.next}, root ${rootText(header.root)}`,
    `As it was, it is kept as ${printable(kept)}`,
    ...(recovery === null ? [`Nothing guards the cells themselves: see cellar check ${shellWord(path)} root`] : []),
  ];
}

function causeOf({ recovery, broken, evidence }: Plan): string {
  if (recovery === null) {
    return evidence === "cut" ? "the file was cut short" : "both copies of the disk-sync header are broken";
  }
  if (recovery.state === "clean") return `${countText(broken, "header copy").replace("copys", "copies")} of 4 broken`;
  return `was not closed; opening resumes ${recoveryText(recovery)}`;
}
