/**
 * Makes the declarations that the package shows to TypeScript, in `types/`: those of its entries and of what they refer
 * to. Runs before every `bun pm pack`.
 */

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

/** What `bun check` matches is TypeScript 7; it writes no declarations itself. */
export const TYPESCRIPT = "typescript@7.0.2";

const root = join(import.meta.dir, "..");
const types = join(root, "types");
/** The declarations of the package's entries. */
export const ENTRIES: readonly string[] = ["index.d.ts", "replicate/index.d.ts"];

/** Follows the imports of a declaration file, and theirs. */
function reachableFrom(file: string, reached: Set<string> = new Set()): Set<string> {
  if (reached.has(file)) return reached;
  reached.add(file);
  for (const [, specifier = ""] of readFileSync(file, "utf8").matchAll(/\b(?:from|import\()\s*"(\.[^"]+)"/g)) {
    reachableFrom(join(dirname(file), specifier.replace(/\.ts$/, ".d.ts")), reached);
  }
  return reached;
}

function makeTypes(): void {
  rmSync(types, { recursive: true, force: true });
  const compiler = [process.execPath, "x", "-p", TYPESCRIPT, "tsc", "-p", "tsconfig.types.json"];
  const { exitCode } = Bun.spawnSync(compiler, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  if (exitCode !== 0) throw new Error(`${TYPESCRIPT} ended with ${exitCode}`);
  // The rest would only be checked, by users who do not skip it, against types of Bun that they may not have.
  const reached = new Set<string>();
  for (const entry of ENTRIES) reachableFrom(join(types, entry), reached);
  for (const { name, parentPath } of readdirSync(types, { recursive: true, withFileTypes: true })) {
    const file = join(parentPath, name);
    if (name.endsWith(".d.ts") && !reached.has(file)) rmSync(file);
  }
}

if (import.meta.main) makeTypes();
