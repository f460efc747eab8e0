/**
 * What a scenario makes on this machine: a folder, processes, mounts and loop devices, each remembered by its id from
 * the moment it exists, and undone in the opposite order, also when a scenario fails or the supervisor is ended.
 */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const open = new Set<Workplace>();
let watching = false;

export class Workplace implements Disposable {
  readonly folder: string;
  readonly #processes = new Map<number, () => void>();
  /** In the order of their making. */
  readonly #things = new Map<string, () => void>();
  #count = 0;

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "cellar-survive-"));
    open.add(this);
    watchForTheEnd();
  }

  /** A path in the folder: the given name, or a new one each time. */
  path(name = `${++this.#count}.cellar`): string {
    return join(this.folder, name);
  }

  /** A new empty folder. */
  makeFolder(): string {
    const path = this.path(`${++this.#count}.d`);
    mkdirSync(path);
    return path;
  }

  /** Remembers a process that runs, and how to kill it. */
  ownsProcess(pid: number, kill: () => void): void {
    this.#processes.set(pid, kill);
  }

  /** The process is gone. */
  disownsProcess(pid: number): void {
    this.#processes.delete(pid);
  }

  /** Remembers how to undo what was just made. */
  owns(thing: string, undo: () => void): void {
    this.#things.set(thing, undo);
  }

  /** It is gone already. */
  disowns(thing: string): void {
    this.#things.delete(thing);
  }

  /** Processes first: nothing can be unmounted under them. */
  [Symbol.dispose](): void {
    if (!open.delete(this)) return;
    const failures: unknown[] = [];
    for (const undo of [...this.#processes.values(), ...[...this.#things.values()].reverse()]) {
      try {
        undo();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, `${this.folder} could not be cleaned up`);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Undoes whatever scenarios that did not come to their end have left. */
export function disposeAll(): void {
  for (const workplace of open) workplace[Symbol.dispose]();
}

/** Runs a command, and returns what it printed. */
export function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { stdout: "pipe", stderr: "pipe" });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr.toString().trim()}`);
  return stdout.toString().trim();
}

function watchForTheEnd(): void {
  if (watching) return;
  watching = true;
  process.on("exit", disposeAll);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(1));
}
