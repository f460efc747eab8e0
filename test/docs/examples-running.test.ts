/** The examples that go on until they are ended, as their users run them. */

import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { StorageReader } from "../../src/index.ts";
import { examples, run, Running } from "../support/example.ts";
import { useFolder } from "../support/folder.ts";

const path = useFolder();

describe("event-log.ts", () => {
  const textOf = (line: string): string => line.replace(/^\[\d+\] \S+ /, "");

  test("three tails print every event, in order", () => {
    const { status, output, errors } = run("event-log.ts");
    expect({ status, errors }).toEqual({ status: 0, errors: "" });
    const byTail = Map.groupBy(output.trimEnd().split("\n"), (line) => /^\[\d+\]/.exec(line)?.[0]);
    const events = [
      "#1 the cellar is opened",
      "#2 a cask comes in",
      "#3 a bottle goes out",
      "#4 the light is switched off",
    ];
    expect([...byTail.values()].map((lines) => lines.map(textOf))).toEqual([events, events, events]);
  });

  test("tails show what was there, then what comes, whoever writes; and end when they are told", async () => {
    const file = path();
    expect(run("event-log.ts", file, "append", "one", "two")).toEqual({ status: 0, output: "", errors: "" });
    await using tail = new Running("event-log.ts", file, "tail");
    expect([await tail.line(), await tail.line()].map(textOf)).toEqual(["#1 one", "#2 two"]);
    {
      await using appender = new Running("event-log.ts", file, "append");
      for (const [i, text] of ["three", "four", "five"].entries()) {
        appender.type(text);
        expect(textOf(await tail.line())).toBe(`#${i + 3} ${text}`);
      }
    } // Killed: its lock is free, what it committed is there.
    expect(run("event-log.ts", file, "append", "six")).toMatchObject({ status: 0, errors: "" });
    expect(textOf(await tail.line())).toBe("#6 six");
    expect(await tail.end()).toBe(0);
    expect(run("event-log.ts", file, "tail", "2").output.trimEnd().split("\n").map(textOf)).toEqual([
      "#1 one",
      "#2 two",
    ]);
    expect(run("event-log.ts", path(), "tail")).toMatchObject({
      status: 1,
      errors: expect.stringMatching(/^event-log: .+\n$/),
    });
  });

  test("each line of the input is an event, an empty one too, and nothing after the last", () => {
    for (const [input, texts] of [
      ["a\n\nb\n", ["#1 a", "#2", "#3 b"]],
      ["a\nb", ["#1 a", "#2 b"]],
      ["", []],
    ] as const) {
      const file = path();
      const command = [process.execPath, join(examples, "event-log.ts"), file];
      expect(Bun.spawnSync([...command, "append"], { stdin: Buffer.from(input) }).exitCode).toBe(0);
      using reader = StorageReader.open(file);
      expect(reader.root === null).toBe(texts.length === 0);
      if (texts.length === 0) continue;
      const { stdout } = Bun.spawnSync([...command, "tail", String(texts.length)]);
      const shown = stdout
        .toString()
        .trimEnd()
        .split("\n")
        .map((line) => textOf(line).trimEnd());
      expect(shown).toEqual([...texts]);
      const last = JSON.parse(new TextDecoder().decode(reader.read(reader.root ?? 0))) as { number: number };
      expect(last.number).toBe(texts.length);
    }
  });

  test("Ctrl-C in the demonstration leaves no folder", async () => {
    const folder = path("demonstration");
    mkdirSync(folder);
    const child = Bun.spawn([process.execPath, join(examples, "event-log.ts")], {
      env: { ...process.env, TMPDIR: folder },
      stdio: ["ignore", "pipe", "inherit"],
    });
    // The first event is shown: the folder is there.
    await child.stdout.getReader().read();
    expect(readdirSync(folder)).toHaveLength(1);
    child.kill("SIGINT");
    expect(await child.exited).toBe(0);
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a count that is none, and an option, are answered with the usage", () => {
    const file = path();
    run("event-log.ts", file, "append", "one");
    const usage = { status: 1, output: "", errors: expect.stringMatching(/^event-log: usage: .+\n$/) };
    for (const count of ["abc", "0", "-1", "1.5"]) expect(run("event-log.ts", file, "tail", count)).toEqual(usage);
    expect(run("event-log.ts", "--help")).toEqual(usage);
  });
});

describe("http-server.ts", () => {
  const content = new Uint8Array(300_000).map((_, i) => (i * i) >> 4);

  async function start(file: string): Promise<Readonly<{ server: Running; url: string }>> {
    const server = new Running("http-server.ts", file, "0");
    return { server, url: /^(\S+): /.exec(await server.line())?.[1] ?? "" };
  }

  test("gives back what was put, also after a restart", async () => {
    const file = path();
    const { server, url } = await start(file);
    await using _first = server;
    const put = (name: string, body: string | Uint8Array, type = "text/plain"): Promise<Response> =>
      fetch(url + name, { method: "PUT", body, headers: { "Content-Type": type } });
    const names = ["a", "b c", "ü/empty"];
    const bodies = [content, content.slice(1), new Uint8Array()];
    const created = await Promise.all(names.map((name, i) => put(name, bodies[i] ?? "")));
    expect(created.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(new Set(created.map(({ headers }) => headers.get("ETag"))).size).toBe(3);
    await put("b c", "changed");
    const expected = [content, new TextEncoder().encode("changed"), new Uint8Array()];
    const got = async (base: string): Promise<Uint8Array[]> =>
      Promise.all(names.map(async (name) => (await fetch(base + encodeURIComponent(name))).bytes()));
    expect(await got(url)).toEqual(expected);
    expect(await server.end()).toBe(0);
    const { server: again, url: next } = await start(file);
    await using _second = again;
    expect(await got(next)).toEqual(expected);
    expect(await again.end()).toBe(0);
  });

  test("answers HEAD, ranges and known ETags as RFC 9110 wants, and says what is missing", async () => {
    const { server, url } = await start(path());
    await using _server = server;
    await fetch(`${url}film`, { method: "PUT", body: content, headers: { "Content-Type": "video/mp4" } });
    const ask = (headers: Record<string, string>, method = "GET"): Promise<Response> =>
      fetch(`${url}film`, { method, headers });

    const head = await ask({}, "HEAD");
    expect(Object.fromEntries(head.headers)).toMatchObject({ "content-length": "300000", "content-type": "video/mp4" });
    const ranges: Readonly<Record<string, readonly [from: number, to: number]>> = {
      "bytes=0-0": [0, 1],
      "bytes=65530-131080": [65_530, 131_081],
      "bytes=65535-": [65_535, 300_000],
      "bytes=-7": [299_993, 300_000],
      "bytes=299999-400000": [299_999, 300_000],
    };
    for (const [range, [from, to]] of Object.entries(ranges)) {
      const response = await ask({ Range: range });
      expect(response.status).toBe(206);
      expect(response.headers.get("Content-Range")).toBe(`bytes ${from}-${to - 1}/300000`);
      expect(Buffer.compare(await response.bytes(), content.subarray(from, to))).toBe(0);
    }
    for (const range of ["bytes=300000-", "bytes=-0"]) expect((await ask({ Range: range })).status).toBe(416);
    for (const range of ["bytes=0-1,4-5", "lines=1-2", "bytes=-"])
      expect((await ask({ Range: range })).status).toBe(200);
    expect((await ask({ "If-None-Match": head.headers.get("ETag") ?? "" })).status).toBe(304);
    expect((await ask({}, "DELETE")).status).toBe(405);
    expect((await fetch(`${url}nothing`)).status).toBe(404);
    for (const method of ["GET", "PUT"]) expect((await fetch(`${url}%zz`, { method })).status).toBe(400);
    expect(await server.end()).toBe(0);
  });

  test("says in one line that the port is in use, and makes no file; or that the file is locked", async () => {
    const [file, other] = [path(), path()];
    const { server, url } = await start(file);
    await using _server = server;
    const line = expect.stringMatching(/^http-server: .+\n$/);
    expect(run("http-server.ts", other, new URL(url).port)).toEqual({ status: 1, output: "", errors: line });
    expect(existsSync(other)).toBe(false);
    expect(run("http-server.ts", file, "0")).toEqual({ status: 1, output: "", errors: line });
  });

  test.each(["--help", "-x", "FILE port", "FILE -1"])("answers %s with its usage, and makes no file", (words) => {
    const args = words.split(" ").map((word) => (word === "FILE" ? path() : word));
    const usage = { status: 1, output: "", errors: expect.stringMatching(/^usage: .+\n$/) };
    expect(run("http-server.ts", ...args)).toEqual(usage);
    expect(args.filter((word) => existsSync(word))).toEqual([]);
  });
});
