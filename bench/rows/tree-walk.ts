/** Walks through a binary tree, from the root to a random leaf: each step reads one u32 field of a cell, a child. */

import { join } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { lmdbStore } from "../compare/lmdb.ts";
import { randomNumbers, shuffled } from "../lib/data.ts";
import { atMostTimes, cellar, grouped, limit, peer, type Row, row, type Task } from "../lib/row.ts";
import { timeEachNs } from "../lib/time.ts";

interface Sizes {
  /** Of the tree, whose cells are 2 to this power. */
  readonly depth: number;
  readonly walks: number;
}

/** The u32 at `offset` in the cell of a node. */
type Field = (node: number, offset: number) => number;

const CELL_BYTES = 32;
const LEFT = 8;
const RIGHT = 12;

export const treeWalk: Row = row<Sizes>({
  name: "tree-walk",
  unit: "ns",
  rounds: 20,
  full: { depth: 20, walks: 20_000 },
  quick: { depth: 10, walks: 100 },
  title: ({ depth }) =>
    `a u32 field of a cell of ${CELL_BYTES} bytes, in walks down a tree of ${grouped(2 ** depth)} cells`,
  contestants: {
    "cellar u32": cellar((sizes, folder) => walkCellar(sizes, folder, byField)),
    "cellar cell": cellar((sizes, folder) => walkCellar(sizes, folder, byCell)),
    DataView: limit((sizes, folder) => walkCellar(sizes, folder, byDataView)),
    lmdb: peer("it returns a buffer that is used again.", walkLmdb, "lmdb"),
  },
  targets: [
    atMostTimes("cellar u32", "DataView", 1.3, "u32 checks the index and the offset, and that the storage is open."),
  ],
});

function byField(storage: StorageWriter, first: number): Field {
  return (node, offset) => storage.u32(first + node, offset);
}

function byCell(storage: StorageWriter, first: number): Field {
  return (node, offset) => {
    const cell = storage.cell(first + node);
    const byte = (i: number): number => cell[offset + i] ?? 0;
    return (byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24)) >>> 0;
  };
}

/** Over the very same memory, without a check or an index. */
function byDataView(storage: StorageWriter, first: number, cells: number): Field {
  const { buffer, byteOffset, byteLength } = storage.cells(first, cells);
  const view = new DataView(buffer, byteOffset, byteLength);
  return (node, offset) => view.getUint32(node * CELL_BYTES + offset, true);
}

function walkCellar(
  sizes: Sizes,
  folder: string,
  fieldBy: (storage: StorageWriter, first: number, cells: number) => Field,
): Task {
  const writer = StorageWriter.create(join(folder, "tree.cellar"), { bytesPerCell: CELL_BYTES });
  const { nodes, root } = makeTree(sizes.depth);
  const count = nodes.length / CELL_BYTES;
  const first = writer.allocate(count);
  writer.cells(first, count).set(nodes);
  return { ...walking(fieldBy(writer, first, count), root, sizes), close: () => writer.close() };
}

async function walkLmdb(sizes: Sizes, folder: string): Promise<Task> {
  const { nodes, root } = makeTree(sizes.depth);
  const count = nodes.length / CELL_BYTES;
  const store = await lmdbStore({ folder, count, sizeBytes: CELL_BYTES });
  await store.writeAll(count, (node) => nodes.subarray(node * CELL_BYTES, (node + 1) * CELL_BYTES));
  return { ...walking((node, offset) => store.u32(node, offset), root, sizes), close: () => store.close() };
}

/** The cells of a full binary tree, at random places. Below the leaves it begins again at the root. */
function makeTree(depth: number): { readonly nodes: Uint8Array; readonly root: number } {
  const count = 2 ** depth;
  const placeOf = shuffled(count);
  const nodes = new Uint8Array(count * CELL_BYTES);
  const view = new DataView(nodes.buffer);
  const root = placeOf[1] ?? 0;
  for (let node = 1; node < count; node++) {
    const offset = (placeOf[node] ?? 0) * CELL_BYTES;
    view.setUint32(offset + LEFT, placeOf[2 * node] ?? root, true);
    view.setUint32(offset + RIGHT, placeOf[2 * node + 1] ?? root, true);
  }
  return { nodes, root };
}

/** Each slice walks other ways, the same for every contestant. */
function walking(field: Field, root: number, { depth, walks }: Sizes): Task {
  const random = randomNumbers();
  let sum = 0;
  const walk = (): void => {
    for (let i = 0; i < walks; i++) {
      let node = root;
      for (let turns = random(), step = 0; step < depth; step++, turns >>>= 1) {
        node = field(node, (turns & 1) === 0 ? LEFT : RIGHT);
        sum += node;
      }
    }
  };
  return { slice: () => timeEachNs(walks * depth, walk), finish: () => ({ digest: `the sum of the nodes is ${sum}` }) };
}
