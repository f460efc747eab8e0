/** No file at all: memory on the heap that was touched before. */

import type { Purpose, ViewStore } from "./store.ts";

export function heapStore({ count, sizeBytes }: Purpose): ViewStore {
  const memory = new Uint8Array(count * sizeBytes).fill(1);
  return {
    writeAll(count, blobAt) {
      for (let i = 0; i < count; i++) memory.set(blobAt(i), i * sizeBytes);
    },
    read: (i) => memory.slice(i * sizeBytes, (i + 1) * sizeBytes),
    view: (i) => memory.subarray(i * sizeBytes, (i + 1) * sizeBytes),
    close: () => undefined,
  };
}
