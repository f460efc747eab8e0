/**
 * A temp folder for one test file. When its tests are over, every storage that they left is checked, as a user would
 * check it, and the folder is removed; a damaged one stays, and is named.
 */

import { afterAll, beforeAll, setDefaultTimeout } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check } from "../../src/index.ts";
import { patienceMs } from "./emulated.ts";

/** A file system in memory, where syncs cost nothing, for tests that are not about them. */
const MEMORY_FOLDER = "/dev/shm";
/** For tests that spawn processes, on a machine that is busy. Bun takes it per file. */
const TIMEOUT_MS = patienceMs(60_000);

export interface FolderOptions {
  readonly inMemory?: boolean;
  /** The tests spoil files on purpose: what they leave is not checked. */
  readonly spoiled?: boolean;
}

/** Call at the top of a test file. The answer makes a path in the folder: the given name, or a new one each time. */
export function useFolder({ inMemory = false, spoiled = false }: FolderOptions = {}): (name?: string) => string {
  setDefaultTimeout(TIMEOUT_MS);
  let folder = "";
  let count = 0;
  beforeAll(() => {
    folder = mkdtempSync(join(inMemory && existsSync(MEMORY_FOLDER) ? MEMORY_FOLDER : tmpdir(), "cellar-test-"));
  });
  afterAll(() => {
    const damage = spoiled ? [] : damageIn(folder);
    if (damage.length > 0) throw new Error(`left damaged:\n${damage.join("\n")}`);
    rmSync(folder, { recursive: true, force: true });
  });
  return (name = `${++count}.cellar`) => join(folder, name);
}

/** What the checker finds wrong with the storages right in a folder. */
function damageIn(folder: string): string[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(".cellar"));
  return names.flatMap((name) => {
    const path = join(folder, name);
    if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return [];
    return check(path)
      .filter(({ level }) => level === "damage")
      .map(({ part, message }) => `${path}: ${part}: ${message}`);
  });
}
