/** Restores a state of a replica to a new file. */

import { dirname, resolve } from "node:path";
import { wrongType } from "../error.ts";
import { makeWriterKey } from "../key.ts";
import { checkOptions, signalFrom } from "../options.ts";
import { pathFrom } from "../os/file.ts";
import { checkFilesystem } from "../os/filesystem.ts";
import { NewFile } from "../os/new-file.ts";
import { releaseAfter } from "../os/release.ts";
import { checkContent, type Content, contentOf, writeContent } from "./content.ts";
import { type FoundState, noSuchState, replicaStateOf, stateAtTime, stateOfRecord } from "./find-state.ts";
import type { History, ReplicaState } from "./history.ts";
import { type Log, openLog, rereading } from "./log.ts";
import { openTarget, type Target } from "./store/open.ts";

/** The options of `restore`. */
export interface RestoreOptions {
  /** The number of a state's record, or a time: the last state at or before it. Default: the newest state. */
  readonly at?: number | Date | undefined;
  /** Cancels it; rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each piece of at most a block. If it throws, the restore ends with that error. */
  readonly onProgress?: ((progress: RestoreProgress) => void) | undefined;
  /** Allows a file on NFS, SMB, 9p or FUSE. Default false. */
  readonly allowUnsafeFilesystem?: boolean | undefined;
}

/** The progress of a restore. */
export interface RestoreProgress {
  readonly restoredBytes: number;
  readonly totalBytes: number;
}

/** The permissions of the new file, before the process's umask. */
const PERMISSIONS = 0o666;

/**
 * Restores a state to a new file, which appears complete and durable, or not at all. Every byte is checked against its
 * hash.
 * @returns the state that was restored
 * @throws NOT_A_REPLICA; NO_SUCH_STATE; REPLICA_CORRUPT an object is damaged or missing, and named; ALREADY_EXISTS;
 * NO_SUCH_FILE the directory is missing; DISK_FULL; SYSTEM; UNSUPPORTED; STORE_UNREACHABLE, STORE_REFUSED; the signal's
 * reason; TypeError (all as rejections)
 *
 * @example
 * await restore("s3://bucket/data", "copy.cellar", { at: new Date("2026-11-01") });
 */
export async function restore(target: Target, path: string | URL, options: RestoreOptions = {}): Promise<ReplicaState> {
  checkOptions(options);
  const { at, onProgress } = options;
  const signal = signalFrom(options.signal);
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw wrongType("onProgress", "a function", onProgress);
  }
  checkAt(at);
  const place = resolve(pathFrom(path));
  if (!options.allowUnsafeFilesystem) checkFilesystem(dirname(place), place);
  const log = await openLog(openTarget(target), signal);
  return rereading(log.url, async () => {
    const content = await chosen(log, at, signal);
    await placeContent(log, content, place, { writerKey: makeWriterKey(), signal, onProgress });
    return replicaStateOf(content.state);
  });
}

/** Writes a state to a new file, which appears complete and durable, or not at all. */
export async function placeContent(
  log: Log,
  content: Content,
  path: string,
  { writerKey, signal, onProgress }: Pick<RestoreOptions, "signal" | "onProgress"> & { readonly writerKey: Uint8Array },
): Promise<void> {
  const totalBytes = content.state.next * content.geometry.bytesPerCell;
  let restoredBytes = content.geometry.startIndex * content.geometry.bytesPerCell;
  const onBytes = (bytes: number): void => {
    restoredBytes += bytes;
    onProgress?.({ restoredBytes, totalBytes });
    signal?.throwIfAborted();
  };
  const file = NewFile.unnamed(path, totalBytes, PERMISSIONS);
  try {
    onBytes(0);
    await writeContent(log, content, file, { writerKey, signal, onBytes });
    await file.sync();
    signal?.throwIfAborted();
    await file.place();
  } catch (error) {
    releaseAfter(
      error,
      () => file.discard(),
      () => file.close(),
    );
  }
  file.close();
}

/** Finds the requested state, and the records that hold it. */
async function chosen(log: Log, at: number | Date | undefined, signal?: AbortSignal): Promise<Content> {
  if (typeof at === "number") return contentOf(log, await stateOfRecord(log, at, signal), signal);
  if (at !== undefined) return contentOf(log, await stateAtTime(log, at.getTime(), signal), signal);
  return newestContent(log, await log.readToEnd(signal), signal);
}

/** Returns the newest state. It is of an older epoch if the newest epoch has no state yet. */
export async function newestContent(log: Log, history: History, signal?: AbortSignal): Promise<Content> {
  const { state } = history;
  if (state === null) throw noSuchState(log, "it has no state yet");
  if (!history.hasState || history.epoch !== state.epoch) {
    return contentOf(log, await stateOfRecord(log, state.sequence, signal), signal);
  }
  return checkContent(foundNewest(history, state), history);
}

function foundNewest(history: History, state: ReplicaState): FoundState {
  const { next, root, config } = history;
  const { sequence, epoch, time } = state;
  return { sequence, epoch, time: time.getTime(), next, root, config, record: history.sequence };
}

function checkAt(at: unknown): void {
  if (at === undefined || (typeof at === "number" && Number.isSafeInteger(at) && at >= 1)) return;
  if (at instanceof Date && !Number.isNaN(at.getTime())) return;
  throw wrongType("at", "the number of a record, or a valid Date", at);
}
