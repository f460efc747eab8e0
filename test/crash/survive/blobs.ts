/**
 * Blobs whose content follows from their number, so that anybody can tell whether the bytes are right: the supervisor
 * from its books, and a reader from the blob alone. Each names the one before it, and so leads through the storage.
 */

/** What decides a blob's bytes. */
export interface BlobSpec {
  /** Counts from 1, never used twice in a file. */
  readonly number: number;
  readonly sizeBytes: number;
  /** The index and the number of an older blob that names itself, 0 and 0 for none. */
  readonly previousIndex: number;
  readonly previousNumber: number;
}

/** A blob that was written. */
export interface Blob extends BlobSpec {
  readonly index: number;
}

/** Number, size, previous index, previous number: blobs of at least this size name themselves. */
export const NAMED_BYTES = 16;

/** The bytes of a blob. */
export function contentOf(spec: BlobSpec): Uint8Array {
  const words = new Uint32Array(Math.ceil(spec.sizeBytes / 4));
  let state = (Math.imul(spec.number, 0x9e3779b1) ^ spec.sizeBytes) >>> 0 || 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    words[i] = state;
  }
  if (spec.sizeBytes >= NAMED_BYTES) {
    words.set([spec.number, spec.sizeBytes, spec.previousIndex, spec.previousNumber]);
  }
  return new Uint8Array(words.buffer, 0, spec.sizeBytes);
}

/** What the blob says of itself; null if the bytes are not that blob's. */
export function specOf(bytes: Uint8Array): BlobSpec | null {
  if (bytes.length < NAMED_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, NAMED_BYTES);
  const u32 = (offset: number): number => view.getUint32(offset, true);
  const spec = { number: u32(0), sizeBytes: u32(4), previousIndex: u32(8), previousNumber: u32(12) };
  return spec.sizeBytes === bytes.length && sameBytes(bytes, contentOf(spec)) ? spec : null;
}

/** Whether the bytes are those of the blob. */
export function isContent(bytes: Uint8Array, spec: BlobSpec): boolean {
  return sameBytes(bytes, contentOf(spec));
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
