/** A temp folder for one test file, removed when its tests are over, also after a failure. */

import { afterAll, beforeAll, setDefaultTimeout } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system in memory, where syncs cost nothing, for tests that are not about them. */
const MEMORY_FOLDER = "/dev/shm";

/** For tests that spawn processes, on a machine that is busy. Bun takes it per file. */
const TIMEOUT_MS = 60_000;

/** Call at the top of a test file. The answer makes a path in the folder: the given name, or a new one each time. */
export function useFolder({ inMemory = false }: { inMemory?: boolean } = {}): (name?: string) => string {
  setDefaultTimeout(TIMEOUT_MS);
  let folder = "";
  let count = 0;
  beforeAll(() => {
    folder = mkdtempSync(join(inMemory && existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir(), "cellar-test-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return (name = `${++count}.cellar`) => join(folder, name);
}
