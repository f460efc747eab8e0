/**
 * A commit that throws, as where the header lock cannot be given back: whether others see it or not, the cells that it
 * shows stay what they are, and the next flush or commit is as good as any.
 */

import { afterEach, describe, expect, mock, spyOn, test } from "bun:test";
import { copyFileSync } from "node:fs";
import { StorageError } from "../../src/error.ts";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { FileRegion } from "../../src/region/file.ts";
import type { HeaderStore } from "../../src/region/region.ts";
import { sourceOf } from "../support/chunk-source.ts";
import { codeOf } from "../support/errors.ts";
import { pattern, reason } from "../support/outcomes.ts";
import { stateOf } from "../support/state.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder({ inMemory: true });
const { store } = FileRegion.prototype;
const moments = ["before it stores", "after it has stored"] as const;

afterEach(() => mock.restore());

/** The next store of headers throws, once. */
function refuseStore(moment: (typeof moments)[number]): void {
  spyOn(FileRegion.prototype, "store").mockImplementationOnce(function (this: FileRegion, ...stores: HeaderStore[]) {
    if (moment === "after it has stored") store.apply(this, stores);
    throw new StorageError("SYSTEM", "told to fail", { errno: 37, syscall: "lockf" });
  });
}

/** What a writer would find if this one were killed now. */
function afterKill(path: string): StorageWriter {
  const copy = fresh();
  copyFileSync(path, copy);
  return StorageWriter.open(copy);
}

/** A storage with a commit behind its last flush. */
function committed(): StorageWriter {
  const writer = StorageWriter.create(fresh());
  writer.root = writer.write(pattern(1000, 1));
  writer.flushSync();
  writer.root = writer.write(pattern(1000, 2));
  writer.commit();
  return writer;
}

/** A kill now loses nothing, and readers of commits see it all. */
function expectVisible(writer: StorageWriter, bytes: Uint8Array<ArrayBuffer>): void {
  using next = afterKill(writer.path);
  expect(next.recovery.state).not.toBe("resumedAtFlush");
  expect(stateOf(next)).toEqual(stateOf(writer));
  expect(next.read(next.root ?? 0)).toEqual(bytes);
  using reader = StorageReader.open(writer.path, { follow: "commits" });
  expect(stateOf(reader)).toEqual(stateOf(writer));
}

describe.each(moments)("a commit that throws %s", (moment) => {
  test("keeps the cells of a stream that fails then, and the next commit proves itself", async () => {
    using writer = committed();
    const error = new Error("no more");
    const stored = writer.writeStream(
      sourceOf(5, () => {
        refuseStore(moment);
        expect(codeOf(() => writer.commit())).toBe("SYSTEM");
        throw error;
      }).source,
    );
    expect(await reason(stored)).toBe(error);
    const { length } = writer;
    {
      using next = afterKill(writer.path);
      expect(next.length).toBeLessThanOrEqual(length);
    }
    expect(writer.write(pattern(1000, 3))).toBeGreaterThanOrEqual(length);
    writer.root = writer.write(pattern(1000, 4));
    writer.commit();
    expectVisible(writer, pattern(1000, 4));
  });

  test.each(["flush", "flushSync"] as const)("is made again by the next %s of the same state", async (name) => {
    using writer = committed();
    const roots = [writer.root, writer.write(pattern(1000, 3)), null];
    for (const root of roots) {
      writer.root = root;
      refuseStore(moment);
      expect(codeOf(() => writer.commit())).toBe("SYSTEM");
      await writer[name]();
      using reader = StorageReader.open(writer.path, { follow: "commits" });
      expect(stateOf(reader)).toEqual(stateOf(writer));
      using next = afterKill(writer.path);
      expect([next.recovery.state, stateOf(next)]).toEqual(["clean", stateOf(writer)]);
    }
  });

  test("covers nothing for good: what a view changes then is in the proof of the next", () => {
    using writer = committed();
    const first = writer.allocate(3);
    writer.root = writer.write(pattern(1000, 3));
    const view = writer.cell(first);
    refuseStore(moment);
    expect(codeOf(() => writer.commit())).toBe("SYSTEM");
    view.fill(7);
    writer.commit();
    expectVisible(writer, pattern(1000, 3));
  });

  test("leaves a flush under way to end, and one that asks for the same to commit it", async () => {
    using writer = committed();
    const running = writer.flush();
    writer.root = writer.write(pattern(1000, 3));
    refuseStore(moment);
    expect(codeOf(() => writer.commit())).toBe("SYSTEM");
    await running;
    expect(await writer.flush()).toEqual(stateOf(writer));
    expectVisible(writer, pattern(1000, 3));
  });
});
