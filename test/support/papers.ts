/** The papers, README.md and docs/: cut into blocks of code, and done as a reader does who follows them. */

import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { linkPackage } from "./linked-package.ts";

export const root: string = join(import.meta.dir, "../..");
/** By their paths from the root on. */
export const papers: ReadonlyMap<string, string> = new Map(
  ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)]
    .filter((name) => name.endsWith(".md"))
    .map((name) => [name, readFileSync(join(root, name), "utf8")]),
);

/** Far more than any takes: what hangs fails. */
const TIMEOUT_MS = 60_000;

/** Code, as it stands between its fences. */
export interface Block {
  /** What stands behind the opening fence: "" for what a program prints. */
  readonly language: string;
  readonly text: string;
}

/** What a command printed, both outputs in order; and what a paper says that it prints. */
export interface Step {
  readonly command: string;
  readonly told: string;
  readonly printed: string;
}

/** @throws Error there is no such paper */
export function paper(name: string): string {
  const text = papers.get(name);
  if (text === undefined) throw new Error(`there is no paper ${name}`);
  return text;
}

export function blocksOf(name: string): Block[] {
  const matches = paper(name).matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm);
  return [...matches].map(([, language = "", text = ""]) => ({ language, text }));
}

/** Makes a folder in which the package is installed, and runs shell commands in it as if they were typed. */
export class Workplace {
  readonly #folder: string;
  readonly #programs: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.#programs = `${folder}-programs`;
    const modules = join(folder, "node_modules");
    for (const path of [join(modules, ".bin"), this.#programs]) mkdirSync(path, { recursive: true });
    linkPackage(modules);
    symlinkSync("../cellar/src/cli/main.ts", join(modules, ".bin/cellar"));
    // Bun goes by the name that it is called by.
    for (const name of ["bun", "bunx"]) symlinkSync(process.execPath, join(this.#programs, name));
  }

  file(name: string): string {
    return join(this.#folder, name);
  }

  write(name: string, text: string): void {
    mkdirSync(dirname(this.file(name)), { recursive: true });
    writeFileSync(this.file(name), text);
  }

  /** Has everything that was written type-checked as strictly as the library; returns what is wrong. */
  typeErrors(): string {
    const types = [join(root, "node_modules/bun-types")];
    const settings = { extends: join(root, "tsconfig.json"), compilerOptions: { types }, include: ["*.ts"] };
    this.write("tsconfig.json", JSON.stringify(settings));
    const { status, printed } = this.run("bun check");
    return status === 0 ? "" : printed;
  }

  /** What the commands print, on standard output and standard error together. */
  run(commands: string): { readonly status: number; readonly printed: string } {
    // A subshell: a command that bash itself becomes would leave nobody to tell how it ended.
    const { exitCode, stdout } = Bun.spawnSync(["bash", "-c", `(\n${commands}\n) 2>&1`], {
      cwd: this.#folder,
      env: {
        ...process.env,
        PATH: `${this.#programs}${delimiter}${process.env["PATH"] ?? ""}`,
        NO_COLOR: "1",
        LC_ALL: "C.UTF-8",
      },
      timeout: TIMEOUT_MS,
    });
    return { status: exitCode, printed: stdout.toString() };
  }
}

/**
 * Follows a tutorial. A program begins with its file's name in a comment, and goes on in the blocks after it; commands
 * are run where they stand, and what stands right behind them in a block without a language is what they print.
 */
export function follow(name: string, workplace: Workplace): Step[] {
  const blocks = blocksOf(name);
  const programs = new Map<string, string>();
  const steps: Step[] = [];
  let current = "";
  for (const [i, { language, text }] of blocks.entries()) {
    if (language === "ts") {
      current = /^\/\/ (\S+\.ts)\n/.exec(text)?.[1] ?? current;
      programs.set(current, (programs.get(current) ?? "") + text);
      workplace.write(current, programs.get(current) ?? "");
    } else if (language === "sh") {
      const next = blocks[i + 1];
      steps.push({
        command: text,
        told: next?.language === "" ? next.text : "",
        printed: workplace.run(text).printed,
      });
    }
  }
  return steps;
}

/** Whether a command printed what is told, in which `…` stands for any text in a line. */
export function isAsTold({ told, printed }: Step): boolean {
  const parts = told.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[^\\n]*")}$`).test(printed);
}
