/**
 * A sorted map that remembers every version of itself; `tree.ts` shows it at work.
 *
 * The map is a treap: a search tree by key, and a heap by rank, which is the hash of the key. So the shape of the tree
 * depends only on the keys, and the tree stays balanced. A node is one cell that never changes. A change makes new
 * cells for the path from the node to the top, and shares all other cells with the version before, which stays complete.
 */

import type { Storage, StorageWriter } from "cellar";
import { makeNode, NODE, nodeAt, textAt } from "./tree-node.ts";

/** A version is also a cell: its top node, the version before it, and its time. The root is the latest version. */
const VERSION = { tree: 0, previous: 4, unixSeconds: 8 } as const;

export interface Version {
  readonly index: number;
  /** The argument of `get`, `entries`, `put` and `remove`. */
  readonly tree: number;
  readonly time: Date;
}

/** The versions, the latest first. */
export function* versions(storage: Storage): Generator<Version> {
  for (let index = storage.root ?? 0; index !== 0; index = storage.u32(index, VERSION.previous)) {
    const time = new Date(storage.u32(index, VERSION.unixSeconds) * 1000);
    yield { index, tree: storage.u32(index, VERSION.tree), time };
  }
}

/** Makes a tree the latest version and commits it. Before that, readers do not see the changes. */
export function commitVersion(writer: StorageWriter, tree: number): void {
  const index = writer.allocate();
  writer.setU32(index, VERSION.tree, tree);
  writer.setU32(index, VERSION.previous, writer.root ?? 0);
  writer.setU32(index, VERSION.unixSeconds, Math.floor(Date.now() / 1000));
  writer.root = index;
  writer.commit();
}

export function get(storage: Storage, tree: number, key: string): string | null {
  for (let index = tree; index !== 0;) {
    const here = textAt(storage, storage.u32(index, NODE.key));
    if (here === key) return textAt(storage, storage.u32(index, NODE.value));
    index = storage.u32(index, key < here ? NODE.left : NODE.right);
  }
  return null;
}

/** Yields keys and values, sorted, from the key `from` on. */
export function* entries(storage: Storage, tree: number, from = ""): Generator<[key: string, value: string]> {
  if (tree === 0) return;
  const node = nodeAt(storage, tree);
  const key = textAt(storage, node.key);
  if (key >= from) {
    yield* entries(storage, node.left, from);
    yield [key, textAt(storage, node.value)];
  }
  yield* entries(storage, node.right, from);
}

/** Returns a tree with the key set to the value. This function and the next ones do not change the given tree. */
export function put(writer: StorageWriter, tree: number, key: string, value: string): number {
  const rank = Bun.hash.xxHash32(key);
  const valueIndex = writer.write(Buffer.from(value));
  const makeLeaf = (left: number, right: number): number =>
    makeNode(writer, { left, right, key: writer.write(Buffer.from(key)), value: valueIndex, rank });
  const insert = (tree: number): number => {
    if (tree === 0) return makeLeaf(0, 0);
    const node = nodeAt(writer, tree);
    if (node.rank < rank) return makeLeaf(...split(writer, tree, key));
    const here = textAt(writer, node.key);
    if (here === key) return makeNode(writer, { ...node, value: valueIndex });
    return key < here
      ? makeNode(writer, { ...node, left: insert(node.left) })
      : makeNode(writer, { ...node, right: insert(node.right) });
  };
  return insert(tree);
}

/** Returns a tree without the key. */
export function remove(writer: StorageWriter, tree: number, key: string): number {
  if (tree === 0) return 0;
  const node = nodeAt(writer, tree);
  const here = textAt(writer, node.key);
  if (here === key) return join(writer, node.left, node.right);
  const side = key < here ? "left" : "right";
  const child = remove(writer, node[side], key);
  return child === node[side] ? tree : makeNode(writer, { ...node, [side]: child });
}

/** Splits a tree into the keys below and the keys above a key. The tree does not have this key. */
function split(writer: StorageWriter, tree: number, key: string): [below: number, above: number] {
  if (tree === 0) return [0, 0];
  const node = nodeAt(writer, tree);
  if (textAt(writer, node.key) < key) {
    const [below, above] = split(writer, node.right, key);
    return [makeNode(writer, { ...node, right: below }), above];
  }
  const [below, above] = split(writer, node.left, key);
  return [below, makeNode(writer, { ...node, left: above })];
}

/** Joins two trees. All keys of the first are below all keys of the second. */
function join(writer: StorageWriter, below: number, above: number): number {
  if (below === 0 || above === 0) return below + above;
  const [left, right] = [nodeAt(writer, below), nodeAt(writer, above)];
  if (left.rank > right.rank) return makeNode(writer, { ...left, right: join(writer, left.right, above) });
  return makeNode(writer, { ...right, left: join(writer, below, right.left) });
}
