/** A node of the tree: one cell with five numbers. Four of them are indices. */

import type { Storage, StorageWriter } from "cellar";

/** The offsets of the fields, each a u32: two nodes (0 for none), the blobs of key and value, and the rank. */
export const NODE = { left: 0, right: 4, key: 8, value: 12, rank: 16 } as const;

export type Node = Readonly<Record<keyof typeof NODE, number>>;

const names = Object.keys(NODE) as (keyof typeof NODE)[];

export function nodeAt(storage: Storage, index: number): Node {
  const field = (name: keyof typeof NODE): number => storage.u32(index, NODE[name]);
  return {
    left: field("left"),
    right: field("right"),
    key: field("key"),
    value: field("value"),
    rank: field("rank"),
  };
}

/** Fills a new cell. It is not changed afterwards. */
export function makeNode(writer: StorageWriter, node: Node): number {
  const index = writer.allocate();
  for (const name of names) writer.setU32(index, NODE[name], node[name]);
  return index;
}

export function textAt(storage: Storage, index: number): string {
  return new TextDecoder().decode(storage.read(index));
}
