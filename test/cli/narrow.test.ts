/** What the command prints on narrow terminals: no line is wider, and words stay whole. */

import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { fileOf, type State } from "../support/image.ts";
import { StorageWriter } from "../../src/index.ts";
import { cellar, cellarInTerminal } from "../support/cli.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ inMemory: true, spoiled: true });
const widths = [40, 60, 80] as const;
const late: State = { next: 30, root: 29 };
const mid: State = { next: 20, root: 19 };
const torn = null;

function storage(): string {
  const path = file();
  using writer = StorageWriter.create(path, { headString: "A HEAD STRING 123456" });
  writer.root = writer.write(new Uint8Array(100_000));
  return path;
}

function image(disk: State | null, process: State | null): string {
  const path = file();
  writeFileSync(path, fileOf({ disk: [disk, disk], process: [process, torn] }, 100));
  return path;
}

/** The words of a text, whatever stands between them; paths and bars aside. */
function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "" && !/[/█░]/.test(word));
}

/** That nothing is wider than the terminal, except where a path ends it, which is not broken. */
function expectFits(lines: readonly string[], width: number): void {
  const wide = lines.filter((line) => Bun.stringWidth(line) > width && !/\/\S+$/.test(line));
  expect(wide).toEqual([]);
}

describe.each(widths)("in %d columns", (width) => {
  test.each([
    ["info", "a storage", storage],
    ["info", "one whose writer was killed", () => image(mid, late)],
    ["info", "one that does not open", () => image(torn, mid)],
    ["check", "a storage", storage],
    ["check", "one that does not open", () => image(torn, mid)],
  ] as const)("%s of %s", async (name, _what, make) => {
    const path = make();
    const { lines } = await cellarInTerminal([name, path], width);
    expectFits(lines, width);
    expect(wordsOf(lines.join("\n"))).toEqual(wordsOf((await cellar([name, path])).stdout));
  });

  test.each(["--help", "copy --help", "create --help", "recover --help"])("%s", async (words) => {
    const args = words.split(" ");
    const { status, lines } = await cellarInTerminal(args, width);
    expect(status).toBe(0);
    // Examples are there to be copied.
    const end = lines.findIndex((line) => /^Examples?:$/.test(line));
    expectFits(lines.slice(0, end), width);
    expect(wordsOf(lines.join("\n"))).toEqual(wordsOf((await cellar(args)).stdout));
  });

  test("tail", async () => {
    const { lines } = await cellarInTerminal(["tail", storage(), "--count", "1"], width);
    expectFits(lines, width);
    expect(lines.join(" ")).toMatch(/length +\d+ +root +\d+$/);
  });
});
