/** Data that grows with the log: what others see of it while it is replaced. */

import { expect, test } from "bun:test";
import { SHA_BYTES, sha256, STEP_BYTES } from "../../src/replicate/object.ts";
import { BlockHashes } from "../../src/replicate/runs.ts";
import { yieldToEventLoop } from "../../src/os/event-loop.ts";

/** More hashes than are copied in one step, as a file of more than 256 GiB has. */
const COUNT = (3 * STEP_BYTES) / SHA_BYTES;
const hashes = (seed: number): Uint8Array => new Uint8Array(COUNT * SHA_BYTES).map((_, i) => seed + i / SHA_BYTES);

/** Runs a change, and looks at one block's hash in every turn of the event loop until the change is done. */
async function seenDuring(blocks: BlockHashes, block: number, change: Promise<void>): Promise<Set<string>> {
  const seen = new Set<string>();
  let isDone = false;
  const ended = change.finally(() => (isDone = true));
  while (!isDone) {
    seen.add(blocks.at(block));
    await yieldToEventLoop();
  }
  await ended;
  return seen;
}

test.each([
  ["a full record that names the same blocks", (blocks: BlockHashes) => blocks.reset(hashes(1))],
  ["a record that names the last blocks again", (blocks: BlockHashes) => blocks.cutTo(COUNT - 1)],
])("the comparison in the background sees the hash of each block during %s", async (_, change) => {
  const blocks = new BlockHashes();
  await blocks.append(hashes(1));
  const block = COUNT - 2;
  const hash = blocks.at(block);
  expect([...(await seenDuring(blocks, block, change(blocks)))]).toEqual([hash]);
  expect(blocks.at(block)).toBe(hash);
  expect(blocks.sha256()).toBe(sha256(blocks.bytes));
});

test("new content replaces the old one completely, and can grow", async () => {
  const blocks = new BlockHashes();
  await blocks.append(hashes(1));
  await blocks.reset(hashes(2).subarray(0, SHA_BYTES));
  expect(blocks.count).toBe(1);
  await blocks.append(hashes(3));
  const all = new Uint8Array([...hashes(2).subarray(0, SHA_BYTES), ...hashes(3)]);
  expect(Buffer.compare(blocks.bytes, all)).toBe(0);
  expect(blocks.sha256()).toBe(sha256(all));
  await blocks.reset();
  expect(blocks.count).toBe(0);
  expect(blocks.sha256()).toBe(sha256(new Uint8Array(0)));
});
