/** What `cellar info` says of header copies in every state. */

import { describe, expect, test } from "bun:test";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { picture } from "../../src/cli/info-picture.ts";
import { StorageWriter } from "../../src/index.ts";
import { inspect } from "../../src/offline/inspect.ts";
import { fileOf, type State } from "../support/image.ts";
import { cellar, cellarJson } from "../support/cli.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ inMemory: true, spoiled: true });
const FILE_CELLS = 100;
const old: State = { next: 10, root: 9 };
const mid: State = { next: 20, root: 19 };
const late: State = { next: 30, root: 29 };
const far: State = { next: FILE_CELLS + 1, root: 9 };
const torn = null;
type Pair = readonly [State | null, State | null];

describe("info says of the copies of a header", () => {
  const cases: readonly (readonly [disk: Pair, process: Pair, states: string, opening: object])[] = [
    [[mid, mid], [mid, mid], "good good good good", { state: "clean", length: 20, root: 19 }],
    [[mid, old], [mid, mid], "good older good good", { state: "clean", length: 20, root: 19 }],
    [[torn, mid], [mid, torn], "torn good good torn", { state: "clean", tornCopies: 2 }],
    [[far, mid], [mid, mid], "outside good good good", { state: "clean", length: 20 }],
    [[mid, mid], [late, mid], "good good good older", { state: "resumedAtFlush", skippedCells: 10, length: 30 }],
    [[mid, mid], [old, old], "good good older older", { state: "resumedAtFlush", ignored: "older" }],
    [[mid, mid], [torn, torn], "good good torn torn", { state: "resumedAtFlush", ignored: "torn" }],
    [[mid, mid], [far, far], "good good outside outside", { state: "resumedAtFlush", ignored: "pastEnd" }],
    [[torn, torn], [mid, mid], "torn torn good good", { error: { code: "HEADER_BROKEN" } }],
    [[far, far], [mid, mid], "outside outside good good", { error: { code: "FILE_CUT" } }],
  ];

  test.each(cases)("disk sync %j, process sync %j: %s", async (disk, process, states, opening) => {
    const path = file();
    writeFileSync(path, fileOf({ disk, process }, FILE_CELLS));
    const printed = await cellarJson("info", path);
    expect((printed["headers"] as { state: string }[]).map(({ state }) => state).join(" ")).toBe(states);
    expect(printed).toMatchObject({ opening, fileCells: FILE_CELLS, annex: { processId: null, commits: [] } });
    const { status, stdout } = await cellar(["info", path]);
    expect(status).toBe("error" in opening ? 1 : 0);
    expect([...stdout.matchAll(/sync +[12] +(\w+)/g)].map(([, state]) => state).join(" ")).toBe(states);
    expect(stdout.split("\n").filter((line) => line.length > 80 && !line.includes(path))).toEqual([]);
  });
});

describe("info says of the writer, where the system cannot be asked", () => {
  const heads = [
    [null, "not known"],
    [0, "the last one closed it"],
    [77, "process 77 writes it, or did not close it"],
  ] as const;

  test.each(heads)("with process %p in the annex: %s", (processId, text) => {
    const path = file();
    StorageWriter.create(path).close();
    const fd = openSync(path, "r");
    const inspection = inspect(fd, path);
    closeSync(fd);
    const annexHead = processId === null ? null : { processId, isConfigIntact: true };
    const lines = picture({ ...inspection, writer: "unknown", annexHead }).map(Bun.stripANSI);
    expect(lines.find((line) => line.trimStart().startsWith("writer"))).toMatch(new RegExp(`^ *writer +${text}$`));
  });
});
