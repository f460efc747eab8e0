/** Reads blobs as streams. Each piece is a copy, so the stream holds no memory of the storage between two pieces. */

import { shareEventLoop } from "../os/event-loop.ts";
import { addressOf } from "../os/libc.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { Chain, chunkAt, type Part, prepareBlob } from "./blob.ts";
import type { Cells } from "./cells.ts";
import { ChunkReadAhead } from "./read-ahead.ts";

/** Footers that are followed before the event loop may get a turn: each may have to be read from the disk. */
const FOOTERS_A_STEP = 64;
/** Chunks that are copied in one piece. */
const CHUNKS_A_PIECE = 4;

/**
 * Returns the bytes of the blob with this index, or of a part of it. Nothing is read before the first read of the
 * stream. The stream keeps an index for each chunk, 8 bytes per 64 KiB.
 *
 * Its type is Bun's "direct": a consumer in native code, such as `Bun.serve`, copies or sends a piece before `write`
 * resolves, so all pieces go through one buffer. New memory for each piece would cost more than the copy, because the
 * kernel maps each new page at its first touch.
 * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError. The stream errors with CHUNK_CORRUPT, TRUNCATED, CLOSED
 */
export function blobStream(
  cells: Cells,
  snapshot: Snapshot,
  index: number,
  part: Part,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  cells.prepareRead(index);
  let isCancelled = false;
  return new ReadableStream({
    type: "direct",
    async pull(controller) {
      const chain = await chainOf(cells, snapshot, index);
      await writePieces(cells, snapshot, chain, chain.partOf(part), controller, () => isCancelled);
      controller.close();
    },
    cancel() {
      isCancelled = true;
    },
  });
}

/** Writes copies of a few chunks at a time. */
async function writePieces(
  cells: Cells,
  snapshot: Snapshot,
  chain: Chain,
  part: Part,
  controller: ReadableStreamDirectController,
  isCancelled: () => boolean,
): Promise<void> {
  const { first, end } = chain.chunksOf(part);
  const ahead = new ChunkReadAhead(cells.readAhead, chain, end);
  const inOneBuffer = isNative(controller);
  let buffer = new Uint8Array(0);
  for (let chunk = first; chunk < end && !isCancelled(); chunk += CHUNKS_A_PIECE) {
    await shareEventLoop();
    cells.checkOpen();
    // Check before the copy: the storage may have changed since the last piece, and a cut file has no page there.
    snapshot.check();
    const pieceEnd = Math.min(end, chunk + CHUNKS_A_PIECE);
    const lengthBytes = chain.lengthOf(part, chunk, pieceEnd);
    if (!inOneBuffer || buffer.length < lengthBytes) buffer = new Uint8Array(lengthBytes);
    const piece = buffer.subarray(0, lengthBytes);
    copyPiece(cells, chain, part, chunk, pieceEnd, ahead, addressOf(piece));
    // Check after the copy: the cells belonged to the blob until now.
    snapshot.check();
    // Resolves when the consumer can take more.
    await controller.write(piece);
  }
}

/**
 * Whether the consumer is native code. A consumer in JavaScript may keep the bytes themselves: `Response.blob` does
 * (Bun 1.4.5), and so may a reader of the stream.
 */
function isNative(controller: ReadableStreamDirectController): boolean {
  return "sinkId" in controller;
}

/** Follows all footers. */
async function chainOf(cells: Cells, snapshot: Snapshot, index: number): Promise<Chain> {
  let chain: Chain | undefined;
  for (;;) {
    await shareEventLoop();
    cells.checkOpen();
    // Check first: a cut file has no page there, and cells with other data have no chain.
    snapshot.check();
    if (chain === undefined) prepareBlob(cells, index);
    chain ??= new Chain(cells, index);
    if (chain.follow(FOOTERS_A_STEP)) return chain;
  }
}

/** Copies the bytes of the part in the chunks `[first, end)`, as they are now, to an address. */
function copyPiece(
  cells: Cells,
  chain: Chain,
  part: Part,
  first: number,
  end: number,
  ahead: ChunkReadAhead,
  targetAddress: number,
): void {
  let address = targetAddress;
  for (let chunk = first; chunk < end; chunk++) {
    ahead.before(chunk);
    // The footer may have changed since it was followed.
    const last = chain.lastOf(chunk);
    const { sizeBytes, previous } = chunkAt(cells, last, chunk < chain.count - 1);
    if (previous !== chain.lastOf(chunk - 1) || sizeBytes !== chain.sizeOf(chunk)) throw chain.changed();
    address += chain.copyChunk(chunk, part, address);
  }
}
