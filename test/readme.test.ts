/** The README is true: its programs run as they stand, its commands name the versions that the package names. */

import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { useFolder } from "./support/folder.ts";

const root = join(import.meta.dir, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const blocks = (language: string): string[] =>
  [...readme.matchAll(/```(\w+)\n([\s\S]*?)```/g)]
    .filter((match) => match[1] === language)
    .map((match) => match[2] ?? "");
const file = useFolder();

/** What each program prints, in the order of the README. */
const printed = ["hello, cellar\n", "Uint8Array(3) [ 1, 2, 3 ]\n"];

test("every TypeScript block has its output told here", () => expect(blocks("ts")).toHaveLength(printed.length));

test.each(printed.map((output, i) => [i, output] as const))("program %i runs as it stands", (i, output) => {
  const program = file(`example-${i}/program.ts`);
  const modules = join(dirname(program), "node_modules");
  mkdirSync(modules, { recursive: true });
  symlinkSync(root, join(modules, "cellar"));
  writeFileSync(program, blocks("ts")[i] ?? "");
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, program], { cwd: dirname(program) });
  expect({ exitCode, stdout: stdout.toString(), stderr: stderr.toString() }).toEqual({
    exitCode: 0,
    stdout: output,
    stderr: "",
  });
});

test("the two commands install the Bun that the package is developed with, then run the demo and the tests", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    devDependencies: Record<string, string>;
  };
  const version = manifest.devDependencies["bun-types"] ?? "";
  const install = `npm install -g bun@${version} && bun install && `;
  expect(blocks("sh").slice(0, 2)).toEqual([`${install}bun run demo\n`, `${install}bun test\n`]);
});
