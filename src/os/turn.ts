/** Giving way to everything else that the process does. */

/** Resolves after timers, sockets and what else waits have had their turn: awaiting what is done already gives them none. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
