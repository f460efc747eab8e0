/** Storages that are dropped without `close`: what is released when they are collected, and what stays. */

import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { runWith } from "../support/process-run.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder();
/** The warnings are looked at by the program itself. */
const QUIET = { NODE_NO_WARNINGS: "1" };
const program = (name: string): string => join(import.meta.dir, "../support", name);

test("the writer's lock is released with a warning, views stay, and nothing else is left", async () => {
  const folder = file("dropped");
  mkdirSync(folder);
  expect(await runWith(QUIET, program("process-dropped.ts"), folder)).toEqual({
    state: "resumedAtCommit",
    seen: "committed",
    // A store into the view stays in the process: another writer has the file now.
    stored: "Committed",
    inFile: "committed",
    warnings: [
      {
        code: "CELLAR_DROPPED_WRITER",
        message: expect.stringContaining(`${join(folder, "dropped.cellar")}: a writer was dropped without close()`),
      },
    ],
  });
});

test.each(["zlib.gzip", "fs.write", "fs.read", "crypto.subtle.digest", "Bun.write", "Bun.spawn"])(
  "a job of Bun's that has a view of a dropped storage ends as if it were open: %s",
  async (job) => {
    const { right, wrong, failed } = await runWith(QUIET, program("process-pinned.ts"), job, file(), "drop");
    expect({ right, wrong, failed }).toEqual({ right: 8, wrong: 0, failed: 0 });
  },
);
