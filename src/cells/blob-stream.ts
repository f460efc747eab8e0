/** Blobs as streams: chunk by chunk, each a copy, so that nothing of the storage is held between two of them. */

import { libc } from "../os/libc.ts";
import { yieldToEventLoop } from "../os/event-loop.ts";
import { chunkAt, changed } from "./blob.ts";
import type { Cells } from "./cells.ts";
import type { Snapshot } from "../state/snapshot.ts";

/** Chunks whose footers are looked at before the event loop has a turn: each may have to come from the disk. */
const CHUNKS_A_TURN = 1024;

/**
 * The bytes of the blob with this index. Nothing is read before somebody pulls, then one chunk at a time; what is kept
 * is an index for each chunk, 8 bytes for 64 KiB.
 * @throws INDEX_OUT_OF_RANGE, CLOSED; TypeError. The stream errors with CHUNK_CORRUPT, TRUNCATED, FILE_CUT, CLOSED
 */
export function blobStream(cells: Cells, snapshot: Snapshot, index: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  cells.reach(index);
  let previous = 0;
  /** The last indices of the chunks that are left, the next one at the end. */
  let left: number[] | undefined;

  /** The next chunk's bytes, or null at the end. */
  async function next(): Promise<Uint8Array<ArrayBuffer> | null> {
    left ??= await chainOf(cells, snapshot, index);
    for (;;) {
      const last = left.pop();
      if (last === undefined) return null;
      cells.checkOpen();
      // Before the copy: much may have happened since the last, and a file that was cut has no page there.
      snapshot.check();
      const bytes = copyChunk(cells, last, previous, index);
      // After the copy: until then the cells were those of the blob.
      snapshot.check();
      previous = last;
      // A byte stream takes no piece without bytes.
      if (bytes.length > 0) return bytes;
    }
  }

  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const bytes = await next();
      if (bytes !== null) return controller.enqueue(bytes);
      controller.close();
      // Who brought a buffer of their own gets it back.
      controller.byobRequest?.respond(0);
    },
  });
}

/** The last indices of all chunks, the blob's own first. */
async function chainOf(cells: Cells, snapshot: Snapshot, index: number): Promise<number[]> {
  const lasts: number[] = [];
  for (let last = index; last !== 0;) {
    if (lasts.length % CHUNKS_A_TURN === 0) {
      if (lasts.length > 0) await yieldToEventLoop();
      cells.checkOpen();
      // A file that was cut has no page there, and cells that hold other data no chain.
      snapshot.check();
    }
    lasts.push(last);
    last = chunkAt(cells, last).previous;
  }
  return lasts;
}

/** A chunk as it is now; its footer may have changed since the chain was followed. */
function copyChunk(cells: Cells, last: number, previous: number, index: number): Uint8Array<ArrayBuffer> {
  const chunk = chunkAt(cells, last);
  if (chunk.previous !== previous) throw changed(cells, index);
  const bytes = new Uint8Array(chunk.sizeBytes);
  if (bytes.length > 0) libc().memcpy(bytes, cells.region.address + chunk.first * cells.bytesPerCell, bytes.length);
  return bytes;
}
