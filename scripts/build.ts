/**
 * Makes what the package ships besides its sources. Runs before every `bun pm pack`.
 *
 * `dist/`: the library and the command, bundled, because a module of one file starts faster than one of eighty. The
 * entries of the library share their code, so that `StorageError` is one class for both.
 * `types/`: the declarations of the entries and of what they refer to.
 */

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

/** What `bun check` matches is TypeScript 7; it writes no declarations itself. */
export const TYPESCRIPT = "typescript@7.0.2";

const root = join(import.meta.dir, "..");
const types = join(root, "types");
const dist = join(root, "dist");
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

async function bundle(entrypoints: readonly string[], splitting: boolean): Promise<void> {
  const { success, logs } = await Bun.build({
    entrypoints: entrypoints.map((entry) => join(root, entry)),
    root: join(root, "src"),
    outdir: dist,
    target: "bun",
    sourcemap: "linked",
    splitting,
    // The dependency is installed beside the package.
    packages: "external",
    naming: { chunk: "shared-[hash].[ext]" },
  });
  if (!success) throw new AggregateError(logs, "the bundle could not be made");
}

async function makeBundles(): Promise<void> {
  rmSync(dist, { recursive: true, force: true });
  await bundle(["src/index.ts", "src/replicate/index.ts"], true);
  await bundle(["src/cli/main.ts"], false);
}

if (import.meta.main) {
  await makeBundles();
  makeTypes();
}
