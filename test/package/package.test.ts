/** The package as its users get it: packed, installed in an empty project, type-checked, run; and what Node says of it. */

import { beforeAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join, relative } from "node:path";
import { ENTRIES, TYPESCRIPT } from "../../scripts/build.ts";
import * as cellar from "../../src/index.ts";
import { requires } from "../crash/survive/requires.ts";
import { useFolder } from "../support/folder.ts";
import { blocksOf } from "../support/papers.ts";

const root = join(import.meta.dir, "../..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly version: string;
  readonly bin?: Readonly<Record<string, string>>;
  readonly engines: { readonly bun: string };
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};
const path = useFolder();
/** What users of an older compiler have: the lowest is 5.2, tried by hand. */
const OLDER_TYPESCRIPT = "typescript@5.9.3";

let project = "";
/** What is in the tarball: each file's text by its path. */
const packed = new Map<string, string>();

function run(command: readonly string[], cwd: string): { status: number; output: string; errors: string } {
  const PATH = [dirname(process.execPath), process.env["PATH"]].join(delimiter);
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], { cwd, env: { ...process.env, PATH } });
  return { status: exitCode, output: stdout.toString(), errors: stderr.toString() };
}

function bun(...args: readonly string[]): { status: number; output: string; errors: string } {
  return run([process.execPath, ...args], project);
}

/** The README's line that installs a clone, which is beside the folder where it is run. */
const INSTALL_LINE = blocksOf("README.md").find(({ text }) => text.includes("bun pm pack"))?.text ?? "exit 1";
/** What a fresh clone does not have. */
const NOT_CLONED = [".git", "node_modules", "types", "dist", "api"];

beforeAll(async () => {
  const clone = path("cellar");
  cpSync(root, clone, { recursive: true, filter: (name) => !NOT_CLONED.some((one) => name === join(root, one)) });
  project = path("project");
  mkdirSync(project);
  expect(run(["bash", "-c", INSTALL_LINE], project)).toMatchObject({ status: 0 });
  for (const [name, file] of await new Bun.Archive(await Bun.file(join(clone, "cellar.tgz")).bytes()).files()) {
    packed.set(name.replace(/^package\//, ""), await file.text());
  }
  expect(bun("add", "--dev", `@types/bun@${manifest.devDependencies["bun-types"]}`)).toMatchObject({ status: 0 });
});

/** The files of a folder of the repository, as the tarball names them. */
function filesIn(folder: string): string[] {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ name, parentPath }) => join(parentPath, name).slice(root.length + 1));
}

describe("the tarball", () => {
  test("holds the bundles, the sources, their declarations, the papers, the examples, and nothing else", () => {
    const names = [...packed.keys()];
    const papers = ["CHANGELOG.md", "LICENSE", "README.md", "package.json"];
    const expected = [...papers, ...filesIn("src"), ...filesIn("docs"), ...filesIn("examples")];
    expect(names.filter((name) => !/^(types|dist)\//.test(name)).sort()).toEqual(expected.sort());
  });

  test("has a bundle for each entry and one for the command, with source maps, and what the entries share", () => {
    const names = [...packed.keys()].filter((name) => name.startsWith("dist/"));
    const own = ["cli/main.js", "index.js", "replicate/index.js"].flatMap((name) => [name, `${name}.map`]);
    const shared = /^dist\/shared-\w+\.js(\.map)?$/;
    expect(names.filter((name) => !shared.test(name)).sort()).toEqual(own.map((name) => `dist/${name}`).sort());
    expect(names.filter((name) => shared.test(name)).length).toBeGreaterThan(0);
    for (const name of names.filter((one) => one.endsWith(".js"))) {
      expect(packed.get(name)).toContain(`//# sourceMappingURL=${name.split("/").at(-1)}.map`);
      expect(packed.get(`${name}.map`)).toContain('"sources"');
    }
  });

  test("has declarations for the entries and for what declarations refer to, and no other", () => {
    const reached = new Set<string>();
    const visit = (name: string): void => {
      const text = packed.get(name);
      if (text === undefined) throw new Error(`${name} is not in the tarball`);
      if (reached.has(name)) return;
      reached.add(name);
      for (const [, from = ""] of text.matchAll(/from "([^"]+)"/g)) {
        visit(join(name, "..", from).replace(/\.ts$/, ".d.ts"));
      }
    };
    for (const entry of ENTRIES) visit(join("types", entry));
    expect([...reached].sort()).toEqual([...packed.keys()].filter((name) => name.startsWith("types/")).sort());
  });

  test("runs nothing when it is installed", () => {
    const scripts = Object.keys(manifest.scripts);
    expect(scripts.filter((name) => /^(pre|post)?install$|^(pre|post)?prepare$/.test(name))).toEqual([]);
    expect(scripts).toContain("prepack");
  });
});

/** What a strict user writes. The last line sees to it that the types are there at all. */
const CONSUMER = `
import { check, type Finding, makeWriterKey, recover, type Recovery, type RecoveryReport, Storage, StorageError } from "cellar";
import { StorageReader, type StorageState, StorageWriter } from "cellar";
import { follow, openStore, prune, type ReplicaState, replicate, restore, states, verify } from "cellar/replicate";
const writer: StorageWriter = StorageWriter.openOrCreate("typed.cellar", { writerKey: makeWriterKey() });
const index: number = writer.write(Uint8Array.of(1));
const state: StorageState = writer.flushSync();
export const recovery: Recovery["state"] = writer.recovery.state;
export const reader: Storage = StorageReader.open("typed.cellar", { follow: "commits" });
export const bytes: Uint8Array = reader.read(state.root ?? index);
export const bodies: readonly Response[] = [new Response(reader.read(index)), new Response(reader.stream(index))];
export const digest: Promise<ArrayBuffer> = crypto.subtle.digest("SHA-256", reader.cell(index));
export const findings: readonly Finding[] = check("typed.cellar", [index, "root"]);
export const report: RecoveryReport = recover("typed.cellar", { apply: false, keep: undefined });
export async function tailOf(path: string, signal?: AbortSignal, bytesPerCell?: number): Promise<void> {
  using made = StorageWriter.create(path, { bytesPerCell });
  await using states = StorageReader.open(made.path).watch({ signal });
  for await (const { length } of states) console.log(length);
}
export async function beyond(path: string, target: string): Promise<void> {
  await using replicator = replicate(path, openStore(target, { region: "eu-central-1" }), { intervalMs: 100 });
  for await (const { sequence, root } of replicator) console.log(sequence, root);
  const state: ReplicaState = await restore(target, path, { at: new Date() });
  for await (const { time } of states(target, { from: state.sequence })) console.log(time.getTime());
  for await (const { length } of follow(target, path, { once: true })) console.log(length);
  for await (const { level, message } of verify(target, { against: path })) console.log(level, message);
  console.log((await prune(target, { before: new Date() })).blocks);
}
export const codeOf = (error: unknown): string => (error instanceof StorageError ? error.code : "none");
// @ts-expect-error a path is no number
StorageWriter.open(1);
`;

describe("a strict user's types hold", () => {
  const withBun = { lib: ["ESNext"], types: ["bun"] };
  const withDom = { lib: ["ES2022", "DOM"], types: [] };
  test.each([
    ["with Bun's types", TYPESCRIPT, { ...withBun, module: "preserve", skipLibCheck: true }],
    ["with Bun's types, all checked", TYPESCRIPT, { ...withBun, module: "preserve", skipLibCheck: false }],
    ["without Bun's types, all checked", TYPESCRIPT, { ...withDom, module: "preserve", skipLibCheck: false }],
    [
      "with an older compiler and Node's resolution",
      OLDER_TYPESCRIPT,
      { ...withDom, module: "nodenext", skipLibCheck: false },
    ],
  ])("%s", (_what, compiler, options) => {
    const strict = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noEmit: true };
    const compilerOptions = { target: "es2022", ...strict, ...options };
    writeFileSync(join(project, "consumer.ts"), CONSUMER);
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["consumer.ts"] }));
    expect(bun("x", "-p", compiler, "tsc", "-p", ".")).toMatchObject({ status: 0, output: "" });
  });
});

describe("installed", () => {
  test("it is what was packed, and its one dependency beside it", () => {
    const folder = join(project, "node_modules/cellar");
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const names = entries.map(({ name, parentPath }) => relative(folder, join(parentPath, name)));
    // Bun marks what it has installed.
    expect(names.filter((name) => name !== ".bun-tag").sort()).toEqual([...packed.keys()].sort());
    const { dependencies } = JSON.parse(readFileSync(join(project, "package.json"), "utf8")) as typeof manifest;
    expect(Object.keys(dependencies)).toEqual(["cellar"]);
    expect(readdirSync(join(project, "node_modules")).filter((name) => !name.startsWith("."))).toEqual(
      expect.arrayContaining(["@noble", "cellar"]),
    );
  });

  test("both entries have one class of errors", () => {
    const program = `
      import { StorageError } from "cellar";
      import { restore } from "cellar/replicate";
      try { await restore("./nothing-here", "made.cellar"); } catch (error) { console.log(error instanceof StorageError); }`;
    expect(bun("-e", program)).toEqual({ status: 0, output: "true\n", errors: "" });
  });

  test("the README's first example runs", () => {
    const [, program = ""] = /```ts\n([\s\S]*?)```/.exec(packed.get("README.md") ?? "") ?? [];
    writeFileSync(join(project, "first.ts"), program);
    expect(bun("first.ts")).toEqual({ status: 0, output: "hello, cellar\n", errors: "" });
  });

  test.each(Object.entries(manifest.bin ?? {}))("the command %s runs", (command, file) => {
    expect(packed.get(file.replace(/^\.\//, ""))).toStartWith("#!/usr/bin/env bun\n");
    const create = `import { StorageWriter } from "cellar"; StorageWriter.create("command.cellar").close();`;
    expect(bun("-e", create)).toMatchObject({ status: 0 });
    expect(bun("x", command, "info", "command.cellar")).toMatchObject({ status: 0, errors: "" });
  });

  const { met, fails, note } = requires("node");
  test.skipIf(!met && !fails)(`on Node, import and require say in one line that it needs Bun${note}`, () => {
    writeFileSync(join(project, "import.js"), `import { ${Object.keys(cellar).join(", ")} } from "cellar";`);
    writeFileSync(join(project, "require.cjs"), `require("cellar");`);
    for (const program of ["import.js", "require.cjs"]) {
      const { status, errors } = run(["node", program], project);
      const said = errors.split("\n").filter((line) => line.startsWith("Error: ") || line.includes("SyntaxError"));
      expect({ status, said }).toEqual({ status: 1, said: [expect.stringMatching(/^Error: cellar needs Bun /)] });
    }
  });
});

test("all that public signatures name is in the reference that is made of their comments", () => {
  // Warnings count as errors: see typedoc.json.
  expect(run([process.execPath, "run", "api", "--emit", "none"], root)).toMatchObject({ status: 0, output: "" });
});

describe("the oldest Bun", () => {
  const oldest = manifest.engines.bun.replace(">=", "");
  const open = (version: string): string => `
    const order = Bun.semver.order;
    Bun.semver.order = (_ours, oldest) => order("${version}", oldest);
    const { StorageWriter } = await import("cellar");
    try { StorageWriter.inMemory().close(); console.log("opened"); } catch (error) { console.log(error.code); }`;

  test("is one that is told in package.json, and opens", () => {
    expect(oldest).toMatch(/^\d+\.\d+\.\d+$/);
    expect(bun("-e", open(oldest))).toEqual({ status: 0, output: "opened\n", errors: "" });
  });

  test.each(["1.3.14", "1.3.99", "0.9.0"])("%s is refused at the first open", (version) => {
    expect(bun("-e", open(version))).toEqual({ status: 0, output: "UNSUPPORTED\n", errors: "" });
  });

  test("is named by the README and by what Node is told", () => {
    for (const file of ["README.md", "src/needs-bun.cjs"]) expect(packed.get(file)).toContain(`Bun ${oldest} or newer`);
  });
});
