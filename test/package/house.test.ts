/** The rules of the source: which file may import which, what each may do, and what the package exports. */

import { describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { dirname, join, relative } from "node:path";
import * as cellar from "../../src/index.ts";

const root = join(import.meta.dir, "../../src");
const files = fs
  .readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .sort();
const sources = new Map(files.map((name) => [name, fs.readFileSync(join(root, name), "utf8").replace(/^#!.*/, "")]));
const MAX_LINES = 300;

/** For each layer, the layers that its files may import from: its own and those below. */
const below: Readonly<Record<string, readonly string[]>> = {
  format: ["format"],
  os: ["os"],
  region: ["region", "os"],
  state: ["state", "region", "os", "format"],
  cells: ["cells", "state", "region", "os", "format"],
  store: ["store", "cells", "state", "region", "os", "format"],
  offline: ["offline", "store", "cells", "state", "region", "os", "format"],
  top: ["top", "offline", "store", "cells", "state", "region", "os", "format"],
  "replicate/store": ["replicate/store", "os"],
  replicate: ["replicate", "replicate/store", "top", "offline", "store", "cells", "state", "region", "os", "format"],
  cli: ["cli", "replicate", "replicate/store", "top", "offline", "store", "cells", "state", "region", "os", "format"],
};

function layerOf(file: string): string {
  const folder = dirname(file);
  return folder === "." ? "top" : folder;
}

interface Imports {
  /** Files, relative to src/. */
  readonly ours: string[];
  readonly packages: string[];
}

/** The imports of a file, including those of types. */
function importsOf(file: string): Imports {
  const source = sources.get(file) ?? "";
  const statements = source.matchAll(/^(?:import|export)\b[^;"]*?\bfrom\s+"([^"]+)"|^import\s+"([^"]+)"/gm);
  const dynamic = source.matchAll(/\bimport\(\s*"([^"]+)"/g);
  return sorted(
    file,
    [...statements, ...dynamic].map(([, from, bare]) => from ?? bare ?? ""),
  );
}

function sorted(file: string, specifiers: readonly string[]): Imports {
  const ours = specifiers
    .filter((name) => name.startsWith("."))
    .map((name) => relative(root, join(root, dirname(file), name)));
  return {
    // The command prints the package's version.
    ours: ours.filter((name) => file !== "cli/main.ts" || name !== "../package.json"),
    packages: specifiers.filter((name) => !name.startsWith(".")),
  };
}

/** The lines of all files that match, without comments, as `file:line`. */
function linesWith(pattern: RegExp, exempt: (file: string) => boolean = () => false): string[] {
  return files.flatMap((file) => {
    if (exempt(file)) return [];
    const lines = (sources.get(file) ?? "").split("\n");
    return lines.flatMap((line, i) =>
      pattern.test(line) && !/^\s*(\*|\/\/|\/\*)/.test(line) ? [`${file}:${i + 1}`] : [],
    );
  });
}

const inCli = (file: string): boolean => layerOf(file) === "cli";

describe("imports", () => {
  test("are all found: as many as the transpiler finds", () => {
    const transpiler = new Bun.Transpiler({ loader: "ts" });
    for (const file of files) {
      const found = transpiler.scanImports(sources.get(file) ?? "").map(({ path }) => path);
      const { ours, packages } = sorted(file, found);
      expect(importsOf(file).ours).toEqual(expect.arrayContaining(ours));
      expect(importsOf(file).packages).toEqual(expect.arrayContaining(packages));
    }
    expect(files.flatMap((file) => importsOf(file).ours).length).toBeGreaterThan(files.length);
  });

  test("of files name existing files, with their extension", () => {
    expect(files.flatMap((file) => importsOf(file).ours).filter((name) => !sources.has(name))).toEqual([]);
  });

  test.each(files)("of %s come from its own layer or below", (file) => {
    const allowed = below[layerOf(file)];
    if (allowed === undefined) throw new Error(`${file}: add the layer of its folder to this test`);
    const wrong = importsOf(file).ours.filter((name) => name !== "error.ts" && !allowed.includes(layerOf(name)));
    expect(wrong).toEqual([]);
  });

  test("lead from index.ts to all files except replication and the command, which no lower layer imports", () => {
    const reached = new Set<string>();
    const follow = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const name of importsOf(file).ours) follow(name);
    };
    follow("index.ts");
    expect([...reached].filter((file) => inCli(file) || file.startsWith("replicate/"))).toEqual([]);
    follow("replicate/index.ts");
    expect([...reached].filter(inCli)).toEqual([]);
    follow("cli/main.ts");
    expect([...reached].sort()).toEqual(files);
  });

  test("of error.ts: none, so that every layer may import it", () => {
    expect(importsOf("error.ts")).toEqual({ ours: [], packages: [] });
  });

  test("of bun:ffi are made by one file", () => {
    expect(files.filter((file) => importsOf(file).packages.includes("bun:ffi"))).toEqual(["os/libc.ts"]);
  });

  test("of packages: what package.json lists, Node's and Bun's own", () => {
    const manifest = JSON.parse(fs.readFileSync(join(root, "../package.json"), "utf8")) as { dependencies: object };
    const known = Object.keys(manifest.dependencies);
    const packages = files.flatMap((file) => importsOf(file).packages);
    const foreign = packages.filter((name) => !/^(node|bun):/.test(name));
    expect(foreign.filter((name) => !known.some((one) => name === one || name.startsWith(`${one}/`)))).toEqual([]);
  });

  test("make no cycle", () => {
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file))
        throw new Error(`import cycle: ${[...path.slice(path.indexOf(file)), file].join(" → ")}`);
      if (done.has(file)) return;
      for (const name of importsOf(file).ours) visit(name, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect([...done].sort()).toEqual(files);
  });
});

describe("files", () => {
  test(`have at most ${MAX_LINES} lines`, () => {
    const lengths = files.map((file) => ({ file, lines: (sources.get(file) ?? "").split("\n").length - 1 }));
    expect(lengths.filter(({ lines }) => lines > MAX_LINES)).toEqual([]);
  });

  test("print and set the exit status in cli/ only", () => {
    expect(linesWith(/\bconsole\s*\.|\bprocess\s*\.\s*(exit|exitCode|stdout|stderr)\b/, inCli)).toEqual([]);
  });

  test("of cli/ print through one of them, set the status in another, and never exit before all is printed", () => {
    const filesWith = (pattern: RegExp): string[] => [
      ...new Set(linesWith(pattern).map((line) => line.split(":")[0] ?? "")),
    ];
    expect(filesWith(/\bprocess\s*\.\s*(stdout|stderr)\b/)).toEqual(["cli/output.ts"]);
    expect(filesWith(/\bprocess\s*\.\s*exitCode\b/)).toEqual(["cli/main.ts"]);
    expect(filesWith(/\bconsole\s*\.|\bprocess\s*\.\s*exit\b/)).toEqual([]);
  });

  test("have no export of everything and no empty catch", () => {
    expect(linesWith(/^export \*/)).toEqual([]);
    expect(files.filter((file) => /catch\s*(\([^)]*\)\s*)?\{\s*\}/.test(sources.get(file) ?? ""))).toEqual([]);
  });
});

describe("index.ts", () => {
  const source = sources.get("index.ts") ?? "";
  const statements = [...source.matchAll(/^export (type )?\{([^}]*)\} from "[^"]+";$/gm)];
  const names = statements.flatMap(([, allTypes, list = ""]) => {
    const entries = list
      .split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== "");
    return entries.map((entry) => (allTypes === undefined ? entry : `type ${entry}`));
  });

  test("is a list of exports and nothing else", () => {
    const code = source.replace(/\/\*\*[\s\S]*?\*\//g, "").replace(/^export (type )?\{[^}]*\} from "[^"]+";$/gm, "");
    expect(code.trim()).toBe("");
  });

  test("exports these names", () => {
    expect(names.sort()).toEqual([
      "Storage",
      "StorageError",
      "StorageReader",
      "StorageWriter",
      "check",
      "makeWriterKey",
      "nullStorage",
      "recover",
      "type ByteSource",
      "type CopyOptions",
      "type CopyProgress",
      "type CreateOptions",
      "type ErrorCode",
      "type ErrorDetails",
      "type Finding",
      "type FlushStats",
      "type Follows",
      "type OpenReaderOptions",
      "type OpenWriterOptions",
      "type PartOptions",
      "type ReaderStats",
      "type RecoverOptions",
      "type Recovery",
      "type RecoveryReport",
      "type StorageConfig",
      "type StorageState",
      "type StorageStats",
      "type WatchOptions",
      "type WriteOptions",
      "type WriteStreamOptions",
      "type WriterStats",
    ]);
    expect(Object.keys(cellar).sort()).toEqual(names.filter((name) => !name.startsWith("type ")));
  });
});
