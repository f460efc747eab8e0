/** Keys of writers. */

import { describe, expect, test } from "bun:test";
import { makeWriterKey, StorageWriter } from "../../src/index.ts";

describe("makeWriterKey", () => {
  test("makes 32 bytes, others each time", () => {
    const keys = new Set(Array.from({ length: 1000 }, () => Buffer.from(makeWriterKey()).toString("hex")));
    expect(keys.size).toBe(1000);
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{64}$/);
  });

  test("goes on until no storage that is open has the key", () => {
    let asked = 0;
    const has = (first: number): boolean => ++asked <= first;
    const taken = { closed: false, checkWriterKey: (): boolean => has(3) };
    const closed = { closed: true, checkWriterKey: (): never => expect.unreachable() };
    expect(makeWriterKey([closed, taken]).length).toBe(32);
    expect(asked).toBe(4);
    using writer = StorageWriter.inMemory();
    expect(writer.checkWriterKey(makeWriterKey([writer]))).toBe(false);
    expect(() => makeWriterKey(7 as unknown as [])).toThrow(TypeError);
  });
});
