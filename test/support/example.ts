/** The examples as processes: run to their end, or spoken with while they run. */

import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";

export const examples: string = join(import.meta.dir, "../../examples");
/** Far more than any takes: what hangs fails. */
const TIMEOUT_MS = 30_000;

export interface Run {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

/** Runs an example to its end. */
export function run(example: string, ...args: readonly string[]): Run {
  const command = [process.execPath, join(examples, example), ...args];
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { timeout: TIMEOUT_MS });
  return { status: exitCode, output: stdout.toString(), errors: stderr.toString() };
}

/** An example that goes on until it is ended. */
export class Running implements AsyncDisposable {
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;

  constructor(example: string, ...args: readonly string[]) {
    const command = [process.execPath, join(examples, example), ...args];
    this.#process = Bun.spawn(command, { stdio: ["pipe", "pipe", "inherit"], timeout: TIMEOUT_MS });
    this.#lines = createInterface({ input: Readable.from(this.#process.stdout) })[Symbol.asyncIterator]();
  }

  type(line: string): void {
    this.#process.stdin.write(`${line}\n`);
    void this.#process.stdin.flush();
  }

  /** The next line that it prints; an error if it ends. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`ended with ${await this.#process.exited}`);
    return value;
  }

  /** Its status, after it was asked to end. */
  end(): Promise<number> {
    this.#process.kill("SIGTERM");
    return this.#process.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}
