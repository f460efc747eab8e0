/** The checker, as a function: what it takes, and what it says of blobs. (Spoilt files: fuzz.test.ts.) */

import { describe, expect, mock, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { check, type Finding, StorageWriter } from "../../src/index.ts";
import { FILE, HEADER_AREA_BYTES } from "../../src/format/layout.ts";
import * as image from "../support/image.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder({ spoiled: true });

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
      ["note", "8: not checked"],
      ["note", "root: not checked"],
    ]);
    expect(blobs(check(fresh("missing"), [8])).length).toBe(1);
  });

  test("of an empty storage: there are none", () => {
    const path = fresh();
    StorageWriter.create(path).close();
    expect(blobs(check(path, ["root", 8])).map(({ level, message }) => [level, message])).toEqual([
      ["note", "root: the storage has none"],
      ["damage", "8 is not an index of data: there are none"],
    ]);
  });
});

describe("cells under the checksum of a commit record", () => {
  const notOk = (path: string): string[] =>
    check(path, ["root"]).flatMap(({ part, level, message }) => (level === "ok" ? [] : [`${part}: ${message}`]));
  const saidOfCells = (path: string): string => check(path).find(({ part }) => part === "cells")?.message ?? "";

  function flip(path: string, offset: number): void {
    const bytes = readFileSync(path);
    bytes[offset] = (bytes[offset] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  }

  test("are compared: a changed one is a note, wherever it is", () => {
    const { path, first, root } = made();
    expect(notOk(path)).toEqual([]);
    expect(saidOfCells(path)).toStartWith(`${(root + 1 - 8) * 32} bytes match their checksum`);
    for (const index of [first, root - 100]) {
      flip(path, index * 32);
      expect(notOk(path)).toEqual([
        expect.stringMatching(
          /^commit record \d: .*does not match: the cells were changed in place since, or are damaged$/,
        ),
      ]);
      expect(saidOfCells(path)).toStartWith("no byte was compared");
      flip(path, index * 32);
    }
    expect(notOk(path)).toEqual([]);
  });

  test("behind the last one are not", () => {
    const { path, root } = made();
    StorageWriter.open(path).close();
    // Opening and closing left the records with nothing under their checksum.
    flip(path, (root - 100) * 32);
    expect(notOk(path)).toEqual([]);
    expect(saidOfCells(path)).toStartWith("no byte was compared");
  });

  test("that were changed in place between two commits count as the newer one has them", () => {
    const path = fresh();
    using writer = StorageWriter.create(path);
    const cell = writer.allocate(10);
    writer.commit();
    writer.setU32(cell, 0, 5);
    writer.commit();
    expect(check(path).map(({ level, message }) => [level, message])).toContainEqual([
      "ok",
      expect.stringMatching(/replaced by the other commit$/),
    ]);
    expect(check(path).filter(({ part, level }) => part.startsWith("commit record") && level !== "ok")).toEqual([]);
    writer.setU32(cell, 0, 6);
    expect(check(path)).toContainEqual(
      expect.objectContaining({ level: "note", message: expect.stringContaining("changed in place") }),
    );
  });

  test("that a writer replaces while they are read are not judged", () => {
    const { path, first } = made();
    flip(path, first * 32);
    const { readSync } = fs;
    let looks = 0;
    spyOn(fs, "readSync").mockImplementation(((fd: number, bytes: Uint8Array, ...rest: [number, number, number]) => {
      const readBytes = readSync(fd, bytes, ...rest);
      // The area is read until it is twice the same: from the third look on a commit has come.
      if (rest[1] === HEADER_AREA_BYTES && ++looks > 2) bytes.fill(1, FILE.process1.offset, FILE.process1.offset + 4);
      return readBytes;
    }) as typeof fs.readSync);
    const said = notOk(path);
    mock.restore();
    expect(looks).toBeGreaterThan(2);
    expect(said).toEqual([]);
    expect(notOk(path)).toHaveLength(1);
  });

  test("of a record that points outside the file are not read", () => {
    const path = fresh();
    const record = { base: 8, next: 2 ** 32 - 1, root: 0, cellsCrc: 0, sequence: 1, truncations: 0 };
    const state = { next: 20, root: 0 };
    const records = [record, { ...record, base: 7, next: 20, sequence: 2 }] as const;
    writeFileSync(path, image.fileOf({ disk: [state, state], process: [state, state], records }, 100));
    const said = check(path).filter(({ part }) => part.startsWith("commit record"));
    expect(said.map(({ level, message }) => [level, message.endsWith("points outside the file")])).toEqual([
      ["note", true],
      ["note", true],
    ]);
  });
});

describe("what cannot be judged", () => {
  test("with a damaged config is not looked at", () => {
    const { path, root } = made();
    const bytes = readFileSync(path);
    bytes[20] = 33;
    writeFileSync(path, bytes);
    const findings = check(path, [root]);
    expect(findings.map(({ part, level }) => [part, level])).toEqual([
      ["config", "damage"],
      ["state", "note"],
      ["blob", "note"],
    ]);
    expect(findings.map(({ message }) => message).join()).toMatch(/cellar recover.*not checked.*not checked$/);
  });

  test.each([
    ["text", new TextEncoder().encode("{".repeat(1000))],
    ["zeros", new Uint8Array(4096)],
    ["too few bytes", new Uint8Array(100)],
    ["nothing", new Uint8Array(0)],
  ])("because it is %s: it is said to be no storage", (_what, bytes) => {
    const path = fresh();
    writeFileSync(path, bytes);
    const [finding, ...others] = check(path);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({ part: "file", level: "damage" });
    expect(finding?.message).toContain("if this was a storage");
    expect(finding?.message).not.toContain(path);
  });

  test("of the version: it says that no checksum covers it", () => {
    expect(check(made().path)[0]).toMatchObject({
      part: "config",
      message: expect.stringContaining("version 1 (not covered by a checksum)"),
    });
  });
});

test("a blob of no bytes whose cell is not all zero is a note: it may be an allocated cell", () => {
  for (const bytesPerCell of [4, 7, 32]) {
    const path = fresh();
    using writer = StorageWriter.create(path, { bytesPerCell });
    const empty = writer.write(new Uint8Array(0));
    // As many cells as an empty chunk takes; its footer has 6 bytes.
    const cells = Math.ceil(6 / bytesPerCell);
    const zeros = writer.allocate(cells) + cells - 1;
    const used = writer.allocate(cells);
    writer.setU8(used, 0, 1);
    writer.flushSync();
    const found = blobs(check(path, [empty, zeros, used + cells - 1]));
    expect(found.map(({ level }) => level)).toEqual(["ok", "ok", "note"]);
    expect(found[2]?.message).toContain("an allocated cell reads as an empty blob");
  }
});

describe("a killed writer's file", () => {
  /** What is said of its annex and its state, after the places were spoiled. */
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
