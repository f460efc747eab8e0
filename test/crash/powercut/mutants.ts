/**
 * Does the replay see? `bun test/crash/powercut/mutants.ts [NAME]` copies the project into a temp folder, breaks it there,
 * one fault after the other, and runs the replay up to its first violation, or the test that is to find the fault. It
 * fails if a mutant survives, if a patch does not match, or if the unbroken copy has violations.
 */

import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Mutant, mutants } from "./mutant-list.ts";

/** What a cut leaves of pages is sampled: a mutant has survived when so many seeds have not found it. */
const MAX_SEEDS = 3;
const firstSeed = Number(process.env["SEED"] ?? 1);

const project = resolve(import.meta.dir, "../../..");

/** Tries every mutant, and says of each what found it. Returns those that nothing found. */
export async function tryMutants(say: (line: string) => void, only = ""): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "cellar-mutants-"));
  try {
    for (const name of ["src", "test", "package.json", "tsconfig.json"]) {
      cpSync(join(project, name), join(folder, name), { recursive: true });
    }
    symlinkSync(join(project, "node_modules"), join(folder, "node_modules"));
    const chosen = mutants.filter(({ name }) => name.includes(only));
    for (const test of new Set(chosen.map((mutant) => mutant.test))) {
      const unbroken = await findIn(folder, test, firstSeed);
      if (unbroken !== null) throw new Error(`the project as it is: ${unbroken}`);
    }
    const survivors: string[] = [];
    for (const mutant of chosen) {
      const found = await withPatches(folder, mutant);
      say(`${mutant.name}: ${found ?? "SURVIVED"}`);
      if (found === null) survivors.push(mutant.name);
    }
    return survivors;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function withPatches(folder: string, { name, file, patches, test }: Mutant): Promise<string | null> {
  const path = join(folder, file);
  const original = readFileSync(path, "utf8");
  let broken = original;
  for (const [text, instead] of patches) {
    const parts = broken.split(text);
    if (parts.length !== 2)
      throw new Error(`${name}: ${parts.length - 1} places in ${file} have ${JSON.stringify(text)}`);
    broken = parts.join(instead);
  }
  writeFileSync(path, broken);
  try {
    for (let seed = firstSeed; seed < firstSeed + MAX_SEEDS; seed++) {
      const found = await findIn(folder, test, seed);
      if (found !== null) return found;
    }
    return null;
  } finally {
    writeFileSync(path, original);
  }
}

/** The first violation that the replay, or the test, finds; or null. */
async function findIn(folder: string, test: string | undefined, seed: number): Promise<string | null> {
  const args = test === undefined ? ["test/crash/powercut/replay.ts", "mutant"] : ["test", test];
  const child = Bun.spawn([process.execPath, ...args], {
    cwd: folder,
    env: { ...process.env, SEED: String(seed) },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode === 0) return null;
  if (child.signalCode !== null) return `ended by ${child.signalCode}`;
  const isViolation = (line: string): boolean =>
    test === undefined ? line.startsWith("  ") : /^(\+   "|\(fail\))/.test(line);
  const violation = `${output}\n${errors}`.split("\n").find(isViolation);
  if (violation === undefined) throw new Error(`${args.join(" ")} does not run: ${errors}`);
  return violation.trim();
}

if (import.meta.main) {
  const only = process.argv[2] ?? "";
  const count = mutants.filter(({ name }) => name.includes(only)).length;
  const survivors = await tryMutants((line) => process.stdout.write(`${line}\n`), only);
  process.stdout.write(`${count - survivors.length} of ${count} mutants found\n`);
  process.exitCode = survivors.length === 0 ? 0 : 1;
}
