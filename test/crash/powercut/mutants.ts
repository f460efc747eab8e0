/**
 * Does the replay see? `bun test/crash/powercut/mutants.ts [NAME]` tries faults, one after the other: those at the seam
 * in this process, and those of the source in a copy of the project. It runs the replay up to its first violation, or the
 * test that finds the fault. It fails if a mutant survives, if a patch does not match, or if there are violations without
 * a fault.
 */

import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type PatchMutant, patchMutants } from "./patch-mutants.ts";
import { mutantForm, replay } from "./replay.ts";
import { type SeamMutant, seamMutants } from "./seam-mutants.ts";

/**
 * What a cut leaves of pages is sampled: a mutant has survived when so many seeds have not found it. With 1 the run tells
 * which mutants are found by luck.
 */
const MAX_SEEDS = Number(process.env["MAX_SEEDS"] ?? 3);
const firstSeed = Number(process.env["SEED"] ?? 1);

const project = resolve(import.meta.dir, "../../..");

/** What runs to find a mutant: the test, or the replay of the workload, or of all. */
interface Finder {
  readonly test?: string | undefined;
  readonly workload?: string | undefined;
}

interface Found {
  readonly seed: number;
  readonly violation: string;
}

/** Tries a mutant with one seed after the other. Null if none finds it. */
async function firstFound(find: (seed: number) => Promise<string | null>): Promise<Found | null> {
  for (let seed = firstSeed; seed < firstSeed + MAX_SEEDS; seed++) {
    const violation = await find(seed);
    if (violation !== null) return { seed, violation };
  }
  return null;
}

async function trySeam({ newRegion, workload }: SeamMutant): Promise<Found | null> {
  return await firstFound(async (seed) => {
    const { violations } = await replay({ ...mutantForm, workload }, seed, newRegion());
    const [violation] = violations;
    return violation === undefined ? null : `${violation.check}: ${violation.detail} [${violation.where}]`;
  });
}

/** A copy of the project, in which one patch after the other is tried. */
class Copy implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "cellar-mutants-"));
  readonly #files: string[];

  constructor() {
    for (const name of ["src", "test", "package.json", "tsconfig.json"]) {
      cpSync(join(project, name), join(this.#folder, name), { recursive: true });
    }
    symlinkSync(join(project, "node_modules"), join(this.#folder, "node_modules"));
    this.#files = [...new Bun.Glob("src/**/*.ts").scanSync({ cwd: this.#folder, absolute: true })];
  }

  /** @throws the test, or the replay, finds a fault in the project as it is */
  async checkUnbroken(finder: Finder): Promise<void> {
    const violation = await this.#find(finder, firstSeed);
    if (violation !== null) throw new Error(`the project as it is: ${violation}`);
  }

  async try({ name, patches, test, workload }: PatchMutant): Promise<Found | null> {
    const originals = new Map<string, string>();
    try {
      for (const [text, instead] of patches) {
        const path = this.#fileOf(text, name);
        const source = readFileSync(path, "utf8");
        if (!originals.has(path)) originals.set(path, source);
        writeFileSync(
          path,
          source.replace(text, () => instead),
        );
      }
      return await firstFound((seed) => this.#find({ test, workload }, seed));
    } finally {
      for (const [path, source] of originals) writeFileSync(path, source);
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** The file that has the text. */
  #fileOf(text: string, name: string): string {
    const places = this.#files.flatMap((path) => {
      return readFileSync(path, "utf8")
        .split(text)
        .slice(1)
        .map(() => path);
    });
    const [path] = places;
    if (path === undefined || places.length > 1) {
      throw new Error(`${name}: ${places.length} places in src/ have ${JSON.stringify(text)}`);
    }
    return path;
  }

  /** The first violation that the replay, or the test, finds; or null. */
  async #find({ test, workload }: Finder, seed: number): Promise<string | null> {
    const replayArgs = ["test/crash/powercut/replay.ts", "mutant", ...(workload === undefined ? [] : [workload])];
    const args = test === undefined ? replayArgs : ["test", test];
    const child = Bun.spawn([process.execPath, ...args], {
      cwd: this.#folder,
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
}

/** Tries the mutants, and says of each what found it, and with which seed. Returns those that nothing found. */
async function tryMutants(
  seam: readonly SeamMutant[],
  patches: readonly PatchMutant[],
  say: (line: string) => void,
): Promise<string[]> {
  const survivors: string[] = [];
  const report = (name: string, found: Found | null): void => {
    say(`${name}: ${found === null ? "SURVIVED" : `seed ${found.seed}: ${found.violation}`}`);
    if (found === null) survivors.push(name);
  };
  using copy = new Copy();
  const finders = [...seam, ...patches].map(({ test, workload }: Finder) => ({ test, workload }));
  for (const finder of new Map(finders.map((each) => [Object.values(each).join(), each])).values()) {
    await copy.checkUnbroken(finder);
  }
  for (const mutant of seam) report(mutant.name, await trySeam(mutant));
  for (const mutant of patches) report(mutant.name, await copy.try(mutant));
  return survivors;
}

if (import.meta.main) {
  const only = process.argv[2] ?? "";
  const seam = seamMutants.filter(({ name }) => name.includes(only));
  const patches = patchMutants.filter(({ name }) => name.includes(only));
  const survivors = await tryMutants(seam, patches, (line) => process.stdout.write(`${line}\n`));
  const count = seam.length + patches.length;
  process.stdout.write(`${count - survivors.length} of ${count} mutants found\n`);
  process.exitCode = survivors.length === 0 ? 0 : 1;
}
