/** `cellar copy` at a terminal, and when it is told to stop. */

import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readlinkSync, realpathSync } from "node:fs";
import { dirname } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { CLI, cellarInTerminal, plainEnvironment } from "../support/cli.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ inMemory: true });
/** So large that its copy is seen on its way, on a fast machine too. */
const LARGE_BYTES = 256 * 1024 * 1024;
const CELL_BYTES = 4096;
const PRESSES = 100;
const ROUNDS = 4;

function large(): string {
  const path = file();
  using writer = StorageWriter.create(path, { bytesPerCell: CELL_BYTES });
  writer.allocate(LARGE_BYTES / CELL_BYTES);
  return path;
}

describe("at a terminal", () => {
  const path = large;

  test("what it says in the end has a line of its own", async () => {
    const [from, to] = [path(), file()];
    const { status, lines } = await cellarInTerminal(["copy", from, to], 80);
    expect({ status, lines }).toEqual({ status: 0, lines: [`${to}: length 65537, root none, 256.0 MiB`] });
    const other = file();
    const { lines: json } = await cellarInTerminal(["copy", from, other, "--json"], 80);
    expect(json.map((line) => JSON.parse(line) as object)).toMatchObject([{ to: other, length: 65537 }]);
  });

  // A line as wide as the terminal would be left behind by the next.
  test.each([40, 20])("of %d columns, its progress is narrower", async (width) => {
    const { status, drawn } = await cellarInTerminal(["copy", path(), file()], width);
    expect(status).toBe(0);
    expect(drawn.filter((line) => /^[█░]/.test(line) && Bun.stringWidth(line) >= width)).toEqual([]);
  });
});

/** `cellar copy` as it runs. */
class Copying implements AsyncDisposable {
  readonly #folder: string;
  readonly #process: Bun.Subprocess<"ignore", "pipe", "pipe">;

  /** @param before words that the command stands behind, as `nohup` */
  constructor(from: string, to: string, before: readonly string[] = []) {
    this.#folder = dirname(to);
    this.#process = Bun.spawn([...before, process.execPath, CLI, "copy", from, to, "--json"], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: plainEnvironment(),
    });
  }

  /** Returns when the copy has begun: its file is open, with a name of its own or with none. */
  async begun(): Promise<void> {
    while (this.left().length === 0 && !this.#hasUnnamedFile()) {
      if (this.#process.exitCode !== null) throw new Error(`ended: ${await this.#process.stderr.text()}`);
      await Bun.sleep(1);
    }
  }

  /** Sends the signals at once, as far as a process can tell: all of them are there when it goes on. */
  signal(...names: readonly NodeJS.Signals[]): void {
    for (const name of ["SIGSTOP", ...names, "SIGCONT"] as const) this.#process.kill(name);
  }

  /** Presses Ctrl-C until it has ended, so fast that one comes while the one before is answered. */
  async interrupt(): Promise<void> {
    while (this.#process.exitCode === null && this.#process.signalCode === null) {
      for (let time = 0; time < PRESSES; time++) this.signal("SIGINT");
      await Bun.sleep(1);
    }
  }

  async end(): Promise<{ readonly status: number; readonly stdout: string; readonly stderr: string }> {
    const { stdout, stderr, exited } = this.#process;
    return { status: await exited, stdout: await stdout.text(), stderr: await stderr.text() };
  }

  /** What a copy leaves beside its place. */
  left(): string[] {
    return readdirSync(this.#folder).filter((name) => name.startsWith(`.cellar-${this.#process.pid}-`));
  }

  #hasUnnamedFile(): boolean {
    const descriptors = `/proc/${this.#process.pid}/fd`;
    const unnamed = `${realpathSync(this.#folder)}/#`;
    try {
      return readdirSync(descriptors).some((fd) => readlinkSync(`${descriptors}/${fd}`).startsWith(unnamed));
    } catch {
      // No /proc, or a descriptor that was closed meanwhile.
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}

describe("leaves nothing when it is ended by", () => {
  const cases: readonly (readonly NodeJS.Signals[])[] = [
    ["SIGINT"],
    ["SIGTERM"],
    ["SIGHUP"],
    ["SIGINT", "SIGTERM", "SIGHUP"],
  ];

  test.each(cases.map((signals) => ({ signals })))("$signals", async ({ signals }) => {
    const to = file();
    await using copying = new Copying(large(), to);
    await copying.begun();
    copying.signal(...signals);
    const { status, stdout, stderr } = await copying.end();
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: "CANCELLED" } });
    expect({ left: copying.left(), made: existsSync(to) }).toEqual({ left: [], made: false });
  });

  // Several times: it is a matter of moments which Ctrl-C it meets where.
  test("Ctrl-C again and again", async () => {
    const from = large();
    for (let round = 0; round < ROUNDS; round++) {
      const to = file();
      await using copying = new Copying(from, to);
      await copying.begun();
      await copying.interrupt();
      expect({ left: copying.left(), made: existsSync(to) }).toEqual({ left: [], made: false });
    }
  });
});

test("copy goes on after SIGHUP where nohup(1) wants it", async () => {
  const to = file();
  await using copying = new Copying(large(), to, ["nohup"]);
  await copying.begun();
  copying.signal("SIGHUP");
  const { status, stdout } = await copying.end();
  expect({ status, stdout: JSON.parse(stdout) as object }).toMatchObject({ status: 0, stdout: { to } });
});
