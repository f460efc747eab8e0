/** A child process of a scenario that reports in lines of JSON until it ends. */

import { join } from "node:path";
import { Child } from "../../support/child.ts";
import { readMessages } from "./lines.ts";
import type { Workplace } from "./workplace.ts";
import { patienceMs } from "../../support/emulated.ts";

export interface End {
  readonly code: number | null;
  readonly signal: string | null;
}

interface Waiting {
  readonly event: string;
  readonly count: number;
  readonly resolve: (came: boolean) => void;
}

/** How long a child may be silent before it counts as hung. */
const HUNG_MS = patienceMs(30_000);

export class Spawned<Event extends { readonly event: string }> {
  readonly pid: number;
  /** Its end, after its last message was taken. */
  readonly ended: Promise<End>;
  readonly #process: Bun.Subprocess<"pipe", "pipe", "inherit" | "ignore">;
  readonly #seen = new Map<string, number>();
  #waiting: Waiting[] = [];
  #isOver = false;

  /** `dying` children may end by a signal of their own: what they print then is of no interest. */
  constructor(workplace: Workplace, command: readonly string[], take: (event: Event) => void, dying = false) {
    this.#process = Bun.spawn([...command], { stdin: "pipe", stdout: "pipe", stderr: dying ? "ignore" : "inherit" });
    this.pid = this.#process.pid;
    workplace.ownsProcess(this.pid, () => this.#process.kill("SIGKILL"));
    this.ended = this.#read((event) => {
      take(event);
      this.#seen.set(event.event, this.#count(event.event) + 1);
      this.#wake();
    }).finally(() => workplace.disownsProcess(this.pid));
  }

  /** Waits for so many messages of this kind; false if the child ends before. */
  async until(event: Event["event"], count = 1): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting.push({ event, count, resolve });
    this.#wake();
    return withinTime(promise, `process ${this.pid} has not reported "${event}"`);
  }

  /** Lets a child go on that waits for a byte. */
  async release(): Promise<void> {
    this.#process.stdin.write("\n");
    await this.#process.stdin.flush();
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** Waits for its end by itself. */
  async end(): Promise<End> {
    return withinTime(this.ended, `process ${this.pid} does not end`);
  }

  async kill(): Promise<End> {
    this.signal("SIGKILL");
    return this.end();
  }

  async #read(take: (event: Event) => void): Promise<End> {
    await readMessages(this.#process.stdout, (message) => take(message as Event));
    await this.#process.exited;
    this.#isOver = true;
    this.#wake();
    const { exitCode: code, signalCode: signal } = this.#process;
    return { code, signal: signal === null ? null : String(signal) };
  }

  #count(event: string): number {
    return this.#seen.get(event) ?? 0;
  }

  #wake(): void {
    const isOver = ({ event, count }: Waiting): boolean => this.#isOver || this.#count(event) >= count;
    for (const waiting of this.#waiting.filter(isOver)) waiting.resolve(this.#count(waiting.event) >= waiting.count);
    this.#waiting = this.#waiting.filter((waiting) => !isOver(waiting));
  }
}

/** Starts a script of this folder that answers commands. */
export function startChild(workplace: Workplace, name: string): Child {
  const child = new Child(join(import.meta.dir, name));
  workplace.ownsProcess(child.pid, () => child.signal("SIGKILL"));
  return child;
}

export async function endChild(workplace: Workplace, child: Child): Promise<void> {
  await child[Symbol.asyncDispose]();
  workplace.disownsProcess(child.pid);
}

/** The command that runs a script of this folder. */
export function script(name: string, orders: object): string[] {
  return [process.execPath, join(import.meta.dir, name), JSON.stringify(orders)];
}

/** Rejects when the promise takes too long. */
export async function withinTime<T>(promise: Promise<T>, what: string, timeoutMs: number = HUNG_MS): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what} within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
