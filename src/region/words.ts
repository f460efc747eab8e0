/** Stores into the header area, word by word, so that other processes see them after the cells that they refer to. */

/** Stores `bytes` at `offset`; both are multiples of 4. */
export function storeWords(header: Int32Array, offset: number, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i < bytes.byteLength; i += 4) Atomics.store(header, (offset + i) / 4, view.getInt32(i, true));
}

/** A copy of the whole header area. */
export function loadWords(header: Int32Array): Uint8Array {
  const bytes = new Uint8Array(header.length * 4);
  const view = new DataView(bytes.buffer);
  for (let word = 0; word < header.length; word++) view.setInt32(word * 4, Atomics.load(header, word), true);
  return bytes;
}
