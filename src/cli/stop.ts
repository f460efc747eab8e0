/** Ctrl-C and its like: how they end what takes long. */

import { readFileSync } from "node:fs";
import { errorsAreSeen } from "./output.ts";

const endingSignals: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM"];

/** Runs something that the signals which end a process abort instead. */
export async function untilStopped<T>(run: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  const signals = isHangupIgnored() ? endingSignals : [...endingSignals, "SIGHUP"];
  // As often as they come: the second one must not end the process before the first has been obeyed.
  for (const name of signals) process.on(name, abort);
  try {
    return await run(stop.signal);
  } finally {
    for (const name of signals) process.off(name, abort);
  }
}

/**
 * Whether nohup(1) started us: listening to SIGHUP would undo what it is for. What is ignored can be asked for on Linux;
 * elsewhere it goes by standard error, which nohup leads away from the terminal.
 */
function isHangupIgnored(): boolean {
  let status: string;
  try {
    status = readFileSync("/proc/self/status", "latin1");
  } catch {
    return !errorsAreSeen();
  }
  // A set of bits in hex; SIGHUP, number 1, is the lowest.
  const ignored = /^SigIgn:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  return (BigInt(`0x${ignored}`) & 1n) === 1n;
}
