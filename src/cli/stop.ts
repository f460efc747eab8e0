/** Ends long operations at Ctrl-C and similar signals. */

import { readFileSync } from "node:fs";
import { CommandError } from "./failure.ts";
import { isStderrTerminal } from "./output.ts";

const endingSignals: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM"];

/**
 * Runs an operation. Signals that would end the process abort the operation instead.
 * @param cancelled the message of the error if the operation fails after an abort. Without it, its own error is thrown
 */
export async function untilStopped<T>(run: (signal: AbortSignal) => Promise<T>, cancelled?: string): Promise<T> {
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  const signals = isHangupIgnored() ? endingSignals : [...endingSignals, "SIGHUP"];
  // Handle every signal: the second one must not end the process before the first has taken effect.
  for (const name of signals) process.on(name, abort);
  try {
    return await run(stop.signal);
  } catch (error) {
    if (stop.signal.aborted && cancelled !== undefined) throw new CommandError("CANCELLED", cancelled, error);
    throw error;
  } finally {
    for (const name of signals) process.off(name, abort);
  }
}

/**
 * Tells whether nohup(1) started this process; then it must not listen to SIGHUP. On Linux the ignored signals can be
 * read. Elsewhere it tests standard error, which nohup redirects away from the terminal.
 */
function isHangupIgnored(): boolean {
  let status: string;
  try {
    status = readFileSync("/proc/self/status", "latin1");
  } catch {
    return !isStderrTerminal();
  }
  // The value is a set of bits in hex. SIGHUP, number 1, is the lowest bit.
  const ignored = /^SigIgn:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0";
  return (BigInt(`0x${ignored}`) & 1n) === 1n;
}
