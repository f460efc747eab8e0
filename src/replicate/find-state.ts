/** Finds a state of the replica: the newest state, the state of a record, or the last state at a time. */

import { StorageError } from "../error.ts";
import { type ReplicaState, stateOf } from "./history.ts";
import { logKey } from "./keys.ts";
import type { Log } from "./log.ts";
import { Misfit } from "./object.ts";
import type { NamedState, RecordLine } from "./record.ts";

/** A state, and the record that restores it: its own, or the full record that names it. */
export interface FoundState extends NamedState {
  readonly epoch: number;
  readonly record: number;
}

/** Keys of one listing when openings are skipped. */
const KEYS = 16;

/** Returns the newest state, from the lines of a few records; null if there is none. @throws Misfit */
export async function newestState(log: Log, signal?: AbortSignal): Promise<FoundState | null> {
  for (let upTo = await log.newest(signal); upTo > 0;) {
    const line = await recordUpTo(log, upTo, signal);
    if (line === null || line.kind === "opening") return null;
    if (line.kind === "state") return foundIn(line, line.sequence, line.sequence);
    if (line.kind === "full" && line.repeats === 0) return foundIn(line, line.sequence, line.sequence);
    if (line.kind === "full") return stateOfRecord(log, line.repeats, signal);
    upTo = line.sequence - 1;
  }
  return null;
}

/**
 * Returns the state of a record.
 * @throws NO_SUCH_STATE it was pruned, never existed, or the record is an opening or only names blocks; Misfit
 */
export async function stateOfRecord(log: Log, sequence: number, signal?: AbortSignal): Promise<FoundState> {
  const newest = await log.newest(signal);
  const line = sequence <= newest ? await log.line(sequence, signal) : null;
  if (line?.kind === "full" && line.repeats === 0) return foundIn(line, sequence, sequence);
  // Look for a full record even if the record is an opening or only names blocks: a late record may have the number of
  // a pruned state.
  const full = sequence > newest ? 0 : await fullRecordFrom(log, sequence, newest, signal);
  if (full === 0) {
    // No full record follows, so the record itself counts. Before the newest full record it would be ignored: it could
    // be late, or about to be deleted.
    if (line?.kind === "state") return foundIn(line, sequence, sequence);
    throw noSuchState(log, line === null ? `there is no state ${sequence}` : `record ${sequence} is not a state`);
  }
  const named = await log.fullStates(full, signal);
  // If the full record was deleted, the state is pruned: no other record names it.
  const state = named?.states.find((one) => one.sequence === sequence);
  if (named === null || state === undefined) throw noSuchState(log, `there is no state ${sequence}`);
  return { ...state, epoch: named.line.epoch, record: full };
}

/**
 * Returns the last state at or before a time. Finds the last record at that time by a binary search, without openings,
 * and then searches the list of states in the next full record. @throws NO_SUCH_STATE; Misfit
 */
export async function stateAtTime(log: Log, time: number, signal?: AbortSignal): Promise<FoundState> {
  const newest = await log.newest(signal);
  let [low, high] = [0, newest];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const found = await recordUpTo(log, middle, signal);
    if (found === null) low = Math.max(low, middle);
    else if (found.time <= time) low = middle;
    else high = Math.min(high, found.sequence) - 1;
  }
  for (let upTo = low; upTo > 0;) {
    const line = await recordUpTo(log, upTo, signal);
    const first = line === null ? 1 : line.sequence + 1;
    const inList = await lastNamedAt(log, first, newest, time, signal);
    if (inList !== null) return inList;
    if (line === null) break;
    const isState = line.kind === "full" ? line.repeats === 0 : line.kind === "state";
    if (isState) return foundIn(line as StateLine, line.sequence, line.sequence);
    upTo = line.sequence - 1;
  }
  throw noSuchState(log, `it has no state at or before ${new Date(time).toISOString()}`);
}

type StateLine = Extract<RecordLine, { readonly kind: "state" | "full" }>;

function foundIn(line: StateLine, sequence: number, record: number): FoundState {
  const { time, root, next, config, epoch } = line;
  return { sequence, time, root, next, config, epoch, record };
}

/** Returns the last state at or before a time in the list of the first full record from `first` on, or null. */
async function lastNamedAt(
  log: Log,
  first: number,
  newest: number,
  time: number,
  signal?: AbortSignal,
): Promise<FoundState | null> {
  for (let from = first; ;) {
    const full = await fullRecordFrom(log, from, newest, signal);
    const named = full === 0 ? null : await log.fullStates(full, signal);
    const state = named?.states.findLast((one) => one.time <= time);
    if (named !== null && state !== undefined) return { ...state, epoch: named.line.epoch, record: full };
    if (full === 0 || named !== null) return null;
    // The full record was pruned, with the states that it named.
    from = full + 1;
  }
}

/** Returns the line of the last existing record up to `sequence` that is not an opening, or null. */
async function recordUpTo(log: Log, sequence: number, signal?: AbortSignal): Promise<RecordLine | null> {
  for (let upTo = sequence; upTo > 0;) {
    const found = await log.upTo(upTo, KEYS, signal);
    for (const one of found) {
      const line = await log.line(one, signal);
      // The record was deleted since: try the previous one.
      if (line !== null && line.kind !== "opening") return line;
    }
    upTo = (found.at(-1) ?? 1) - 1;
  }
  return null;
}

/**
 * Returns the first existing full record from `sequence` on, 0 if there is none. Every record names the newest full
 * record up to it, and this number never decreases, so a binary search finds it.
 */
export async function fullRecordFrom(
  log: Log,
  sequence: number,
  newest: number,
  signal?: AbortSignal,
): Promise<number> {
  const newestLine = await log.line(newest, signal);
  if (newestLine === null) throw new Misfit(logKey(newest), "it was listed, but is missing");
  if (newestLine.full < sequence) return 0;
  let [low, high, full] = [sequence, newestLine.full, newestLine.full];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const [there] = await log.upTo(middle, 1, signal);
    const line = there === undefined ? null : await log.line(there, signal);
    if (line !== null && line.full >= sequence) [high, full] = [line.full, line.full];
    else low = middle + 1;
  }
  return full;
}

/** Returns the state in the form of the API. */
export function replicaStateOf({ sequence, epoch, time, root, next }: FoundState): ReplicaState {
  return stateOf(epoch, { sequence, time, root, next });
}

export function noSuchState(log: Log, why: string): StorageError {
  const message = `${log.url}: ${why}: list the states with cellar replica states`;
  return new StorageError("NO_SUCH_STATE", message, { path: log.url });
}
