/** From a source of bytes to a blob: what is waited for, and what ends it. */

import { wrongType } from "./error.ts";
import { asBytes, checkOptions, signalFrom } from "./options.ts";
import { yieldToEventLoop } from "./os/event-loop.ts";
import type { BlobWriter } from "./cells/blob-writer.ts";

/** What `writeStream` reads. */
export type ByteSource = ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

/** How to store a stream. */
export interface WriteStreamOptions {
  /** Gives up, with the signal's reason. The source is told to stop, and not waited for. */
  readonly signal?: AbortSignal | undefined;
}

/** After so many bytes the event loop has a turn, also if the source never waits for anything. */
const BYTES_A_TURN = 4 * 1024 * 1024;
/** What a piece counts besides its bytes. */
const PIECE_BYTES = 1024;

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
  try {
    for (let bytesInTurn = 0; ;) {
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
      checkWritable();
      blob.check();
      if (bytes === null) return blob.end();
      blob.append(bytes);
      bytesInTurn += bytes.length + PIECE_BYTES;
      if (bytesInTurn < BYTES_A_TURN) continue;
      bytesInTurn = 0;
      await yieldToEventLoop();
    }
  } catch (error) {
    blob.discard();
    if (isOpen) stop(pieces, error);
    throw error;
  }
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
