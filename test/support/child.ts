/**
 * Child processes that talk in lines of JSON: the parent sends commands, the child answers, and what must be true
 * is kept by the parent. The child's side is `serve`, in the same file so that both ends are read together.
 */

import { createInterface } from "node:readline";
import { patienceMs } from "./emulated.ts";

export type Message = Record<string, unknown>;

/** How long an answer may take before the child counts as hung. Not a wait: the answer ends it. */
const ANSWER_TIMEOUT_MS = patienceMs(30_000);

export class Child implements AsyncDisposable {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;

  /** Starts `bun FILE ARGS…`. */
  constructor(file: string, args: readonly string[] = [], env: Record<string, string> = {}) {
    this.#process = Bun.spawn([process.execPath, file, ...args], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      env: { ...process.env, ...env },
    });
    this.#lines = linesOf(this.#process.stdout);
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Sends a command and waits for its answer. */
  async ask(command: Message): Promise<Message> {
    this.#process.stdin.write(`${JSON.stringify(command)}\n`);
    await this.#process.stdin.flush();
    return this.next();
  }

  /** The next line that the child prints; rejects if it ends or hangs. */
  async next(): Promise<Message> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`child ${this.pid}: no answer`)), ANSWER_TIMEOUT_MS);
    });
    try {
      const line = await Promise.race([this.#lines.next(), timeout]);
      if (line.done) throw new Error(`child ${this.pid} ended: ${JSON.stringify(await this.exit())}`);
      return JSON.parse(line.value) as Message;
    } finally {
      clearTimeout(timer);
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** Waits for the end: its exit code, or the signal that ended it. */
  async exit(): Promise<{ readonly code: number | null; readonly signal: string | null }> {
    await this.#process.exited;
    return {
      code: this.#process.exitCode,
      signal: this.#process.signalCode === null ? null : String(this.#process.signalCode),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}

/** The child's side: answers each command, an error by its code and message. Ends when the parent closes stdin. */
export async function serve(answer: (command: Message) => Message | Promise<Message>): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    let reply: Message;
    try {
      reply = await answer(JSON.parse(line) as Message);
    } catch (error) {
      reply = { error: (error as { code?: string }).code ?? String(error), message: String(error) };
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
}

/** The lines of what a process says, as they come. */
export async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of stream) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
