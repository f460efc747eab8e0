/** Blobs as streams: chunk by chunk, each a copy, so that nothing of the storage is held between two of them. */

import { shareEventLoop } from "../os/event-loop.ts";
import { addressOf } from "../os/libc.ts";
import type { Snapshot } from "../state/snapshot.ts";
import { Chain, chunkAt, type Part, reachBlob } from "./blob.ts";
import type { Cells } from "./cells.ts";
import { ChunkReadAhead } from "./read-ahead.ts";

/** Footers that are followed between two looks at the clock: each may have to come from the disk. */
const FOOTERS_A_STEP = 64;
/** Chunks that are copied at once. */
const CHUNKS_A_PIECE = 4;

/**
 * The bytes of the blob with this index, or those of a part. Nothing is read before somebody pulls, then a piece at a
 * time; what is kept is an index for each chunk, 8 bytes for 64 KiB.
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
      // A consumer that brought a buffer of its own gets it back.
      controller.byobRequest?.respond(0);
    },
  });
}

/** Copies of a few chunks at a time. */
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
    // Before the copy: much may have happened since the last, and a file that was cut has no page there.
    snapshot.check();
    const bytes = copyPiece(cells, chain, part, chunk, Math.min(end, chunk + CHUNKS_A_PIECE), ahead);
    // After the copy: until then the cells were those of the blob.
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
    // A file that was cut has no page there, and cells that hold other data no chain.
    snapshot.check();
    if (chain === undefined) reachBlob(cells, index);
    chain ??= new Chain(cells, index);
    if (chain.follow(FOOTERS_A_STEP)) return chain;
  }
}

/** The bytes of the part in the chunks `[first, end)`, as they are now. */
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
