/** Where Bun can run a program: in Workers, bundled, compiled to one file, under isolated tests, loaded again. */

import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { linesOf } from "../support/child.ts";
import { useFolder } from "../support/folder.ts";
import { linkPackage } from "../support/linked-package.ts";
import { blocksOf } from "../support/papers.ts";

const root = join(import.meta.dir, "../..");
const main = join(import.meta.dir, "environment/main.ts");
const worker = join(import.meta.dir, "environment/worker.ts");
const path = useFolder();

/** What the program prints, wherever it runs. */
const same = <T>(value: T): T[] => [value, value, value];
const expected = { opened: same("before"), refreshed: same("after"), own: same("after"), shared: "after" };

function newFolder(): string {
  const folder = path(crypto.randomUUID());
  mkdirSync(folder);
  return folder;
}

/** Runs a command, in a folder from which no module of the repository is found. */
function run(command: readonly string[], cwd: string): { status: number | null; output: string; errors: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], { cwd });
  return { status: exitCode, output: stdout.toString(), errors: stderr.toString() };
}

function runProgram(...command: readonly string[]): unknown {
  const folder = newFolder();
  const { status, output, errors } = run([...command, folder], folder);
  expect({ status, errors }).toEqual({ status: 0, errors: "" });
  return JSON.parse(output);
}

test("Workers read what the main thread writes, and write storages of their own", () => {
  expect(runProgram(process.execPath, main)).toEqual(expected);
});

test("bundled by `bun build --target bun`", () => {
  const folder = newFolder();
  const build = [process.execPath, "build", "--target", "bun", "--outdir", folder, main, worker];
  expect(run(build, root)).toMatchObject({ status: 0, errors: "" });
  // The bundler leaves the names of Workers as they are.
  symlinkSync("worker.js", join(folder, "worker.ts"));
  expect(runProgram(process.execPath, join(folder, "main.js"))).toEqual(expected);
});

test("compiled by `bun build --compile`, with the Worker as an entry point of its own", () => {
  const program = join(newFolder(), "program");
  const build = [process.execPath, "build", "--compile", "--outfile", program, main, worker];
  expect(run(build, root).status).toBe(0);
  expect(runProgram(program)).toEqual(expected);
});

/** A folder in which the package is installed. */
function newProject(): string {
  const folder = newFolder();
  const modules = join(folder, "node_modules");
  linkPackage(modules);
  return folder;
}

/** Starts a program under `bun --hot`, changes it once it has printed, and answers the two first lines. */
async function linesOfReload(program: string): Promise<string[]> {
  const file = join(newProject(), "hot.ts");
  writeFileSync(file, program);
  const child = Bun.spawn([process.execPath, "--hot", file], { cwd: dirname(file), stdout: "pipe", stderr: "ignore" });
  const lines: string[] = [];
  let changes = 0;
  // Bun may not look at the file yet when the program runs, so one change may go unseen.
  const change = setInterval(() => {
    if (lines.length === 1) writeFileSync(file, `${program}// ${++changes}\n`);
  }, 100);
  try {
    for await (const line of linesOf(child.stdout)) if (lines.push(line) === 2) break;
  } finally {
    clearInterval(change);
    child.kill("SIGKILL");
    await child.exited;
  }
  return lines;
}

/** What keeps a program running that is loaded again. */
const STAYS = "setInterval(() => {}, 1000);\n";

test("under `bun --hot`, the guide's program goes on with its writer", async () => {
  const program = blocksOf("docs/guide.md").find(({ text }) => text.startsWith("// hot.ts\n"))?.text ?? "";
  const [first = "", second = ""] = await linesOfReload(program + STAYS);
  expect(first).toBe("the length is 9 cells");
  // A change may have been seen twice.
  expect(second).toMatch(/^the length is 1\d cells$/);
});

test("under `bun --hot`, a program that opens once more is told what to do", async () => {
  const program = `import { StorageWriter } from "cellar";
    try { globalThis.kept ??= []; globalThis.kept.push(StorageWriter.openOrCreate("hot.cellar")); console.log("opened"); }
    catch ({ code, message }) { console.log(code, message); }\n`;
  expect(await linesOfReload(program + STAYS)).toEqual([
    "opened",
    expect.stringMatching(/^WRITER_LOCKED hot.cellar: this process .*bun --hot, .* "One writer in a process"$/),
  ]);
});

test("under `bun test --isolate`, where a file before has left its storages open", () => {
  const folder = newProject();
  for (const name of ["a", "b", "c"]) writeFileSync(join(folder, `${name}.test.ts`), ISOLATED);
  const { status, errors } = run([process.execPath, "test", "--isolate"], folder);
  expect({ status, passes: errors.includes(" 3 pass\n") }).toEqual({ status: 0, passes: true });
});

test("under `bun test --isolate`, a writer that each file opens anew at a module's top level is told what to do", () => {
  const folder = newProject();
  const shared =
    'import { StorageWriter } from "cellar";\nexport const writer = StorageWriter.openOrCreate("shared.cellar");\n';
  writeFileSync(join(folder, "shared.ts"), shared);
  const program =
    'import { test } from "bun:test";\nimport { writer } from "./shared.ts";\ntest("is", () => void writer.length);\n';
  for (const name of ["a", "b"]) writeFileSync(join(folder, `${name}.test.ts`), program);
  const { status, errors } = run([process.execPath, "test", "--isolate"], folder);
  expect(status).not.toBe(0);
  expect(errors).toMatch(/StorageError: shared.cellar: this process .*bun test --isolate.* "One writer in a process"/);
});

/** Every file opens a storage of its own, which it leaves open, and looks at the one that all share. */
const ISOLATED = `
import { expect, test } from "bun:test";
import { StorageReader, StorageWriter } from "cellar";

test("opens", async () => {
  const left = StorageWriter.create(\`left-\${crypto.randomUUID()}.cellar\`);
  left.root = left.write(new Uint8Array(100_000));
  await left.flush();
  using writer = StorageWriter.openOrCreate("shared.cellar");
  writer.root = writer.write(Uint8Array.of(1, 2, 3));
  writer.commit();
  using reader = StorageReader.open("shared.cellar", { follow: "commits" });
  expect(reader.read(reader.root ?? 0)).toEqual(Uint8Array.of(1, 2, 3));
});
`;
