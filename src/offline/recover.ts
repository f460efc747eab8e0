/**
 * Repair: reports which state a file can be opened at, and brings the file to it if asked. If opening for writing would
 * recover the file by itself, the result is the same. If no disk-sync header is left, it uses the other evidence of the
 * last state in the file. It never invents a cell, a root or a config.
 */

import { dirname } from "node:path";
import { RESTORE, StorageError, wrongType } from "../error.ts";
import { type CheckedConfig, encodeConfig, type StorageConfig } from "../format/config.ts";
import { FILE, HEADER_AREA_BYTES } from "../format/layout.ts";
import { closeFile, openFile, pathFrom } from "../os/file.ts";
import { checkFilesystem } from "../os/filesystem.ts";
import type { WritableRegion } from "../region/region.ts";
import type { Recovery } from "../state/choose-state.ts";
import { storeProcessId } from "../state/header-stores.ts";
import { openWriterFile } from "../store/files.ts";
import { openStore } from "../store/open.ts";
import { backUp, backupName } from "./backup.ts";
import { cellsOnFileMatch, inspect, type Inspection } from "./inspect.ts";
import { restorable, type Restorable, restore } from "./repair.ts";

/** Options of `recover`. */
export interface RecoverOptions {
  /** Change the file, after copying it to another name. Default false: only report what would be done. */
  readonly apply?: boolean | undefined;
  /** With `apply`: also accept a state that is not proven complete. Default false. */
  readonly unproven?: boolean | undefined;
  /** The path of the copy, a new file. Default: the path of the file followed by `.before-recovery`. */
  readonly keep?: string | URL | undefined;
  /** Allows a file on NFS, SMB, 9p or FUSE. Default false. */
  readonly allowUnsafeFilesystem?: boolean | undefined;
}

/** The result of a repair that was done or would be done. */
export interface RecoveryReport {
  readonly path: string;
  /** False if the file is good, so that nothing was done. */
  readonly needed: boolean;
  /** Whether the file was changed. */
  readonly done: boolean;
  /** The path of the copy that was made, or that `apply` would make. */
  readonly kept: string;
  /**
   * The evidence of the state. `flush`: a complete disk-sync header. `proof`: the process-sync header and a commit
   * record whose checksum matches the cells. `commit`: the process-sync header alone. `record`: a commit record alone.
   * `cut`: the disk-sync header of a file that was cut.
   */
  readonly evidence: "flush" | "proof" | "commit" | "record" | "cut";
  /** Whether every flushed cell of the state is known to be there. False for `commit`, `record` and `cut`. */
  readonly proven: boolean;
  /** The state: its length in cells, and its root. */
  readonly length: number;
  readonly root: number | null;
  /** Cells of unproven commits, which are never allocated again. */
  readonly skippedCells: number;
  /** How many cells of the last flush the file has lost, and the root of that flush if it is among them. */
  readonly lostCells: number;
  readonly lostRoot: number | null;
  /** The config in the file, or the one that repair restores. */
  readonly config: StorageConfig;
  /** The damaged config in the file, if the annex confirms another one; else null. */
  readonly damagedConfig: StorageConfig | null;
  /** Header copies that are torn or point outside the file, of four. */
  readonly brokenCopies: number;
  /** What opening for writing finds, or would find with this config; null if the file would not open. */
  readonly opening: Recovery | null;
  /** How the last writer ended. `unknown`: there is no annex, so Plebeia may be writing the file. */
  readonly lastWriter: "closed" | "killed" | "unknown";
}

/** A report, and the data for carrying it out. */
interface Plan {
  readonly report: RecoveryReport;
  readonly config: CheckedConfig;
  readonly restore: Restorable | null;
}

/**
 * Reports to which state a file can be repaired. With `apply`, repairs it. A storage whose writer was killed does not
 * need this call, because opening it for writing recovers it. Use it for files that do not open, or to look before
 * opening. It blocks until it is done: it reads the cells since the last flush, and with `apply` copies the file before
 * it changes anything.
 * @throws NO_SUCH_FILE, NOT_A_STORAGE; WRITER_LOCKED a process writes the file; INVALID_CONFIG, HEADER_BROKEN, FILE_CUT
 * the file has no evidence of a state; UNPROVEN with `apply`, the state is not proven complete; ALREADY_EXISTS,
 * DISK_FULL the file could not be copied; FAILED, SYSTEM, UNSUPPORTED; TypeError. Every error after the copy was made
 * names the copy
 *
 * @example
 * const { proven, length, root } = recover("data.cellar");
 * if (proven) recover("data.cellar", { apply: true });
 */
export function recover(path: string | URL, options: RecoverOptions = {}): RecoveryReport {
  if (typeof options !== "object" || options === null) throw wrongType("options", "an object", options);
  const { apply = false, unproven = false, allowUnsafeFilesystem = false } = options;
  for (const [name, value] of Object.entries({ apply, unproven, allowUnsafeFilesystem })) {
    if (typeof value !== "boolean") throw wrongType(name, "true or false", value);
  }
  const name = pathFrom(path);
  const kept = options.keep === undefined ? null : pathFrom(options.keep);
  if (!allowUnsafeFilesystem) checkFilesystem(name, name);
  if (!allowUnsafeFilesystem && kept !== null) checkFilesystem(dirname(kept), kept);
  const plan = planFor(name, kept ?? backupName(name), false);
  return apply && plan.report.needed ? carryOut(plan, unproven) : plan.report;
}

/**
 * Makes the plan for a file. Reads by `pread` only.
 * @param locked this process holds the writer's lock of the file
 */
function planFor(path: string, kept: string, locked: boolean): Plan {
  const fd = openFile(path, "read");
  try {
    const inspection = inspectDamaged(fd, path);
    const { state, writer, annexHead, copies, config, damagedConfig } = inspection;
    if (!locked && (writer === "live" || writer === "opening")) throw beingWritten(inspection);
    const brokenCopies = copies.filter((copy) => copy.state === "torn" || copy.state === "outside").length;
    const lastWriter = annexHead === null ? "unknown" : annexHead.processId === 0 ? "closed" : "killed";
    const about = { path, done: false, kept, config, damagedConfig, brokenCopies, lastWriter } as const;
    if (!(state instanceof StorageError)) {
      const { header, recovery } = state;
      const needed = recovery.state !== "clean" || brokenCopies > 0 || damagedConfig !== null;
      const evidence = recovery.state === "resumedAtCommit" ? "proof" : "flush";
      const found = { header, evidence, lostCells: 0, lostRoot: null } as const;
      return { report: reportOf({ ...about, needed, opening: recovery }, found), config, restore: null };
    }
    // An error of reading does not show that the file is broken.
    if (state.code !== "HEADER_BROKEN" && state.code !== "FILE_CUT") throw state;
    const { area, bounds } = inspection;
    const { bytesPerCell } = config;
    const found = restorable(area, bounds, (record) => cellsOnFileMatch(fd, path, bytesPerCell, record));
    if (found === null) throw beyondRecovery(state, inspection);
    return { report: reportOf({ ...about, needed: true, opening: null }, found), config, restore: found };
  } finally {
    closeFile(fd, path);
  }
}

type FoundState = Pick<Restorable, "header" | "lostCells" | "lostRoot"> & Pick<RecoveryReport, "evidence">;
type Found = Omit<RecoveryReport, keyof FoundState | "proven" | "length" | "root" | "skippedCells">;

function reportOf(about: Found, { header, evidence, lostCells, lostRoot }: FoundState): RecoveryReport {
  return {
    ...about,
    evidence,
    proven: evidence === "flush" || evidence === "proof",
    length: header.next,
    root: header.root === 0 ? null : header.root,
    skippedCells: about.opening?.skippedCells ?? 0,
    lostCells,
    lostRoot,
  };
}

/** Carries a plan out. It makes the plan again under the writer's lock, because the file may have changed since. */
function carryOut({ report: { path, kept, damagedConfig: damaged }, config }: Plan, unproven: boolean): RecoveryReport {
  const { region } = openWriterFile(path, {}, 0, damaged === null ? undefined : config);
  let isKept = false;
  let report: RecoveryReport;
  try {
    try {
      const plan = planFor(path, kept, true);
      report = plan.report;
      if (!isSameConfig(plan.config, config)) throw changedMeanwhile(path);
      if (!report.needed) return report;
      if (!report.proven && !unproven) throw notProven(path);
      backUp(path, kept);
      // The copy exists: from here on every error names it.
      isKept = true;
      change(region, plan);
    } finally {
      region.close();
    }
  } catch (error) {
    throw isKept ? namingCopy(error, path, kept) : error;
  }
  return { ...report, done: true };
}

/**
 * Changes the file. A crash at any step leaves a file for which the same plan is made again, or that opens at this
 * state.
 */
function change(region: WritableRegion, { config, report: { damagedConfig }, restore: found }: Plan): void {
  if (damagedConfig !== null) {
    region.store({ offset: FILE.config.offset, bytes: encodeConfig(config) });
    region.sync(HEADER_AREA_BYTES);
  }
  if (found !== null) restore(region, config, found);
  // The writer's options do not matter: the file does not grow here, and no reader follows by this key.
  const writerKey = crypto.getRandomValues(new Uint8Array(32));
  const { publisher, header } = openStore(region, config, { writerKey, stepBytes: null });
  // Close it cleanly, as a writer does.
  publisher.flushSync(header);
  storeProcessId(region, 0);
}

/** Inspects the file. If its config is damaged and cannot be found, the error says why. */
function inspectDamaged(fd: number, path: string): Inspection {
  try {
    return inspect(fd, path);
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== "INVALID_CONFIG") throw error;
    const message = `${path}: the config is damaged, and nothing else in the file confirms its values: ${RESTORE}`;
    throw new StorageError(error.code, message, { path, cause: error });
  }
}

function isSameConfig(a: StorageConfig, b: StorageConfig): boolean {
  return a.headString === b.headString && a.bytesPerCell === b.bytesPerCell && a.maxIndex === b.maxIndex;
}

/** Makes the error for a file that cannot be repaired, from the error of opening, which advises to repair it. */
function beyondRecovery(cause: StorageError, { path }: Inspection): StorageError {
  const what =
    cause.code === "FILE_CUT"
      ? "the file was cut, and no cell of data is left"
      : "every header copy and commit record is broken, so the file has no evidence of a state";
  return new StorageError(cause.code, `${path}: ${what}: ${RESTORE}`, { path, cause });
}

function beingWritten({ path, writer, annexHead }: Inspection): StorageError {
  const processId = writer === "live" ? (annexHead?.processId ?? 0) : 0;
  const writerName = processId === 0 ? "a process (fuser names it)" : `process ${processId}`;
  const message = `${path}: ${writerName} is writing this file: a file in use needs no recovery; if that process does not answer, end it first (kill -9 loses no commit)`;
  return new StorageError("WRITER_LOCKED", message, { path });
}

function changedMeanwhile(path: string): StorageError {
  return new StorageError("SYSTEM", `${path}: another program changed the file while it was inspected: try again`, {
    path,
  });
}

function notProven(path: string): StorageError {
  const message = `${path}: the state is not proven complete: read the report of recover without apply, then add unproven to accept the state`;
  return new StorageError("UNPROVEN", message, { path });
}

function namingCopy(error: unknown, path: string, kept: string): StorageError {
  const { code, message } = error instanceof StorageError ? error : { code: "SYSTEM" as const, message: String(error) };
  const details = error instanceof StorageError ? error : {};
  return new StorageError(code, `${message}; the unchanged file is kept as ${kept}`, {
    ...details,
    path,
    cause: error,
  });
}
