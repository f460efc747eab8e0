/** `cellar check`: the findings of the checker, and an exit status for scripts. */

import { check, type Finding } from "../check.ts";
import { StorageError } from "../error.ts";
import { closeFile, openFile } from "../os/file.ts";
import { command, type Command } from "./command.ts";
import { FAILED, OK } from "./failure.ts";
import { indexFrom, inspectFile } from "./opening.ts";
import { labelled, paint, print, printable, printJson, type Style } from "./output.ts";

const LEVEL_WIDTH = 6;
const styles: Readonly<Record<Finding["level"], Style>> = { ok: "green", note: "yellow", damage: "red" };

/** Named unlike the checker that it calls. */
export const checkCommand: Command = command({
  name: "check",
  summary: "Checks a storage, and the blobs with the given indices",
  positionals: [
    ["PATH", "the storage's file"],
    ["[INDEX…]", "blobs to check: indices, or root"],
  ],
  options: {},
  notes:
    "Each finding is ok, a note (not as a clean close leaves it; nothing flushed is lost) or damage. Exit status 1 if there is any damage. Takes no lock, and works beside a writer.",
  examples: ["cellar check data.cellar root"],
  run: async ({ positionals: [path = "", ...words], json }) => {
    // A file that cannot be opened is an error, not a finding.
    closeFile(openFile(path, "read"), path);
    const root = words.includes("root") ? rootOf(path) : null;
    const findings = check(
      path,
      words.map((word) => indexFrom("INDEX", word, root, path)),
    );
    const damaged = findings.some(({ level }) => level === "damage");
    if (json) await printJson({ path, damaged, findings });
    else await print(lines(findings));
    return damaged ? FAILED : OK;
  },
});

/** The root that opening for writing would go on from: the state that the checker checks against. */
function rootOf(path: string): number | null {
  const { opening } = inspectFile(path);
  if (opening instanceof StorageError) throw opening;
  return opening.header.root === 0 ? null : opening.header.root;
}

/** Level, part, message; a long message goes on below itself where a terminal is too narrow for it. */
function lines(findings: readonly Finding[]): string[] {
  const parts = findings.map(({ part, index }) => (index === undefined ? part : `${part} ${index}`));
  const indent = LEVEL_WIDTH + parts.reduce((longest, part) => Math.max(longest, part.length), 0) + 4;
  return findings.flatMap(({ level, message }, i) =>
    labelled(`${paint(styles[level], level.padEnd(LEVEL_WIDTH))}  ${parts[i]}`, printable(message), indent),
  );
}
