/** What every object store must do, whatever is behind it. Called by the tests of each. */

import { beforeEach, describe, expect, test } from "bun:test";
import type { ObjectStore } from "../../../src/replicate/store/store.ts";
import { Random, seedFromEnvironment } from "../../support/random.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array | null): string | null => (bytes === null ? null : new TextDecoder().decode(bytes));

/** The key of a record: the newest is the first of a listing. */
export function recordKey(sequence: number): string {
  return `log/${(2n ** 64n - 1n - BigInt(sequence)).toString(16).padStart(16, "0")}`;
}

export interface Contract {
  /** An empty store. A second call is answered with another one over the same objects. */
  readonly open: () => ObjectStore;
  /** Makes the store empty, before each test. */
  readonly empty: () => Promise<void> | void;
  /** How many rounds of what is random. */
  readonly rounds: number;
}

export function describeContract(name: string, { open, empty, rounds }: Contract): void {
  describe(`${name}, as every store,`, () => {
    let store: ObjectStore;
    beforeEach(async () => {
      await empty();
      store = open();
    });

    test("has nothing at first", async () => {
      expect(await store.get("replica")).toBeNull();
      expect(await store.list("")).toEqual([]);
      await store.delete("replica");
    });

    test.each([0, 1, 4097, 2 ** 20 + 1, 16 * 2 ** 20 + 200])(
      "gives back an object of %i bytes, and its start",
      async (length) => {
        const bytes = new Uint8Array(length).map((_, i) => (i * 7) & 0xff);
        expect(await store.put("block/1-0-ab", bytes)).toBe("created");
        const read = await open().get("block/1-0-ab");
        expect(read?.length).toBe(length);
        expect(Bun.SHA256.hash(read ?? "", "hex")).toBe(Bun.SHA256.hash(bytes, "hex"));
        for (const firstBytes of [1, 100, length + 1]) {
          const start = await store.get("block/1-0-ab", { firstBytes });
          expect(start).toEqual(bytes.slice(0, firstBytes) as Uint8Array<ArrayBuffer>);
          expect(start?.buffer.byteLength).toBe(start?.length);
        }
      },
    );

    test("replaces an object, but not with ifAbsent", async () => {
      expect(await store.put("replica", bytesOf("one"), { ifAbsent: true })).toBe("created");
      expect(await store.put("replica", bytesOf("two"), { ifAbsent: true })).toBe("exists");
      expect(await store.put("replica", bytesOf("one"), { ifAbsent: true })).toBe("exists");
      expect(textOf(await store.get("replica"))).toBe("one");
      expect(await store.put("replica", bytesOf("three"))).toBe("created");
      expect(textOf(await store.get("replica"))).toBe("three");
    });

    test("creates an object once when eight ask at once", async () => {
      for (let round = 1; round <= rounds; round++) {
        const key = recordKey(round);
        const stores = [store, open()];
        const puts = Array.from({ length: 8 }, (_, i) =>
          (stores[i % 2] as ObjectStore).put(key, bytesOf(`writer ${i}`), { ifAbsent: true }),
        );
        const answers = await Promise.all(puts);
        expect(answers.filter((answer) => answer === "created")).toHaveLength(1);
        expect(textOf(await store.get(key))).toBe(`writer ${answers.indexOf("created")}`);
      }
    });

    test("lists what was put, at once and in order", async () => {
      for (let sequence = 4094; sequence < 4094 + rounds; sequence++) {
        await store.put(recordKey(sequence), bytesOf("x"));
        expect(await open().list("log/", { most: 1 })).toEqual([recordKey(sequence)]);
      }
      await store.put("replica", bytesOf("x"));
      await store.put("block/1-2-3", bytesOf("x"));
      const records = Array.from({ length: rounds }, (_, i) => recordKey(4094 + rounds - 1 - i));
      expect(await store.list("")).toEqual(["block/1-2-3", ...records, "replica"]);
      expect(await store.list("log/", { most: 0 })).toEqual([]);
    });

    test("lists like a sorted set, whatever was put and deleted", async () => {
      const seed = seedFromEnvironment();
      const random = new Random(seed);
      const model = new Set<string>();
      const someKey = (): string =>
        random.pick([
          () => recordKey(random.below(20) + 4090),
          () => recordKey(random.below(2 ** 30)),
          () => `block/${random.below(3)}-${random.below(30)}-abc`,
          () => random.pick(["replica", "block-x", "block0"]),
        ])();
      for (let step = 0; step < rounds * 4; step++) {
        const key = model.size > 0 && random.chance(0.4) ? random.pick([...model]) : someKey();
        if (random.chance(0.3)) {
          await store.delete(key);
          model.delete(key);
        } else {
          const ifAbsent = random.chance(0.5);
          const answer = await store.put(key, bytesOf(key), { ifAbsent });
          expect({ seed, key, answer }).toEqual({
            seed,
            key,
            answer: ifAbsent && model.has(key) ? "exists" : "created",
          });
          model.add(key);
        }
        const prefix = random.pick(["", "log/", "block/", "block/1", "log/ffffffffffffe", "replica", "z"]);
        const after = random.chance(0.5) ? someKey() : "";
        const most = random.chance(0.5) ? random.below(10) : Infinity;
        const expected = [...model]
          .filter((one) => one.startsWith(prefix) && one > after)
          .sort()
          .slice(0, most);
        expect({ seed, keys: await store.list(prefix, { after, most }) }).toEqual({ seed, keys: expected });
      }
    });

    test("deletes", async () => {
      await store.put(recordKey(1), bytesOf("x"));
      await store.put(recordKey(2), bytesOf("x"));
      await store.delete(recordKey(1));
      await store.delete(recordKey(1));
      expect(await store.get(recordKey(1))).toBeNull();
      expect(await store.list("")).toEqual([recordKey(2)]);
    });

    test("refuses names that are no keys, and calls whose signal was aborted", async () => {
      for (const key of ["", "/", "a/", "/a", "a//b", "..", "a/../b", ".new", "A", "a b", "é", "a\0"]) {
        await expect(store.get(key)).rejects.toBeInstanceOf(TypeError);
        await expect(store.put(key, bytesOf("x"))).rejects.toBeInstanceOf(TypeError);
        await expect(store.delete(key)).rejects.toBeInstanceOf(TypeError);
      }
      const reason = new Error("enough");
      const signal = AbortSignal.abort(reason);
      const calls = [
        () => store.get("replica", { signal }),
        () => store.put("replica", bytesOf("x"), { signal }),
        () => store.list("", { signal }),
        () => store.delete("replica", { signal }),
      ];
      for (const call of calls) await expect(call()).rejects.toBe(reason);
      expect(await store.list("")).toEqual([]);
    });
  });
}
