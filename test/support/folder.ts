/** A temp folder for one test file, removed when its tests are over, also after a failure. */

import { afterAll, beforeAll } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Call at the top of a test file. The answer makes a path in the folder: the given name, or a new one each time. */
export function useFolder(): (name?: string) => string {
  let folder = "";
  let count = 0;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "cellar-test-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (name = `${++count}.cellar`) => join(folder, name);
}
