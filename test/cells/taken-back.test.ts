/** Views from before a truncation lie over cells that are given out again: storing such a view stores what it shows. */

import { describe, expect, test } from "bun:test";
import { StorageWriter } from "../../src/index.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder({ inMemory: true });
const BYTES = 320_000;

/** A writer that was truncated, with a view of cells from before. */
function truncated(writer: StorageWriter): { readonly view: Uint8Array; readonly bytes: Uint8Array } {
  const view = writer.cells(writer.allocate(BYTES / 32), BYTES / 32);
  for (let i = 0; i < view.length; i++) view[i] = (i * 7) ^ (i >>> 8);
  const bytes = view.slice();
  writer.truncate();
  return { view, bytes };
}

describe.each([
  ["a file", () => StorageWriter.create(fresh())],
  ["memory", () => StorageWriter.inMemory()],
])("over %s", (_what, open) => {
  test("a blob that is longer than what is staged at once", () => {
    using writer = open();
    const { view, bytes } = truncated(writer);
    expect(Buffer.compare(writer.read(writer.write(view)), bytes)).toBe(0);
  });

  test("a short blob, where those before it are written out first", () => {
    using writer = open();
    const { view, bytes } = truncated(writer);
    const part = view.subarray(100, 40_100);
    while (writer.length * 32 < 240_000) writer.write(new Uint8Array(10_000).fill(1));
    const index = writer.write(part);
    expect(Buffer.compare(writer.read(index), bytes.subarray(100, 40_100))).toBe(0);
  });

  test("pieces of a stream", async () => {
    using writer = open();
    const { view, bytes } = truncated(writer);
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10).fill(9);
      yield view;
    };
    const index = await writer.writeStream(source());
    const expected = Buffer.concat([new Uint8Array(10).fill(9), bytes]);
    expect(Buffer.compare(writer.read(index), expected)).toBe(0);
  });

  test("a view of cells that a stream had before it failed", async () => {
    using writer = open();
    let view = new Uint8Array(0);
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield Uint8Array.from({ length: 2 * BYTES }, (_, i) => i * 13);
      view = writer.bytes(9, BYTES);
      throw new Error("the source failed");
    };
    await expect(writer.writeStream(source())).rejects.toThrow("the source failed");
    expect(writer.length).toBe(8);
    const bytes = view.slice();
    expect(Buffer.compare(writer.read(writer.write(view)), bytes)).toBe(0);
  });

  test("a view of cells that are in use is stored as it is, without a copy being needed", () => {
    using writer = open();
    const { bytes } = truncated(writer);
    const first = writer.allocate(1000);
    const view = writer.cells(first, 1000);
    view.set(bytes.subarray(0, view.length));
    expect(Buffer.compare(writer.read(writer.write(view)), bytes.subarray(0, view.length))).toBe(0);
  });
});

test("a view of a blob, in cells so large that the copy overtakes the view", () => {
  using writer = StorageWriter.inMemory({ bytesPerCell: 40_000 });
  writer.write(new Uint8Array(1_000_000));
  const view = writer.bytes(1, 1_000_000);
  view.set(Uint8Array.from({ length: view.length }, (_, i) => i * 13));
  const bytes = view.slice();
  writer.truncate();
  expect(Buffer.compare(writer.read(writer.write(view)), bytes)).toBe(0);
});
