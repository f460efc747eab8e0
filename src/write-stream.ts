/** From a source of bytes to a blob: what is waited for, and what ends it. */

import { wrongType } from "./error.ts";
import { asBytes, checkOptions, signalFrom } from "./options.ts";
import { shareEventLoop } from "./os/event-loop.ts";
import type { BlobWriter } from "./cells/blob-writer.ts";

/** What `writeStream` reads. */
export type ByteSource = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** How to store a stream. */
export interface WriteStreamOptions {
  /** Gives up, with the signal's reason. The source is told to stop, and not waited for. */
  readonly signal?: AbortSignal | undefined;
}

/** What is stored of a piece before the event loop may have a turn. */
const STEP_BYTES = 256 * 1024;

/** Pieces of a source, one after the other. */
interface Pieces {
  next(): Promise<IteratorResult<Uint8Array, unknown>>;
  /** Tells the source that nothing more is wanted of it. */
  stop(reason: unknown): unknown;
}

/**
 * Stores what the source yields.
 * @param checkWritable called after everything that was waited for or asked of the source
 * @returns the blob's index
 */
export async function storeStream(
  source: ByteSource,
  options: WriteStreamOptions,
  blob: BlobWriter,
  checkWritable: () => void,
): Promise<number> {
  checkOptions(options);
  const signal = signalFrom(options.signal);
  const { closeSignal } = blob;
  const signals = signal === undefined ? [closeSignal] : [signal, closeSignal];
  const pieces = piecesOf(source);
  let isOpen = true;
  const check = (): void => {
    checkWritable();
    blob.check();
  };
  try {
    for (;;) {
      for (const each of signals) each.throwIfAborted();
      const piece = await nextOf(pieces, signals).catch((error: unknown) => {
        // A source that has failed has stopped; one that is only given up has not.
        isOpen = signals.some(({ aborted }) => aborted);
        throw error;
      });
      // Each asked once, and before the checks: a getter may do anything to the storage.
      const isLast = piece.done === true;
      isOpen = !isLast;
      const bytes = isLast ? null : asBytes(piece.value);
      if (bytes === null) {
        check();
        return blob.end();
      }
      await append(bytes, blob, check, signals);
    }
  } catch (error) {
    blob.discard();
    if (isOpen) stop(pieces, error);
    throw error;
  }
}

/** Stores a piece in steps, between which the event loop may have a turn. */
async function append(
  bytes: Uint8Array,
  blob: BlobWriter,
  check: () => void,
  signals: readonly AbortSignal[],
): Promise<void> {
  // Read the length once: the memory may be gone, and the length 0, after a turn.
  const lengthBytes = bytes.length;
  let done = 0;
  // A source of empty pieces must not hold the event loop either.
  do {
    check();
    blob.append(asBytes(bytes).subarray(done, Math.min(done + STEP_BYTES, lengthBytes)));
    done += STEP_BYTES;
    await shareEventLoop();
    for (const each of signals) each.throwIfAborted();
  } while (done < lengthBytes);
}

/** The next piece, or an abort's reason if that comes first. A listener for each: a race would keep them all. */
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

/** Not waited for: a source that hangs is what may have been given up. What it says to that is of no use to anyone. */
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
