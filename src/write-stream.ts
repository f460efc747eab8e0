/** Stores a source of bytes as a blob: awaits the source, and handles its errors, aborts and the storage's close. */

import { wrongType } from "./error.ts";
import { asBytes, checkOptions, signalFrom } from "./options.ts";
import { shareEventLoop } from "./os/event-loop.ts";
import type { StreamedBlob } from "./cells/streamed-blob.ts";

/** The sources that `writeStream` reads. */
export type ByteSource = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** Options of `writeStream`. */
export interface WriteStreamOptions {
  /** Cancels the call, which then rejects with the signal's reason. The source is told to stop, but not awaited. */
  readonly signal?: AbortSignal | undefined;
}

/** How many bytes of a piece are stored before the event loop may run other work. */
const STEP_BYTES = 256 * 1024;

/** The pieces of a source, in order. */
interface Pieces {
  next(): Promise<IteratorResult<Uint8Array, unknown>>;
  /** Tells the source to stop. */
  stop(reason: unknown): unknown;
}

/**
 * Stores the bytes that the source yields.
 * @returns the blob's index
 */
export async function storeStream(
  source: ByteSource,
  options: WriteStreamOptions,
  blob: StreamedBlob,
): Promise<number> {
  checkOptions(options);
  const signal = signalFrom(options.signal);
  const { closeSignal } = blob;
  const signals = signal === undefined ? [closeSignal] : [signal, closeSignal];
  const pieces = piecesOf(source);
  let isOpen = true;
  try {
    for (;;) {
      for (const each of signals) each.throwIfAborted();
      const piece = await nextOf(pieces, signals).catch((error: unknown) => {
        // A source that failed has stopped. After an abort it has not.
        isOpen = signals.some(({ aborted }) => aborted);
        throw error;
      });
      // Read each property once, and before the checks: a getter may do anything to the storage.
      const isLast = piece.done === true;
      isOpen = !isLast;
      const bytes = isLast ? null : asBytes(piece.value);
      if (bytes === null) {
        blob.check();
        return blob.end();
      }
      await append(bytes, blob, signals);
    }
  } catch (error) {
    blob.discard();
    if (isOpen) stop(pieces, error);
    throw error;
  }
}

/** Stores a piece in steps, between which the event loop may run other work. */
async function append(bytes: Uint8Array, blob: StreamedBlob, signals: readonly AbortSignal[]): Promise<void> {
  // Read the length once: after a turn the memory may be gone, and the length 0.
  const lengthBytes = bytes.length;
  let done = 0;
  // Yield at least once, so that a source of empty pieces does not block the event loop either.
  do {
    blob.check();
    blob.append(asBytes(bytes).subarray(done, Math.min(done + STEP_BYTES, lengthBytes)));
    done += STEP_BYTES;
    await shareEventLoop();
    for (const each of signals) each.throwIfAborted();
  } while (done < lengthBytes);
}

/**
 * Resolves with the next piece, or rejects with an abort's reason if that comes first. It adds and removes a listener
 * for each piece, because `Promise.race` would retain them all.
 */
function nextOf(pieces: Pieces, signals: readonly AbortSignal[]): Promise<IteratorResult<Uint8Array, unknown>> {
  return new Promise((resolve, reject) => {
    const abort = ({ target }: Event): void => reject((target as AbortSignal).reason);
    for (const signal of signals) signal.addEventListener("abort", abort, { once: true });
    void pieces
      .next()
      .then(resolve, reject)
      .finally(() => {
        for (const signal of signals) signal.removeEventListener("abort", abort);
      });
  });
}

/** Tells the source to stop, without waiting for it, because it may hang. Its answer is ignored. */
function stop(pieces: Pieces, reason: unknown): void {
  void (async () => pieces.stop(reason))().catch(() => undefined);
}

function piecesOf(source: ByteSource): Pieces {
  if (source instanceof ReadableStream) {
    const reader = source.getReader();
    return { next: () => reader.read(), stop: (reason) => reader.cancel(reason) };
  }
  if (typeof source !== "object" || source === null || typeof source[Symbol.asyncIterator] !== "function") {
    throw wrongType("source", "a ReadableStream or an async iterable of bytes", source);
  }
  const iterator = source[Symbol.asyncIterator]();
  return { next: async () => iterator.next(), stop: () => iterator.return?.() };
}
