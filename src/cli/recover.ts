/**
 * `cellar recover`: says what recovery would make of a file, and does it when told to. Where opening for writing would
 * recover by itself it does the same; where no disk-sync header is left, it goes by what else tells of the last state.
 * It never makes up a cell or a root.
 */

import { StorageError } from "../error.ts";
import type { CommitRecord } from "../format/annex.ts";
import { cellsOnFileMatch, inspect, type Inspection } from "../offline/inspect.ts";
import { choicesFrom } from "../options.ts";
import { checkFilesystem } from "../os/filesystem.ts";
import { closeFile, openFile } from "../os/file.ts";
import { openWriterFile } from "../store/files.ts";
import { storeProcessId } from "../state/in-place.ts";
import { openStore } from "../store/open.ts";
import { restorable, type Restorable, restore } from "../offline/repair.ts";
import { command, type Command } from "./command.ts";
import { CommandError, OK } from "./failure.ts";
import { keep, keptName } from "../offline/backup.ts";
import { openingOptions } from "./opening.ts";
import { print, printJson } from "./output.ts";
import { doneLines, type Plan, planLines } from "./recover-text.ts";

/**
 * Two steps, so that nobody loses a file by trying: what would be done, and with `--yes` the same, under the lock and
 * after a copy.
 */
export const recover: Command = command({
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
    const { yes = false, unproven = false, keep: wanted } = values;
    if (values["allow-unsafe-filesystem"] !== true) checkFilesystem(path, path);
    const told = planOf(path, false);
    const { plan, kept } = yes && told.needed ? carryOut(path, unproven, wanted) : { plan: told, kept: null };
    if (json) await printJson(jsonOf(plan, kept));
    else await print(kept === null ? planLines(plan, wanted ?? keptName(path)) : doneLines(plan, kept));
    return OK;
  },
});

/**
 * What there is to do, by `pread` alone.
 * @param locked we are the writer that has the file
 */
function planOf(path: string, locked: boolean): Plan & { readonly restore: Restorable | null } {
  const fd = openFile(path, "read");
  try {
    const inspection = inspect(fd, path);
    const { opening, writer } = inspection;
    if (!locked && (writer === "live" || writer === "opening")) throw beingWritten(inspection);
    const about = { path, hasAnnex: inspection.annexHead !== null };
    if (!(opening instanceof StorageError)) {
      const { header, recovery } = opening;
      const broken = inspection.copies.filter(({ state }) => state === "torn" || state === "outside").length;
      const needed = recovery.state !== "clean" || broken > 0;
      const evidence = recovery.state === "resumedAtCommit" ? "proof" : "flush";
      return { ...about, needed, broken, recovery, header, evidence, lostCells: 0, restore: null };
    }
    const found = restorableIn(fd, inspection);
    if (found === null) throw beyondRecovery(opening, inspection);
    return { ...about, needed: true, broken: 4, recovery: null, ...found, restore: found };
  } finally {
    closeFile(fd, path);
  }
}

function restorableIn(fd: number, { area, bounds, config }: Inspection): Restorable | null {
  return restorable(area, bounds, (record: CommitRecord) => cellsOnFileMatch(fd, config.bytesPerCell, record));
}

/** Does it, under the writer's lock from the first look on. */
function carryOut(
  path: string,
  unproven: boolean,
  wanted: string | undefined,
): { readonly plan: Plan; readonly kept: string | null } {
  const { region, config } = openWriterFile(path, {}, 0);
  try {
    // What was told before the lock was taken may have changed since.
    const plan = planOf(path, true);
    if (!plan.needed) return { plan, kept: null };
    if (!isProven(plan) && !unproven) throw notProven(path);
    // Before the first store: whatever goes wrong from here on, the file is there as it was.
    const kept = keep(path, wanted);
    if (plan.restore !== null) restore(region, config, plan.restore);
    const { publisher, space, root } = openStore(region, config, choicesFrom({}));
    // A clean close, as a writer does it.
    publisher.flushSync({ next: space.length, root });
    storeProcessId(region, 0);
    return { plan, kept };
  } finally {
    region.close();
  }
}

/** What the library says of a file that does not open, without its hint at this command. */
function beyondRecovery({ code, message }: StorageError, { path, bounds }: Inspection): CommandError {
  // Of a file that ends before its first cell the library says all that there is.
  const cut = code === "FILE_CUT" && bounds.fileCells >= bounds.startIndex;
  if (!cut && code !== "HEADER_BROKEN") return new CommandError(code, message);
  const what = cut
    ? `the file was cut to ${bounds.fileCells} cells, and the root was behind them`
    : "no header copy and no commit record is whole, so nothing tells of a state to go to";
  return new CommandError(code, `${path}: ${what}: restore the file from a backup`);
}

function isProven({ evidence }: Plan): boolean {
  return evidence === "flush" || evidence === "proof";
}

function beingWritten({ path, writer, annexHead }: Inspection): StorageError {
  const processId = writer === "live" ? (annexHead?.processId ?? 0) : 0;
  const who = processId === 0 ? "a process" : `process ${processId}`;
  const message = `${path}: ${who} is writing this file: end it first, if it needs recovery at all`;
  return new StorageError("WRITER_LOCKED", message, { path });
}

function notProven(path: string): CommandError {
  const message = `${path}: nothing proves that state complete: see what cellar recover says without --yes; add --unproven to go there all the same`;
  return new CommandError("UNPROVEN", message);
}

/** The fields that `docs/cli.md` names. */
function jsonOf(plan: Plan, kept: string | null): unknown {
  const { path, needed, evidence, header, lostCells, recovery } = plan;
  return {
    path,
    needed,
    evidence,
    proven: isProven(plan),
    length: header.next,
    root: header.root === 0 ? null : header.root,
    skippedCells: recovery?.skippedCells ?? 0,
    lostCells,
    done: kept !== null,
    kept,
  };
}
