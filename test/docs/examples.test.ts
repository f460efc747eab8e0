/** The examples as a reader of them runs them, and the promises that they make. */

import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { commitVersion, entries, get, put, remove, versions } from "../../examples/tree-map.ts";
import { nodeAt, textAt } from "../../examples/tree-node.ts";
import { examples, type Run, run } from "../support/example.ts";
import { useFolder } from "../support/folder.ts";
import { Random, seedFromEnvironment } from "../support/random.ts";

const MAX_LINES = 120;
const path = useFolder();

test(`none has more than ${MAX_LINES} lines`, () => {
  const lines = readdirSync(examples).map((name) => [
    name,
    readFileSync(join(examples, name), "utf8").split("\n").length,
  ]);
  expect(lines.filter(([, count]) => Number(count) > MAX_LINES)).toEqual([]);
});

test("replicated.ts follows and restores, and leaves nothing", () => {
  const shown = run("replicated.ts");
  expect(shown).toEqual({
    status: 0,
    errors: "",
    output: "elsewhere: second order\nelsewhere: third order\nrestored: first order\n3 states can be restored\n",
  });
});

describe("tree.ts", () => {
  const prices = [
    "apple 1.10, banana 0.80, cherry 5.90, fig 0.70, mango 2.10, pear 1.40",
    "apple 1.20, banana 0.80, cherry 5.90, fig 0.70, mango 2.10, pear 1.40, quince 3.00",
    "apple 1.20, banana 0.80, cherry 6.50, mango 2.10, pear 1.40, quince 3.00",
  ];
  const said = ({ output }: Run): string[] =>
    output.split("\n").flatMap((line) => /^version .*?: (.*)/.exec(line)?.[1] ?? []);

  test("shows all versions of the price list", () => {
    const shown = run("tree.ts");
    expect(shown).toMatchObject({ status: 0, errors: "" });
    expect(said(shown)).toEqual(prices);
  });

  test("says in one line that a file is of another kind", () => {
    const file = path();
    StorageWriter.create(file, { headString: "another" }).close();
    const line = expect.stringMatching(/^tree: .+\n$/);
    expect(run("tree.ts", file)).toEqual({ status: 1, output: "", errors: line });
  });

  test("goes on from the versions in a file", () => {
    const file = path();
    expect(said(run("tree.ts", file))).toEqual(prices);
    const again = said(run("tree.ts", file));
    expect(again).toHaveLength(6);
    expect(again.slice(3)).toEqual(prices);
  });

  const seed = seedFromEnvironment();
  test(`every version stays what it was, also for a reader (SEED=${seed})`, () => {
    const random = new Random(seed);
    using writer = StorageWriter.create(path());
    const model = new Map<string, string>();
    const history: Map<string, string>[] = [];
    let tree = 0;
    for (let version = 0; version < 50; version++) {
      for (let change = random.below(20); change > 0; change--) {
        const [key, value] = [`key ${random.below(60)}`, String(random.seed())];
        const isRemoval = random.chance(0.4);
        tree = isRemoval ? remove(writer, tree, key) : put(writer, tree, key, value);
        if (isRemoval) model.delete(key);
        else model.set(key, value);
      }
      commitVersion(writer, tree);
      history.unshift(new Map(model));
    }
    using reader = StorageReader.open(writer.path, { follow: "commits" });
    const seen = [...versions(reader)];
    expect(seen).toHaveLength(history.length);
    for (const [age, expected] of history.entries()) {
      const version = seen[age]?.tree ?? 0;
      const sorted = [...expected].sort(([a], [b]) => (a < b ? -1 : 1));
      expect([...entries(reader, version)]).toEqual(sorted);
      expect([...entries(reader, version, "key 3")]).toEqual(sorted.filter(([key]) => key >= "key 3"));
      for (let i = 0; i < 60; i++) expect(get(reader, version, `key ${i}`)).toBe(expected.get(`key ${i}`) ?? null);
    }
  });

  test("the keys alone make the tree's shape, which is shallow", () => {
    using writer = StorageWriter.inMemory();
    const keys = Array.from({ length: 1000 }, (_, i) => String(i).padStart(4, "0"));
    const shape = (tree: number): string => {
      if (tree === 0) return "";
      const { left, right, key } = nodeAt(writer, tree);
      return `(${shape(left)}${textAt(writer, key)}${shape(right)})`;
    };
    const depth = (tree: number): number => {
      if (tree === 0) return 0;
      const { left, right } = nodeAt(writer, tree);
      return 1 + Math.max(depth(left), depth(right));
    };
    const all = (order: readonly string[]): number => order.reduce((tree, key) => put(writer, tree, key, key), 0);
    const tree = all(keys);
    const detour = ["extra", "0500b"].reduce(
      (tree, key) => remove(writer, tree, key),
      all([...keys, "extra", "0500b"].reverse()),
    );
    expect(shape(detour)).toBe(shape(tree));
    // The least is 10, a list would have 1,000.
    expect(depth(tree)).toBeLessThan(40);
  });
});

describe("content-store.ts", () => {
  function folderOf(files: Readonly<Record<string, string>>): string {
    const folder = path(crypto.randomUUID());
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(join(folder, name, ".."), { recursive: true });
      writeFileSync(join(folder, name), content);
    }
    return folder;
  }
  const large = "x".repeat(100_000);
  const grewBy = ({ output }: Run): number => Number(/grew by (\d+)/.exec(output)?.[1]);

  test("stores equal contents once, across names and snapshots, and gives any snapshot back", () => {
    const store = path();
    const before = { a: large, "deep/er/b": large, c: "small", empty: "" };
    const folder = folderOf(before);
    const first = run("content-store.ts", store, "add", folder);
    expect(first).toMatchObject({ status: 0, errors: "" });
    expect(grewBy(first)).toBeLessThan(102_000);
    expect(grewBy(first)).toBeGreaterThan(large.length);
    writeFileSync(join(folder, "c"), "changed");
    writeFileSync(join(folder, "a copy"), large);
    expect(grewBy(run("content-store.ts", store, "add", folder))).toBeLessThan(2000);
    expect(run("content-store.ts", store, "history").output).toMatch(
      /^snapshot 2 .* 5 files.*\nsnapshot 1 .* 4 files.*\n$/,
    );

    for (const [number, files] of [
      ["1", before],
      ["2", { ...before, c: "changed", "a copy": large }],
    ] as const) {
      const copy = path(crypto.randomUUID());
      expect(run("content-store.ts", store, "restore", number, copy)).toMatchObject({ status: 0, errors: "" });
      const names = readdirSync(copy, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
      const found = names.map(({ name, parentPath }) => join(parentPath, name).slice(copy.length + 1));
      expect(Object.fromEntries(found.map((name) => [name, readFileSync(join(copy, name), "utf8")]))).toEqual(files);
    }
  });

  test("finds a content that is not what its address says, and a path that leads out", () => {
    const store = path();
    run("content-store.ts", store, "add", folderOf({ a: "the bytes" }));
    {
      using writer = StorageWriter.open(store);
      writer.chunks(writer.startIndex)[0]?.fill(0);
    }
    const restore = (): Run => run("content-store.ts", store, "restore", "1", path(crypto.randomUUID()));
    expect(restore()).toMatchObject({
      status: 1,
      output: "",
      errors: expect.stringContaining("a: the bytes in the store"),
    });
    {
      using writer = StorageWriter.open(store);
      const manifest = Buffer.from(writer.read(writer.root ?? 0))
        .toString()
        .replace('"path":"a"', '"path":"../a"');
      writer.root = writer.write(Buffer.from(manifest));
    }
    expect(restore()).toMatchObject({ status: 1, output: "", errors: expect.stringContaining("leads out") });
  });

  test("says in one line what is wrong", () => {
    const store = path();
    run("content-store.ts", store, "add", folderOf({ a: "1" }));
    for (const args of [[], [store, "restore", "2", path()], [store, "add", path()], [path(), "history"]]) {
      const line = expect.stringMatching(/^content-store: .+\n$/);
      expect(run("content-store.ts", ...args)).toEqual({ status: 1, output: "", errors: line });
    }
  });
});
