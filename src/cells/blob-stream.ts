/**
 * Reads blobs as streams. Each piece is a copy, so that the stream holds no memory of the storage between two pieces.
 */

import { shareEventLoop } from "../os/event-loop.ts";
import { addressOf } from "../os/libc.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { Chain, chunkAt, type Part, reachBlob } from "./blob.ts";
import type { Cells } from "./cells.ts";
import { ChunkReadAhead } from "./read-ahead.ts";

/** Footers that are followed before the event loop may get a turn: each may have to be read from the disk. */
const FOOTERS_A_STEP = 64;
/** Chunks that are copied in one piece. */
const CHUNKS_A_PIECE = 4;

/**
 * Returns the bytes of the blob with this index, or of a part of it. Nothing is read before the first pull; then each
 * pull reads a piece. The stream keeps an index for each chunk, 8 bytes per 64 KiB.
 * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError. The stream errors with CHUNK_CORRUPT, TRUNCATED, CLOSED
 */
export function blobStream(
  cells: Cells,
  snapshot: Snapshot,
  index: number,
  part: Part,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  cells.reach(index);
  let pieces: AsyncGenerator<Uint8Array<ArrayBuffer>> | undefined;
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      pieces ??= piecesOf(cells, snapshot, index, part);
      const { value } = await pieces.next();
      if (value !== undefined) return controller.enqueue(value);
      controller.close();
      // Give a consumer that brought its own buffer the buffer back.
      controller.byobRequest?.respond(0);
    },
  });
}

/** Yields copies of a few chunks at a time. */
async function* piecesOf(
  cells: Cells,
  snapshot: Snapshot,
  index: number,
  asked: Part,
): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined> {
  const chain = await chainOf(cells, snapshot, index);
  const part = chain.partOf(asked);
  const { first, end } = chain.chunksOf(part);
  const ahead = new ChunkReadAhead(cells.readAhead, chain, end);
  for (let chunk = first; chunk < end; chunk += CHUNKS_A_PIECE) {
    await shareEventLoop();
    cells.checkOpen();
    // Check before the copy: the storage may have changed since the last piece, and a cut file has no page there.
    snapshot.check();
    const bytes = copyPiece(cells, chain, part, chunk, Math.min(end, chunk + CHUNKS_A_PIECE), ahead);
    // Check after the copy: the cells belonged to the blob until now.
    snapshot.check();
    yield bytes;
  }
  return undefined;
}

/** Follows all footers. */
async function chainOf(cells: Cells, snapshot: Snapshot, index: number): Promise<Chain> {
  let chain: Chain | undefined;
  for (;;) {
    await shareEventLoop();
    cells.checkOpen();
    // Check first: a cut file has no page there, and cells with other data have no chain.
    snapshot.check();
    if (chain === undefined) reachBlob(cells, index);
    chain ??= new Chain(cells, index);
    if (chain.follow(FOOTERS_A_STEP)) return chain;
  }
}

/** Copies the bytes of the part in the chunks `[first, end)`, as they are now. */
function copyPiece(
  cells: Cells,
  chain: Chain,
  part: Part,
  first: number,
  end: number,
  ahead: ChunkReadAhead,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(chain.lengthOf(part, first, end));
  let address = addressOf(bytes);
  for (let chunk = first; chunk < end; chunk++) {
    ahead.before(chunk);
    // The footer may have changed since it was followed.
    const last = chain.lastOf(chunk);
    const { sizeBytes, previous } = chunkAt(cells, last, chunk < chain.count - 1);
    if (previous !== chain.lastOf(chunk - 1) || sizeBytes !== chain.sizeOf(chunk)) throw chain.changed();
    address += chain.copyChunk(chunk, part, address);
  }
  return bytes;
}
