/** Lists the states of a replica, in order. */

import { wrongType } from "../error.ts";
import { checkOptions, signalFrom } from "../options.ts";
import { stateOf, type ReplicaState } from "./history.ts";
import { type Log, openLog, rereading } from "./log.ts";
import { openTarget, type Target } from "./store/open.ts";

/** The options of `states`. */
export interface StatesOptions {
  /** The first one, by the number of its record. Default: the oldest. */
  readonly from?: number | undefined;
  /** The last one. Default: the newest. */
  readonly to?: number | undefined;
  /** Cancels it; rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Yields the states that can be restored, each once, oldest first.
 * @throws NOT_A_REPLICA; REPLICA_CORRUPT; STORE_UNREACHABLE, STORE_REFUSED; the signal's reason; TypeError
 *
 * @example
 * for await (const { sequence, time, length } of states("s3://bucket/data")) console.log(sequence, time, length);
 */
export async function* states(target: Target, options: StatesOptions = {}): AsyncGenerator<ReplicaState, void> {
  checkOptions(options);
  const from = numberFrom("from", options.from) ?? 1;
  const to = numberFrom("to", options.to) ?? Infinity;
  const signal = signalFrom(options.signal);
  const log = await openLog(openTarget(target), signal);
  const isWanted = ({ sequence }: ReplicaState): boolean => sequence > last && sequence <= to;
  let last = from - 1;
  for (;;) {
    const fulls = await rereading(log.url, () => fullRecords(log, last + 1, signal));
    for (const full of fulls) {
      const batch = (await rereading(log.url, () => statesOf(log, full, signal))).filter(isWanted);
      yield* batch;
      last = batch.at(-1)?.sequence ?? last;
    }
    const newest = await log.newest(signal);
    let sequence = Math.max(last, fulls.at(-1) ?? 0) + 1;
    for (; sequence <= newest && sequence <= to; sequence++) {
      const line = await rereading(log.url, () => log.line(sequence, signal));
      // A newer full record names the state by now, or `prune` has deleted it: list again.
      if (line === null || line.kind === "full") break;
      if (line.kind !== "state") continue;
      const state = stateOf(line.epoch, line);
      if (isWanted(state)) yield state;
      last = sequence;
    }
    if (sequence > newest || sequence > to) return;
  }
}

/** Returns the states that a full record names, and its own; none if it was pruned since. */
async function statesOf(log: Log, full: number, signal?: AbortSignal): Promise<ReplicaState[]> {
  const named = await log.fullStates(full, signal);
  if (named === null || named.line.kind !== "full") return [];
  const { epoch } = named.line;
  const list = named.states.map((state) => stateOf(epoch, state));
  return named.line.repeats === 0 ? [...list, stateOf(epoch, named.line)] : list;
}

/** Returns the full records from a number on, oldest first. Each names the previous one, up to a pruned one. */
export async function fullRecords(log: Log, from: number, signal?: AbortSignal): Promise<number[]> {
  const newest = await log.newest(signal);
  const end = newest === 0 ? null : await log.line(newest, signal);
  const fulls: number[] = [];
  let previousEpoch = 0;
  for (let full = end?.full ?? 0; full > 0;) {
    const line = await log.line(full, signal);
    if (line?.kind === "full") {
      fulls.unshift(full);
      if (full <= from) break;
      ({ previousEpoch } = line);
      full = line.previousFull;
    } else {
      // It was pruned, and so were all before it in its epoch.
      full = previousEpoch < full ? previousEpoch : 0;
    }
  }
  return fulls;
}

function numberFrom(name: string, value: number | undefined): number | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && value >= 1)) return value;
  throw wrongType(name, "the number of a record", value);
}
