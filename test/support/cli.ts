/** Runs `cellar` as a shell would: arguments in, exit status and both outputs back. */

import { join } from "node:path";

export const CLI: string = join(import.meta.dir, "../../src/cli/main.ts");

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly bytes: Uint8Array;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stdin?: Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/**
 * An environment in which every machine gives the same output: colours go by more variables (`CI`, `TMUX`, `COLORTERM`)
 * than a list of what to leave out would name.
 */
export function plainEnvironment(): Record<string, string> {
  const kept = ["PATH", "HOME", "TMPDIR"].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(kept), TERM: "xterm-256color", LC_ALL: "C.UTF-8" };
}

/** Runs `cellar ARGS…` to its end. */
export async function cellar(args: readonly string[], { stdin, env = {}, cwd }: RunOptions = {}): Promise<Ran> {
  const child = Bun.spawn([process.execPath, CLI, ...args], {
    stdin: stdin ?? "ignore",
    stdout: "pipe",
    stderr: "pipe",
    env: { ...plainEnvironment(), ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  const [bytes, stderr, status] = await Promise.all([child.stdout.bytes(), child.stderr.text(), child.exited]);
  return { status, bytes, stdout: new TextDecoder().decode(bytes), stderr };
}

/** What a terminal of so many columns shows of `cellar ARGS…`: lines as they stand in the end, and all ever drawn. */
export async function cellarInTerminal(
  args: readonly string[],
  columns: number,
): Promise<{ readonly status: number; readonly lines: string[]; readonly drawn: string[] }> {
  const decoder = new TextDecoder();
  let output = "";
  const ended = Promise.withResolvers<void>();
  const child = Bun.spawn([process.execPath, CLI, ...args], {
    env: plainEnvironment(),
    terminal: {
      cols: columns,
      rows: 50,
      data: (_terminal, bytes) => {
        output += decoder.decode(bytes, { stream: true });
      },
      exit: () => ended.resolve(),
    },
  });
  const status = await child.exited;
  // What was printed last may come after the exit.
  await ended.promise;
  const lines = output.split("\r\n").map((line) => Bun.stripANSI(line.split("\r\x1b[K").at(-1) ?? ""));
  const drawn = output.split(/\r\n|\r\x1b\[K/).map(Bun.stripANSI);
  return { status, lines: lines.at(-1) === "" ? lines.slice(0, -1) : lines, drawn };
}

/** Runs `cellar ARGS… --json`, and parses what it prints. */
export async function cellarJson(...args: readonly string[]): Promise<Record<string, unknown>> {
  const { stdout, stderr } = await cellar([...args, "--json"]);
  if (stdout === "") throw new Error(`cellar ${args.join(" ")} printed nothing: ${stderr}`);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** The code of the one error that `cellar ARGS… --json` tells, having printed nothing else. */
export async function errorCodeOf(...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await cellar([...args, "--json"]);
  if (status === 0 || stdout !== "" || stderr.trimEnd().includes("\n")) {
    throw new Error(`expected one error, got status ${status}: ${stdout}${stderr}`);
  }
  return (JSON.parse(stderr) as { error: { code: string } }).error.code;
}
