/** The checker, as a function: what it takes, and what it says of blobs. (Spoilt files: fuzz.test.ts.) */

import { describe, expect, test } from "bun:test";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { check, type Finding, StorageWriter } from "../../src/index.ts";
import { FILE } from "../../src/format/layout.ts";
import * as image from "../support/image.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder({ spoilt: true });

/** A file with two blobs, the second one its root. */
function made(): { readonly path: string; readonly first: number; readonly root: number } {
  const path = fresh();
  using writer = StorageWriter.create(path);
  const first = writer.write(new Uint8Array(100));
  const root = writer.write(new Uint8Array(70_000));
  writer.root = root;
  return { path, first, root };
}

function blobs(findings: readonly Finding[]): readonly Finding[] {
  return findings.filter(({ part }) => part === "blob");
}

describe("blobs", () => {
  test("are looked at by index, and by the name of the root", () => {
    const { path, first, root } = made();
    expect(blobs(check(path, new Set([first, "root"] as const)))).toEqual([
      { part: "blob", level: "ok", message: "100 bytes in 1 chunk", index: first },
      { part: "blob", level: "ok", message: "70000 bytes in 2 chunks", index: root },
    ]);
    expect(blobs(check(path))).toEqual([]);
  });

  test("that cannot be looked at are told, one for one", () => {
    const { path } = made();
    truncateSync(path, 5000);
    const findings = check(path, [8, "root"]);
    expect(findings).toContainEqual(expect.objectContaining({ part: "state", level: "damage" }));
    expect(blobs(findings).map(({ level, message }) => [level, message])).toEqual([
      ["note", "8: not looked at"],
      ["note", "root: not looked at"],
    ]);
    expect(blobs(check(fresh("missing"), [8])).length).toBe(1);
  });

  test("of an empty storage: there are none", () => {
    const path = fresh();
    StorageWriter.create(path).close();
    expect(blobs(check(path, ["root", 8])).map(({ level, message }) => [level, message])).toEqual([
      ["note", "root: there is none"],
      ["damage", "8 is no index of data: there are none"],
    ]);
  });
});

describe("a killed writer's file", () => {
  /** What is said of its annex and its state, after the places were spoilt. */
  function saidOf(...places: readonly { readonly offset: number }[]): Record<string, string> {
    const path = fresh();
    using writer = StorageWriter.create(`${path}.live`);
    writer.root = writer.write(new Uint8Array(100));
    writer.commit();
    const bytes = readFileSync(writer.path);
    for (const { offset } of places) bytes[offset + 15] = (bytes[offset + 15] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    return Object.fromEntries(check(path).map(({ part, message }) => [part, message]));
  }

  test("whose annex head alone is torn: its commit is proven all the same", () => {
    const said = saidOf(FILE.annexHead);
    expect(said["annex head"]).toMatch(/torn/);
    expect(said["annex head"]).not.toMatch(/prove/);
    expect(said["state"]).toMatch(/^resumedAtCommit/);
  });

  test("whose records are torn: these prove nothing", () => {
    const said = saidOf(FILE.commitRecord1, FILE.commitRecord2);
    expect([said["commit record 1"], said["commit record 2"]].join()).toMatch(/proves no.*proves no/);
    expect(said["annex head"]).not.toMatch(/torn/);
    expect(said["state"]).toMatch(/^resumedAtFlush.*unproven commits skipped/);
  });
});

test("arguments that are none are a TypeError, and not damage", () => {
  const { path, first } = made();
  for (const indices of [first, String(first), null, {}, [String(first)], [null], [undefined], [{}], ["8"], [8n]]) {
    expect(() => check(path, indices as never)).toThrow(TypeError);
  }
});

test("what a file says of itself cannot steer a terminal", () => {
  const path = fresh();
  writeFileSync(path, image.emptyFile({ headString: "a\x9b31mred\x1b[0m\x7f" }));
  const said = check(path).map(({ message }) => message);
  expect(said.join("\n")).toContain(String.raw`"a\u009b31mred\u001b[0m\u007f"`);
  expect(() => StorageWriter.open(path, { expect: { headString: "b" } })).toThrow(/\\u009b31mred/);
});
