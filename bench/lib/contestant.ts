/** The parent's end of a contestant's process. */

import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Answer, Request } from "./child.ts";
import type { Findings, Slice } from "./row.ts";

/** The longest that a contestant may take to get ready, for a slice, or to finish. */
const TIMEOUT_MS = 5 * 60 * 1000;

/** A contestant that does not run: it failed, or it needs what this version does not have. */
export class DidNotRun extends Error {
  readonly absent: boolean;

  constructor(message: string, absent: boolean) {
    super(message);
    this.absent = absent;
  }
}

interface Place {
  readonly row: string;
  readonly contestant: string;
  readonly quick: boolean;
  /** Where its folder is made. */
  readonly directory: string;
  /** Ends the process. */
  readonly signal: AbortSignal;
}

/** Starts the process; it is used when `ready` has resolved, and must be closed. */
export class ContestantProcess implements AsyncDisposable {
  readonly #folder: string;
  readonly #child: Bun.Subprocess<"ignore", "inherit", "pipe">;
  #answer = Promise.withResolvers<Answer>();
  readonly #complaint: Promise<string>;
  readonly #signal: AbortSignal;

  constructor({ row, contestant, quick, directory, signal }: Place) {
    this.#signal = signal;
    this.#folder = mkdtempSync(join(directory, "cellar-bench-"));
    const script = join(import.meta.dir, "child.ts");
    this.#child = Bun.spawn([process.execPath, script, row, contestant, quick ? "quick" : "full", this.#folder], {
      stdin: "ignore",
      stdout: "inherit",
      stderr: "pipe",
      ipc: (answer: Answer) => this.#answer.resolve(answer),
    });
    this.#complaint = this.#child.stderr.text();
  }

  async ready(): Promise<void> {
    await this.#next();
  }

  async slice(): Promise<Slice> {
    const answer = await this.#ask("slice");
    if ("slice" in answer) return answer.slice;
    throw new Error(`expected a slice, got ${JSON.stringify(answer)}`);
  }

  async finish(): Promise<Findings> {
    const answer = await this.#ask("finish");
    if ("findings" in answer) return answer.findings;
    throw new Error(`expected findings, got ${JSON.stringify(answer)}`);
  }

  /** Ends the process, and removes its files. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #ask(request: Request): Promise<Answer> {
    this.#answer = Promise.withResolvers<Answer>();
    this.#child.send(request);
    return this.#next();
  }

  /** @throws DidNotRun; the signal's reason */
  async #next(): Promise<Answer> {
    const { promise: ended, resolve: end } = Promise.withResolvers<string>();
    const timer = setTimeout(() => end(`no answer within ${TIMEOUT_MS / 1000} s`), TIMEOUT_MS);
    const abort = (): void => end("aborted");
    this.#signal.addEventListener("abort", abort, { once: true });
    try {
      const answer = await Promise.race([this.#answer.promise, ended, this.#exit()]);
      this.#signal.throwIfAborted();
      if (typeof answer === "string") throw new DidNotRun(answer, false);
      if ("failure" in answer) throw new DidNotRun(answer.failure, false);
      if ("absent" in answer) throw new DidNotRun(answer.absent, true);
      return answer;
    } finally {
      clearTimeout(timer);
      this.#signal.removeEventListener("abort", abort);
    }
  }

  /** How the process ended, if it ends. */
  async #exit(): Promise<string> {
    await this.#child.exited;
    const { exitCode, signalCode } = this.#child;
    const how = signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`;
    return `${how}: ${(await this.#complaint).trim()}`;
  }
}
