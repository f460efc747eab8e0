/** `cellar copy` at a terminal, and when it is told to stop. */

import { describe, expect, test } from "bun:test";
import { StorageWriter } from "../src/index.ts";
import { cellarInTerminal } from "./support/cli.ts";
import { useFolder } from "./support/folder.ts";

const file = useFolder({ inMemory: true });
/** So large that its copy is seen on its way, on a fast machine too. */
const LARGE_BYTES = 256 * 1024 * 1024;
const CELL_BYTES = 4096;

function large(): string {
  const path = file();
  using writer = StorageWriter.create(path, { bytesPerCell: CELL_BYTES });
  writer.allocate(LARGE_BYTES / CELL_BYTES);
  return path;
}

describe("at a terminal", () => {
  const path = large;

  test("what it says in the end has a line of its own", async () => {
    const [from, to] = [path(), file()];
    const { status, lines } = await cellarInTerminal(["copy", from, to], 80);
    expect({ status, lines }).toEqual({ status: 0, lines: [`${to}: length 65537, root none, 256.0 MiB`] });
    const other = file();
    const { lines: json } = await cellarInTerminal(["copy", from, other, "--json"], 80);
    expect(json.map((line) => JSON.parse(line) as object)).toMatchObject([{ to: other, length: 65537 }]);
  });
});
