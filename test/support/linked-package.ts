/** The package in a folder of modules, from its sources: what is built may be missing, or older than they are. */

import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "../..");

/** Puts the package into `modules` under its name, with its entries led to src/. */
export function linkPackage(modules: string): void {
  const folder = join(modules, "cellar");
  mkdirSync(folder, { recursive: true });
  const manifest = readFileSync(join(root, "package.json"), "utf8");
  writeFileSync(join(folder, "package.json"), manifest.replace(/"\.\/dist\/(.*)\.js"/g, '"./src/$1.ts"'));
  for (const name of ["src", "docs"]) symlinkSync(join(root, name), join(folder, name));
}
