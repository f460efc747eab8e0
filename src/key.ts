/** Writer keys: 32 bytes with which a writer hashes its process-sync header, as in Plebeia. */

import { StorageError, wrongType } from "./error.ts";

const KEY_BYTES = 32;

/**
 * Makes a new writer key: 32 bytes from the system's random source, different from the keys of the given storages.
 *
 * @example
 * const writerKey = makeWriterKey();
 * using writer = StorageWriter.create("data.cellar", { writerKey });
 */
export function makeWriterKey(
  storages: Iterable<{ readonly closed: boolean; checkWriterKey(writerKey: Uint8Array): boolean }> = [],
): Uint8Array<ArrayBuffer> {
  const others = [...storages];
  for (;;) {
    const writerKey = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
    if (!others.some((storage) => !storage.closed && storage.checkWriterKey(writerKey))) return writerKey;
  }
}

/**
 * Copies a key, because the caller may change its bytes later.
 * @throws INVALID_WRITER_KEY it is not 32 bytes; TypeError it is not a Uint8Array
 */
export function copyOfKey(writerKey: Uint8Array): Uint8Array<ArrayBuffer> {
  if (!(writerKey instanceof Uint8Array)) throw wrongType("writerKey", "a Uint8Array of 32 bytes", writerKey);
  if (writerKey.length !== KEY_BYTES) {
    throw new StorageError(
      "INVALID_WRITER_KEY",
      `writerKey: expected ${KEY_BYTES} bytes, got ${writerKey.length}: pass a writer's writerKey, or makeWriterKey()`,
    );
  }
  return new Uint8Array(writerKey);
}
