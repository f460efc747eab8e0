/** `cellar check`: the findings of the checker, and an exit status for scripts. */

import { check, type Finding } from "../offline/check.ts";
import { printable } from "../error.ts";
import { closeFile, openFile } from "../os/file.ts";
import { command, type Command } from "./command.ts";
import { asCommands, FAILED, OK } from "./failure.ts";
import { wholeNumber } from "./opening.ts";
import { labelled, paint, print, printJson, type Style, widthOf, wrap } from "./output.ts";

const LEVEL_WIDTH = 6;
const styles: Readonly<Record<Finding["level"], Style>> = { ok: "green", note: "yellow", damage: "red" };

export const checkCommand: Command = command({
  name: "check",
  summary: "Checks a storage, and the blobs with the given indices",
  positionals: [
    ["PATH", "the storage's file"],
    ["[INDEX…]", "blobs to check: indices, or root"],
  ],
  options: {},
  notes:
    "A finding is ok, note or damage. The cause of a note is a crash, cells that were changed in place, or damage that looks like these. Checks only the given blobs. Compares only the cells that the checksum of a commit record covers. Exit status 1 if there is any damage. Takes no lock, and works beside a writer.",
  examples: ["cellar check data.cellar root"],
  run: async ({ positionals: [path = "", ...words], json }) => {
    const indices = words.map((word) => (word === "root" ? word : wholeNumber("INDEX", word)));
    // A file that cannot be opened is an error, not a finding.
    closeFile(openFile(path, "read"), path);
    const findings = check(path, indices);
    const damaged = findings.some(({ level }) => level === "damage");
    if (json) await printJson({ path, damaged, findings });
    else await print(lines(findings, path));
    return damaged ? FAILED : OK;
  },
});

/** Level, part, message. A long message continues below itself on a narrow terminal. */
function lines(findings: readonly Finding[], path: string): string[] {
  const parts = findings.map(({ part, index }) => (index === undefined ? part : `${part} ${index}`));
  const indent = LEVEL_WIDTH + parts.reduce((longest, part) => Math.max(longest, part.length), 0) + 4;
  const lines = findings.flatMap(({ level, message }, i) => {
    const label = `${levelText(level)}  ${parts[i]}`;
    return labelled(label, printable(asCommands(message, path)), indent);
  });
  // Without blobs every finding may be "ok" although no content was read, so say that.
  const isEnough = findings.some(({ part, level }) => part === "blob" || level === "damage");
  return isEnough ? lines : [...lines, ...wrap("No blob was checked: give indices, or root.", widthOf())];
}

/** The level of a finding, in its colour. */
export function levelText(level: Finding["level"]): string {
  return paint(styles[level], level.padEnd(LEVEL_WIDTH));
}
