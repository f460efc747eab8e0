/** No file at all: memory on the heap. */

import type { Purpose, ViewStore } from "./store.ts";

/** `touched`: the kernel has mapped its pages already; else it does so while they are written. */
export function heapStore(
  { count, sizeBytes }: Purpose,
  { touched = true }: { readonly touched?: boolean } = {},
): ViewStore {
  const memory = new Uint8Array(count * sizeBytes);
  if (touched) memory.fill(1);
  return {
    writeAll(count, blobAt) {
      for (let i = 0; i < count; i++) memory.set(blobAt(i), i * sizeBytes);
    },
    read: (i) => memory.slice(i * sizeBytes, (i + 1) * sizeBytes),
    view: (i) => memory.subarray(i * sizeBytes, (i + 1) * sizeBytes),
    close: () => undefined,
  };
}
