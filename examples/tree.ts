/**
 * A price list as a persistent tree. Each day is a version, and all versions stay readable.
 *
 *   bun examples/tree.ts [FILE]
 *
 * With a file, each run continues from the versions of earlier runs. Without a file, all is in memory.
 */

import { StorageWriter } from "cellar";
import { commitVersion, entries, get, put, remove, versions } from "./tree-map.ts";

const [path] = process.argv.slice(2);
const options = { headString: "cellar tree", bytesPerCell: 32 };
using writer = open();

function open(): StorageWriter {
  try {
    return path === undefined ? StorageWriter.inMemory(options) : StorageWriter.openOrCreate(path, options);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(`tree: ${error.message}`);
    process.exit(1);
  }
}

/** The changes of each day. null: no longer sold. */
const days: Readonly<Record<string, string | null>>[] = [
  { apple: "1.20", banana: "0.80", cherry: "6.50", mango: "2.10", pear: "1.40", quince: "3.00" },
  { cherry: "5.90", fig: "0.70" },
  { quince: null, apple: "1.10" },
];

for (const changes of days) {
  const lengthBefore = writer.length;
  const [latest] = versions(writer);
  let tree = latest?.tree ?? 0;
  for (const [fruit, price] of Object.entries(changes)) {
    tree = price === null ? remove(writer, tree, fruit) : put(writer, tree, fruit, price);
  }
  commitVersion(writer, tree);
  console.log(`${Object.keys(changes).length} changes took ${writer.length - lengthBefore} cells`);
}
await writer.flush();

// Old versions: the tree of a version is an index, and a tree never changes.
const history = [...versions(writer)];
for (const [age, { tree, time }] of history.entries()) {
  const list = [...entries(writer, tree)].map(([fruit, price]) => `${fruit} ${price}`).join(", ");
  console.log(`version ${history.length - age}, ${time.toLocaleTimeString("sv")}: ${list}`);
}
const prices = history.map(({ tree }) => get(writer, tree, "cherry"));
console.log(`cherries, latest first: ${prices.join(", ")}`);
