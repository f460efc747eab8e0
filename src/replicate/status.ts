/** Tells whether a replica has the last flush of a file, for monitors. Makes a few small requests. */

import { checkOptions, signalFrom } from "../options.ts";
import { pathFrom } from "../os/file.ts";
import { newestState, replicaStateOf } from "./find-state.ts";
import type { ReplicaState } from "./history.ts";
import { openLog, rereading } from "./log.ts";
import { Source } from "./source.ts";
import { openTarget, type Target } from "./store/open.ts";

/** The status of a replica. */
export interface ReplicaStatus {
  /** The newest state, or null. */
  readonly state: ReplicaState | null;
  /** Milliseconds since it was made, by this machine's clock; null without a state. */
  readonly ageMs: number | null;
  /** Whether it is the last flush of the file; null if no file is given, or while a writer is opening it. */
  readonly isCurrent: boolean | null;
}

/**
 * Returns the status of a replica, compared with the file that is replicated to it if one is given. Lengths, roots and
 * versions are compared; `verify` compares cells.
 * @throws NOT_A_REPLICA; REPLICA_CORRUPT; what opening the file throws; STORE_UNREACHABLE, STORE_REFUSED; TypeError
 */
export async function status(
  target: Target,
  options: { readonly against?: string | URL | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<ReplicaStatus> {
  checkOptions(options);
  const path = options.against === undefined ? undefined : pathFrom(options.against);
  const signal = signalFrom(options.signal);
  const log = await openLog(openTarget(target), signal);
  const found = await rereading(log.url, () => newestState(log, signal));
  const state = found === null ? null : replicaStateOf(found);
  const ageMs = found === null ? null : Math.max(0, Date.now() - found.time);
  if (path === undefined) return { state, ageMs, isCurrent: null };
  const source = Source.open(path, log.replica.blockBytes, true);
  try {
    const flushed = await source.look();
    if (flushed === null) return { state, ageMs, isCurrent: null };
    const { next, root, config } = flushed;
    return { state, ageMs, isCurrent: found?.next === next && found.root === root && found.config === config };
  } finally {
    source.close();
  }
}
