/** Walks through a binary tree, from the root to a random leaf: each step reads one u32 field of a cell, a child. */

import { join } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { timeEachNs } from "../clock.ts";
import { lmdbStore } from "../contestants/lmdb.ts";
import { randomNumbers, shuffled } from "../data.ts";
import { type Measured, told, type Workload, workload } from "../workload.ts";

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

export const treeWalk: Workload = workload<Sizes>({
  name: "tree-walk",
  unit: "ns",
  full: { depth: 20, walks: 500_000 },
  quick: { depth: 16, walks: 20_000 },
  title: ({ depth, walks }) =>
    `a u32 field of a cell of ${CELL_BYTES} bytes, ${told(depth * walks)} times, in walks down a tree of ${told(2 ** depth)}`,
  contestants: {
    "cellar u32": { run: (sizes, folder) => walkCellar(sizes, folder, byField) },
    "cellar cell": { run: (sizes, folder) => walkCellar(sizes, folder, byCell) },
    lmdb: { peer: "lmdb", run: walkLmdb },
    DataView: { run: (sizes, folder) => walkCellar(sizes, folder, byDataView) },
  },
  targets: [
    { says: "lmdb ÷ cellar", of: (median) => median("lmdb") / median("cellar u32"), unit: "×", atLeast: 30 },
    { says: "cellar ÷ DataView", of: (median) => median("cellar u32") / median("DataView"), unit: "×", atMost: 3 },
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

async function walkCellar(
  sizes: Sizes,
  folder: string,
  fieldBy: (storage: StorageWriter, first: number, cells: number) => Field,
): Promise<Measured> {
  using writer = StorageWriter.create(join(folder, "tree.cellar"), { bytesPerCell: CELL_BYTES });
  const { nodes, root } = plant(sizes.depth);
  const count = nodes.length / CELL_BYTES;
  const first = writer.allocate(count);
  writer.cells(first, count).set(nodes);
  return await walk(fieldBy(writer, first, count), root, sizes);
}

async function walkLmdb(sizes: Sizes, folder: string): Promise<Measured> {
  const { nodes, root } = plant(sizes.depth);
  const count = nodes.length / CELL_BYTES;
  const store = await lmdbStore({ folder, count, sizeBytes: CELL_BYTES });
  await store.writeAll(count, (node) => nodes.subarray(node * CELL_BYTES, (node + 1) * CELL_BYTES));
  const measured = await walk((node, offset) => store.u32(node, offset), root, sizes);
  await store.close();
  return measured;
}

/** The cells of a full binary tree, at random places. Below the leaves it begins again at the root. */
function plant(depth: number): { readonly nodes: Uint8Array; readonly root: number } {
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

async function walk(field: Field, root: number, { depth, walks }: Sizes): Promise<Measured> {
  let sum = 0;
  const go = (walks: number): void => {
    const random = randomNumbers();
    sum = 0;
    for (let i = 0; i < walks; i++) {
      let node = root;
      for (let turns = random(), step = 0; step < depth; step++, turns >>>= 1) {
        node = field(node, (turns & 1) === 0 ? LEFT : RIGHT);
        sum += node;
      }
    }
  };
  go(Math.ceil(walks / 20));
  const value = await timeEachNs(walks * depth, () => go(walks));
  return { value, digest: `the nodes' sum is ${sum}` };
}
