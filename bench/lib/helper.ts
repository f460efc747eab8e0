/** Further processes of a contestant, such as a reader or a client: a line is asked, a line is answered. */

import { join } from "node:path";

/** A script of bench/rows/ in a process of its own, which ends with its parent: its input is a pipe. */
export class Helper {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;

  constructor(script: string, ...args: readonly string[]) {
    this.#child = Bun.spawn([process.execPath, join(import.meta.dir, "..", "rows", script), ...args], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    this.#lines = linesOf(this.#child.stdout);
  }

  tell(line: string): void {
    this.#child.stdin.write(`${line}\n`);
    void this.#child.stdin.flush();
  }

  /** @throws Error the process has ended */
  async answer(): Promise<string> {
    const { done, value } = await this.#lines.next();
    if (done) throw new Error(`a helper has ended: exit code ${await this.#child.exited}`);
    return value;
  }

  ask(line: string): Promise<string> {
    this.tell(line);
    return this.answer();
  }

  async close(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

/** Counts for at most so long: if its parent is killed, nothing else ends it. */
const BUSY_PROGRAM = "for (let i = 0; i % 1e6 !== 0 || performance.now() < 10_000; i++);";

/** Runs `work` beside a process that takes as much of a processor as it gets. */
export async function besideBusyProcess<T>(work: () => Promise<T>): Promise<T> {
  const busy = Bun.spawn([process.execPath, "-e", BUSY_PROGRAM]);
  try {
    return await work();
  } finally {
    busy.kill("SIGKILL");
    await busy.exited;
  }
}

/** The helper's end: answers line by line until its input ends. */
export async function answerLines(answer: (line: string) => string | Promise<string>): Promise<void> {
  process.stdout.write("ready\n");
  for await (const line of linesOf(Bun.stdin.stream())) process.stdout.write(`${await answer(line)}\n`);
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of stream) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
