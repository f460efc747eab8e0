/**
 * The declarations of src/os/libc.ts, against the C library: each symbol has a test that sees its effect and one that
 * sees its errno, with arguments that do not fit 32 bits where the prototype has 64. The tests are in test/os/abi/.
 */

import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { constants } from "node:os";
import * as flags from "../../src/os/constants.ts";
import { libc } from "../../src/os/libc.ts";
import { covered, of } from "./abi/coverage.ts";
import { fileTests } from "./abi/files.ts";
import { lockTests } from "./abi/locks.ts";
import { mappingTests } from "./abi/mappings.ts";
import { memoryTests } from "./abi/memory.ts";
import { FLOCK_LAYOUT } from "./abi/native.ts";
import { useFolder } from "../support/folder.ts";

const { EBADF, EINVAL } = constants.errno;
const fresh = useFolder({ spoiled: true });
const compiler = Bun.which("cc");
/** They return nothing, and a wrong address ends the process: there is no errno to see. */
const withoutErrno: readonly string[] = ["memcpy", "errno"];

describe("mappings", () => mappingTests(fresh));
describe("memory", () => memoryTests());
describe("files and limits", () => fileTests(fresh));
describe("locks", () => lockTests(fresh));

describe("errno", () => {
  of("errno", "effect", "is that of the latest failed call, whatever succeeded since", () => {
    for (let round = 0; round < 1000; round++) {
      libc().ftruncate(-1, 1);
      const first = libc().errno();
      libc().sysconf(-1);
      const second = libc().errno();
      libc().sysconf(flags.SC_PAGESIZE);
      expect([first, second, libc().errno()]).toEqual([EBADF, EINVAL, EINVAL]);
    }
  });

  of("errno", "effect", "outlives a forced garbage collection", () => {
    for (let round = 0; round < 20; round++) {
      libc().lockf(-1, flags.F_TLOCK, 1);
      Bun.gc(true);
      expect(libc().errno()).toBe(EBADF);
    }
  });

  of("errno", "effect", "is the thread's own, while calls of a Worker fail", async () => {
    const worker = new Worker(new URL("./abi/failing-worker.ts", import.meta.url));
    try {
      const shared = new Int32Array(new SharedArrayBuffer(8));
      const answer = Promise.withResolvers<unknown>();
      worker.onmessage = ({ data }) => answer.resolve(data);
      worker.onerror = (event) => answer.reject(event);
      worker.postMessage(shared);
      let rounds = 0;
      // Until both have gone round often enough beside each other.
      for (; rounds < 1000 || Atomics.load(shared, 0) < 1000; rounds++) {
        libc().sysconf(-1);
        expect(libc().errno()).toBe(EINVAL);
        if (rounds % 1000 === 0) await new Promise(setImmediate);
      }
      Atomics.store(shared, 1, 1);
      expect(await answer.promise).toBe(EBADF);
    } finally {
      worker.terminate();
    }
  });
});

const source = fs.readFileSync(new URL("../../src/os/libc.ts", import.meta.url), "utf8");
const methods = declared("export interface Libc {", /^ {2}(\w+)\(/gm).sort();

/** What the lines of one declaration name. */
function declared(header: string, line: RegExp): string[] {
  const start = source.indexOf(header);
  const body = source.slice(start, source.indexOf("\n}", start));
  return [...body.matchAll(line)].map(([, name]) => name ?? "");
}

describe("the declarations", () => {
  const opened = ["const everywhere = {", "const onLinux = {"].flatMap((table) => declared(table, /^ {2}(\w+): \{/gm));

  test("every method of the interface is opened, and nothing else but the address of errno", () => {
    expect(methods.length).toBeGreaterThan(10);
    const symbols = opened.map((name) => (name === "__errno_location" ? "errno" : name));
    expect(symbols.sort()).toEqual(methods);
    expect(declared("const onMacos = {", /^ {2}(\w+): \{/gm)).toEqual(["__error"]);
  });

  test("every method has a test of its effect, and one of its errno if it can fail", () => {
    expect([...covered.effect].sort()).toEqual(methods);
    expect([...covered.errno].sort()).toEqual(methods.filter((name) => !withoutErrno.includes(name)));
  });
});

describe("the prototypes", () => {
  /** What a C type may be declared as. A pointer that only the library makes up is a number of 64 bits. */
  const declaredAs: Readonly<Record<string, readonly string[]>> = {
    int: ["i32"],
    "unsigned int": ["u32"],
    long: ["i64"],
    ssize_t: ["i64"],
    size_t: ["u64"],
    "unsigned long": ["u64"],
    off_t: ["i64"],
    pointer: ["u64", "i64", "ptr"],
  };
  const prototypes = [...source.matchAll(/`([\w ]+[ *])(\w+)\((.*?)\)`/g)].map(
    ([, returned = "", name = "", list = ""]) => {
      const typeOf = (text: string): string => (text.includes("*") ? "pointer" : text.trim().replace(/ \w+$/, ""));
      return { name, types: list.split(", ").map(typeOf), returned: typeOf(`${returned}x`) };
    },
  );

  test("stand beside every method but errno", () => {
    expect(prototypes.map(({ name }) => name).sort()).toEqual(methods.filter((name) => name !== "errno"));
  });

  test.each(prototypes)("$name is declared as its prototype has it", ({ name, types, returned }) => {
    const [, list = "", answer = ""] =
      new RegExp(`^  ${name}: \\{ args: \\[(.*)\\], returns: (\\w+) \\}`, "m").exec(source) ?? [];
    const declarations = list.split(", ");
    expect(declarations.length).toBe(types.length);
    for (const [i, type] of types.entries()) expect(declaredAs[type]).toContain(declarations[i] ?? "");
    // What memcpy returns is its first argument, which nobody needs.
    if (answer !== "voidType") expect(declaredAs[returned]).toContain(answer);
  });
});

describe("constants", () => {
  const missing = compiler === null ? "no C compiler here" : undefined;
  const why = missing === undefined ? "" : ` (skipped: ${missing})`;

  test.skipIf(missing !== undefined)(`are those of the C headers${why}`, () => {
    const names = Object.keys(flags);
    expect(names.length).toBeGreaterThan(20);
    const lines = printedBy(constantsProgram(names));
    const layout = lines.filter(([name]) => name === "flock").map(([, value]) => value);
    const printed = Object.fromEntries(lines.filter(([name]) => name !== "flock"));
    const here = process.platform === "linux" ? names : names.filter((name) => name in printed);
    expect(printed).toEqual(Object.fromEntries(Object.entries(flags).filter(([name]) => here.includes(name))));
    if (process.platform === "linux") expect(layout).toEqual([...FLOCK_LAYOUT]);
  });
});

/** The lines `NAME VALUE` of a C program. */
function printedBy(program: string): [string, number][] {
  const source = fresh("constants.c");
  const binary = fresh("constants");
  fs.writeFileSync(source, program);
  const compiled = spawnSync(compiler ?? "cc", ["-o", binary, source], { encoding: "utf8" });
  expect(compiled.stderr).toBe("");
  const lines = spawnSync(binary, { encoding: "utf8" }).stdout.trim().split("\n");
  return lines.map((line) => {
    const [name = "", value] = line.split(" ");
    return [name, Number(value)];
  });
}

/** A program that prints every constant of `names` that the headers have, and the layout of `struct flock`. */
function constantsProgram(names: readonly string[]): string {
  const headers = ["stddef", "stdio", "unistd", "fcntl", "sys/file", "sys/mman", "sys/resource", "sys/syscall"];
  const lines = names.map((name) => {
    const macro = name === "SC_PAGESIZE" ? "_SC_PAGESIZE" : name;
    return `#ifdef ${macro}\n  printf("${name} %ld\\n", (long)${macro});\n#endif`;
  });
  const fields = ["l_type", "l_whence", "l_start", "l_len", "l_pid"].map((field) => `offsetof(struct flock, ${field})`);
  return [
    "#define _GNU_SOURCE",
    ...headers.map((header) => `#include <${header}.h>`),
    "#ifdef __linux__\n#include <linux/falloc.h>\n#include <linux/fs.h>\n#include <sys/inotify.h>\n#endif",
    "int main(void) {",
    ...lines,
    ...[...fields, "sizeof(struct flock)"].map((value) => `  printf("flock %ld\\n", (long)${value});`),
    "  return 0;\n}\n",
  ].join("\n");
}
