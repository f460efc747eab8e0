/** Ends a call at its deadline or by the caller's signal, even when the system or the server never answers. */

import { StorageError } from "../../error.ts";

/**
 * Runs `call`. At the deadline, or when `signal` is aborted, rejects and aborts the signal that it passed to `call`.
 * @param what the call and its target, for the message
 * @throws STORE_UNREACHABLE past the deadline; the reason of `signal`
 */
export async function withDeadline<T>(
  what: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const end = (reason: unknown): void => {
    reject(reason);
    controller.abort(reason);
  };
  const onAbort = (): void => end(signal?.reason);
  const expire = (): void => {
    const message = `${what}: no answer within ${timeoutMs} ms: check the network, or raise timeoutMs on a slow one`;
    end(new StorageError("STORE_UNREACHABLE", message));
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(expire, timeoutMs);
  try {
    return await Promise.race([call(controller.signal), ended]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
