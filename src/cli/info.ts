/** `cellar info`: a file's config, its state, and the result of opening it for writing. */

import { StorageError } from "../error.ts";
import { doneTruncations } from "../format/commit-record.ts";
import { inspect, type Inspection } from "../offline/inspect.ts";
import { closeFile, openFile } from "../os/file.ts";
import { command, type Command } from "./command.ts";
import { FAILED, OK } from "./failure.ts";
import { picture } from "./info-picture.ts";
import { print, printJson } from "./output.ts";

/** Reads by `pread` alone, because the command is for files that are broken or being written. */
export const info: Command = command({
  name: "info",
  summary: "Shows the state of a storage: headers, fill, writer, recovery",
  positionals: [["PATH", "the storage's file"]],
  options: {},
  notes:
    "Takes no lock, and works beside a writer and on broken files. Reads the headers, and the cells since the last flush. Exit status 1 if the file would not open.",
  examples: ["cellar info data.cellar"],
  run: async ({ positionals: [path = ""], json }) => {
    const inspection = inspectFile(path);
    if (json) await printJson(jsonOf(inspection));
    else await print(picture(inspection));
    return inspection.opening instanceof StorageError ? FAILED : OK;
  },
});

/** Inspects a file without mapping it. */
function inspectFile(path: string): Inspection {
  const fd = openFile(path, "read");
  try {
    return inspect(fd, path);
  } finally {
    closeFile(fd, path);
  }
}

/** The fields that `docs/cli.md` names. */
function jsonOf(inspection: Inspection): unknown {
  const { path, config, damagedConfig, sizeBytes, allocatedBytes, bounds, annexHead } = inspection;
  return {
    path,
    config: { ...config },
    damagedConfig,
    startIndex: bounds.startIndex,
    fileCells: bounds.fileCells,
    sizeBytes,
    allocatedBytes,
    headers: inspection.copies.map(({ sync, copy, state, header }) => ({
      sync,
      copy,
      state,
      length: header?.next ?? null,
      root: header === null || header.root === 0 ? null : header.root,
    })),
    annex: {
      processId: annexHead?.processId ?? null,
      commits: inspection.records.map(({ sequence, base, next, root, truncations }) => {
        return {
          sequence,
          base,
          length: next,
          root: root === 0 ? null : root,
          truncations: doneTruncations(truncations),
        };
      }),
    },
    writer: inspection.writer,
    opening: openingJson(inspection.opening),
  };
}

/** The recovery that opening for writing would report, or the error that it would throw. */
function openingJson(opening: Inspection["opening"]): unknown {
  if (opening instanceof StorageError) return { error: { code: opening.code, message: opening.message } };
  const { header, recovery } = opening;
  return {
    state: recovery.state,
    length: header.next,
    root: header.root === 0 ? null : header.root,
    skippedCells: recovery.skippedCells,
    tornCopies: recovery.tornCopies,
    ignored: recovery.ignored ?? null,
  };
}
