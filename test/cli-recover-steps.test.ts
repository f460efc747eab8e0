/** `cellar recover` on files that end in the middle of something: what it announces is what opens afterwards. */

import { expect, test } from "bun:test";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { StorageWriter } from "../src/index.ts";
import { FILE } from "../src/format/layout.ts";
import { pageSizeBytes } from "../src/os/mapping.ts";
import { cellarJson } from "./support/cli.ts";
import { useFolder } from "./support/folder.ts";

const file = useFolder({ inMemory: true, spoilt: true });
const BYTES_PER_CELL = 32;

/** Writes a file as a killed writer would leave it, with these places zero. */
function leave(path: string, bytes: Uint8Array, ...places: readonly { offset: number; sizeBytes: number }[]): void {
  for (const { offset, sizeBytes } of places) bytes.fill(0, offset, offset + sizeBytes);
  writeFileSync(path, bytes);
}

test("cells that no flush covers are renewed in whole pages: the file is made long enough", async () => {
  const path = file();
  using writer = StorageWriter.create(`${path}.live`, { capacityCells: 20 });
  const root = (writer.root = writer.write(new Uint8Array(100)));
  writer.commit();
  leave(path, readFileSync(writer.path), FILE.disk1, FILE.disk2);
  expect(statSync(path).size).toBe(20 * BYTES_PER_CELL);
  const state = { done: true, evidence: "proof", root, length: root + 1 };
  expect(await cellarJson("recover", path, "--yes")).toMatchObject(state);
  expect(statSync(path).size).toBe(pageSizeBytes());
});
