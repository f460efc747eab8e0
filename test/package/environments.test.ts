/** Where Bun can run a program: in Workers, bundled, compiled to one file, under isolated tests. */

import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { useFolder } from "../support/folder.ts";

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

test("under `bun test --isolate`, where a file before has left its storages open", () => {
  const folder = newFolder();
  const modules = join(folder, "node_modules");
  mkdirSync(modules);
  symlinkSync(root, join(modules, "cellar"));
  for (const name of ["a", "b", "c"]) writeFileSync(join(folder, `${name}.test.ts`), ISOLATED);
  const { status, errors } = run([process.execPath, "test", "--isolate"], folder);
  expect({ status, passes: errors.includes(" 3 pass\n") }).toEqual({ status: 0, passes: true });
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
