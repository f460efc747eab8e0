/** What a storage shows at one moment. */

import type { Header } from "./format/header.ts";

/** A state of a storage: its root, and its length in cells. */
export interface StorageState {
  readonly root: number | null;
  readonly length: number;
}

/** The state that a header tells of. */
export function stateOf({ next, root }: Header): StorageState {
  return { root: root === 0 ? null : root, length: next };
}
