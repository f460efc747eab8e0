/** What errors say: the mistake, in which file, and what to do, in one line that cannot steer a terminal. */

import { describe, expect, test } from "bun:test";
import { inspect } from "node:util";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { StorageError, StorageReader, StorageWriter } from "../../src/index.ts";
import { RESTORE } from "../../src/error.ts";
import { errorOf } from "../support/errors.ts";
import { useFolder } from "../support/folder.ts";
import { paper } from "../support/papers.ts";

const fresh = useFolder({ inMemory: true, spoiled: true });
const CONTROL = /[\x00-\x1f\x7f-\x9f]/;
const controlName = "a\x1b[31mred\n\x9b0m.cellar";

describe("a path with control characters", () => {
  const taken = (): string => {
    const path = fresh(controlName);
    writeFileSync(path, "no storage");
    return path;
  };
  test.each([
    ["a missing file", (path: string) => StorageReader.open(join(path, "..", `missing${controlName}`))],
    ["a file of another kind", (path: string) => StorageReader.open(path)],
    ["a name that is taken", (path: string) => StorageWriter.create(path)],
    ["a config that cannot be", (path: string) => StorageWriter.create(path, { bytesPerCell: 1 })],
    ["a head string that cannot be", (path: string) => StorageWriter.create(path, { headString: "x".repeat(21) })],
  ])("is escaped in the message of %s, and stays what it was in `path`", (_what, call) => {
    const error = errorOf(() => call(taken()));
    expect(error.message).not.toMatch(CONTROL);
    expect(error.message).toContain(String.raw`a\u001b[31mred\u000a\u009b0m.cellar: `);
    expect(error.path).toContain(controlName);
  });

  test("an argument of the wrong type does not bring them either", () => {
    expect(() => StorageReader.open(fresh("absent"), { follow: "\x9b31m" as never })).toThrow(String.raw`\u009b31m`);
  });
});

test("an error is printed without details that it does not have", () => {
  const error = errorOf(() => StorageWriter.inMemory().cell(99));
  expect(error).toBeInstanceOf(StorageError);
  expect(inspect(error)).not.toContain("undefined");
  expect(error).toMatchObject({ code: "INDEX_OUT_OF_RANGE", index: 99, path: "(in memory)" });
});

describe("an index that a reader does not show yet", () => {
  test("names commit and refresh", () => {
    const path = fresh();
    using writer = StorageWriter.create(path);
    using reader = StorageReader.open(path, { follow: "commits" });
    const index = writer.write(new Uint8Array(10));
    for (const call of [() => reader.read(index), () => reader.cell(index), () => reader.u32(index, 0)]) {
      const { code, message } = errorOf(call);
      expect(code).toBe("INDEX_OUT_OF_RANGE");
      expect(message).toMatch(/commit\(\).*refresh\(\)/);
    }
    writer.commit();
    reader.refresh();
    expect(reader.read(index).length).toBe(10);
  });

  test("but a writer is told where indices come from", () => {
    using writer = StorageWriter.inMemory();
    writer.allocate();
    expect(errorOf(() => writer.cell(99)).message).toMatch(/write\(\), allocate\(\) or root$/);
    expect(errorOf(() => writer.cells(8, 5)).message).toContain("expected 0 to 1 cells, got 5");
    expect(errorOf(() => writer.bytes(8, 50)).message).toContain("expected 0 to 32 bytes, got 50");
    expect(() => (writer.root = undefined as never)).toThrow(
      new TypeError("root: expected an index or null, got undefined"),
    );
  });
});

test("the section about restoring that messages point to is there", () => {
  const [, name = "", heading = ""] = /\((docs\/\w+\.md), "(.*)"\)$/.exec(RESTORE) ?? [];
  expect(paper(name)).toContain(`\n## ${heading}\n`);
});
