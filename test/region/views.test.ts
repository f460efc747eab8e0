/** Views: where they lie, how far their buffers reach, and that growth, other views and other processes agree. */

import { describe, expect, test } from "bun:test";
import { closeSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type Storage, StorageReader, StorageWriter } from "../../src/index.ts";
import { useAgents } from "../support/process-agents.ts";
import { forge } from "../support/process-forge.ts";
import { byteAt, bytesAt, differences } from "../support/process-pattern.ts";
import { run } from "../support/process-run.ts";
import { emulatedBy } from "../support/emulated.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder();
const { startReader } = useAgents();
const program = join(import.meta.dir, "../support/process-views.ts");
const MIB = 2 ** 20;
/** Views are cut from buffers over so much of the file, see src/os/mapping.ts. */
const WINDOW_BYTES = MIB;
const PAGE_BYTES = 4096;
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function opened(path: string): [what: string, storage: Storage][] {
  return [
    ["reader", StorageReader.open(path)],
    ["writer", StorageWriter.open(path)],
  ];
}

describe("growth", () => {
  test("leaves the views of the writer good, and what is stored through them is seen everywhere", async () => {
    const path = file();
    using writer = StorageWriter.create(path, { resizeStepBytes: PAGE_BYTES });
    const index = writer.write(Buffer.from("....."));
    const old = writer.bytes(index, 5);
    writer.root = index;
    writer.flushSync();
    const reader = await startReader({ path });
    for (let growth = 0; growth < 200; growth++) {
      writer.write(new Uint8Array(PAGE_BYTES).fill(growth));
      const stored = `g${growth}`.padEnd(5);
      old.set(Buffer.from(stored));
      expect(text(writer.bytes(index, 5))).toBe(stored);
      if (growth % 50 === 0) expect(await reader.tell("read", index)).toBe(stored);
    }
    writer.bytes(index, 5).set(Buffer.from("ended"));
    expect(text(old)).toBe("ended");
    expect(await reader.tell("read", index)).toBe("ended");
    expect(statSync(path).size).toBeGreaterThan(200 * PAGE_BYTES);
  });

  test("leaves the views of a reader good", () => {
    const path = file();
    using writer = StorageWriter.create(path, { resizeStepBytes: PAGE_BYTES });
    writer.root = writer.write(bytesAt(0, 1000));
    writer.commit();
    using reader = StorageReader.open(path, { follow: "commits" });
    const views: [view: Uint8Array, at: number][] = [[reader.chunks(writer.root)[0] ?? new Uint8Array(0), 0]];
    for (let at = 1; at < 100; at++) {
      const index = writer.write(bytesAt(at, 1000));
      writer.commit();
      expect(reader.refresh()).toBe(true);
      views.push(...reader.chunks(index).map((view): [Uint8Array, number] => [view, at]));
    }
    for (const [view, at] of views) expect(differences(view, at)).toBe(0);
    expect(views).toHaveLength(100);
  });
});

describe.each([64, 100, 4099])("with cells of %i bytes", (bytesPerCell) => {
  const edge = Math.floor(WINDOW_BYTES / bytesPerCell);
  const next = Math.ceil((3 * WINDOW_BYTES) / bytesPerCell) + 5;

  /** Three windows and a bit; around their edges each byte is the one of its offset. */
  function makeFile(): string {
    const path = file();
    forge(path, { bytesPerCell, maxIndex: 2 ** 32 - 1, next });
    const fd = openSync(path, "r+");
    for (const window of [1, 2, 3]) {
      const offset = window * WINDOW_BYTES - 4 * PAGE_BYTES;
      const bytes = bytesAt(offset, Math.min(12 * PAGE_BYTES, next * bytesPerCell - offset));
      expect(writeSync(fd, bytes, 0, bytes.length, offset)).toBe(bytes.length);
    }
    closeSync(fd);
    return path;
  }

  /** Views by where they lie: before, across and after an edge of a window, and at the end. */
  const places: [what: string, index: number, count: number][] = [
    ["before an edge", edge - 2, 1],
    ["up to an edge", edge - 2, 2],
    ["across an edge", edge - 1, 3],
    ["after an edge", edge + 1, 1],
    ["across the second edge", Math.floor((2 * WINDOW_BYTES) / bytesPerCell) - 1, 3],
    ["at the end", next - 3, 3],
    ["longer than a window", edge - 1, edge + 2],
  ];

  test("views around the edges of windows show the bytes of their offsets", () => {
    for (const [what, storage] of opened(makeFile())) {
      for (const [where, index, count] of places) {
        const view = storage.cells(index, count);
        const offset = index * bytesPerCell;
        const known = Math.min(view.length, 2 * PAGE_BYTES);
        const tail = view.length - known;
        expect({
          what,
          where,
          length: view.length,
          head: differences(view.subarray(0, known), offset),
          tail: differences(view.subarray(tail), offset + tail),
          cell: differences(storage.cell(index), offset),
          bytes: differences(storage.bytes(index, known), offset),
        }).toEqual({ what, where, length: count * bytesPerCell, head: 0, tail: 0, cell: 0, bytes: 0 });
      }
      storage.close();
    }
  });

  test("no buffer reaches past the end of the file, whatever was asked for", () => {
    const path = makeFile();
    const sizeBytes = statSync(path).size;
    for (const [what, storage] of opened(path)) {
      for (const [where, index, count] of places) {
        const view = storage.cells(index, count);
        const endBytes = index * bytesPerCell - view.byteOffset + view.buffer.byteLength;
        expect({ what, where, past: Math.max(0, endBytes - sizeBytes) }).toEqual({ what, where, past: 0 });
      }
      storage.close();
    }
  });

  test("stores through views of the writer reach the file where they belong", () => {
    const path = makeFile();
    const fd = openSync(path, "r");
    using writer = StorageWriter.open(path);
    for (const [where, index, count] of places) {
      const view = writer.cells(index, count);
      view[0] = byteAt(index) + 1;
      view[view.length - 1] = byteAt(index) + 2;
      const ends = new Uint8Array(2);
      readSync(fd, ends, 0, 1, index * bytesPerCell);
      readSync(fd, ends, 1, 1, (index + count) * bytesPerCell - 1);
      expect({ where, ends }).toEqual({ where, ends: Uint8Array.of(byteAt(index) + 1, byteAt(index) + 2) });
    }
    closeSync(fd);
  });

  test("views of no bytes are empty, wherever they are", () => {
    for (const [, storage] of opened(makeFile())) {
      for (const index of [storage.startIndex, edge, edge + 1, next - 1]) {
        expect(storage.bytes(index, 0)).toHaveLength(0);
        expect(storage.cells(index, 0)).toHaveLength(0);
      }
      expect(() => storage.bytes(next, 0)).toThrow(expect.objectContaining({ code: "INDEX_OUT_OF_RANGE" }));
      storage.close();
    }
  });
});

test("chunks are views of a blob's parts, first to last", () => {
  const path = file();
  using writer = StorageWriter.create(path);
  const sizes = [0, 1, 65534, 65535, 65536, 3 * 65535, 3 * 65535 + 1];
  const indices = sizes.map((size) => writer.write(bytesAt(size, size)));
  writer.flushSync();
  using reader = StorageReader.open(path);
  for (const [i, size] of sizes.entries()) {
    for (const storage of [writer, reader]) {
      const chunks = storage.chunks(indices[i] ?? 0);
      expect(chunks.map((chunk) => chunk.length)).toEqual(chunkSizes(size));
      expect(differences(Buffer.concat(chunks), size)).toBe(0);
    }
  }
  const index = indices.at(-1) ?? 0;
  writer.chunks(index)[1]?.fill(7);
  const stored = writer.read(index);
  expect(stored.subarray(65535, 2 * 65535).every((byte) => byte === 7)).toBe(true);
  expect(differences(stored.subarray(0, 65535), sizes.at(-1) ?? 0)).toBe(0);
});

function chunkSizes(blobBytes: number): number[] {
  const full = Math.max(0, Math.ceil(blobBytes / 65535) - 1);
  return [...new Array<number>(full).fill(65535), blobBytes - full * 65535];
}

describe("in a process of its own", () => {
  function makeFile(bytesPerCell: number): string {
    const path = file();
    using writer = StorageWriter.create(path, { bytesPerCell, resizeStepBytes: PAGE_BYTES });
    writer.root = writer.write(bytesAt(0, 500));
    return path;
  }

  test.each([32, 100, 5000])("a view can be cloned: cells of %i bytes", async (bytesPerCell) => {
    const { sizes } = await run(program, "clone", makeFile(bytesPerCell));
    expect(sizes).toEqual(new Array(18).fill(bytesPerCell));
  });

  test("what is stored into a reader's view stays in that view", async () => {
    const path = makeFile(32);
    using reader = StorageReader.open(path);
    expect(await run(program, "stores", path)).toEqual({
      inTheView: true,
      inTheFile: false,
      inCopies: false,
      inOtherViews: false,
      refreshed: false,
      root: reader.root,
    });
    expect(reader.read(reader.root ?? 0)).toEqual(bytesAt(0, 500));
  });

  test("a copy of a view, as a Worker gets it, is of one window at most", () => {
    const path = file();
    forge(path, { bytesPerCell: 64, maxIndex: 2 ** 32 - 1, next: (16 * WINDOW_BYTES) / 64 });
    using reader = StorageReader.open(path);
    expect(structuredClone(reader.cell(100_000)).buffer.byteLength).toBeLessThanOrEqual(WINDOW_BYTES);
  });

  const notOurs = emulatedBy("QEMU's own memory counts too");
  const title = `a million views, over 1024 windows, are garbage that is collected${notOurs === undefined ? "" : ` (skipped: ${notOurs})`}`;
  test.skipIf(notOurs !== undefined)(title, async () => {
    const path = file();
    forge(path, { bytesPerCell: 64, maxIndex: 2 ** 32 - 1, next: 1024 * (WINDOW_BYTES / 64) });
    const { mostKiB, leftKiB } = await run(program, "pressure", path);
    expect(mostKiB).toBeLessThan(128 * 1024);
    expect(leftKiB).toBeLessThan(32 * 1024);
  });
});
