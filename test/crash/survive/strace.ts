/**
 * Calls of a victim as strace sees them from the moment it is attached. strace counts the calls of each kind per
 * thread, so a site is a call's name and how many of its kind its thread has made before: the same orders bring it
 * back. Sites of the storage are told from the runtime's own by the folder's name in their line, and mappings by
 * their address.
 */

import { readdirSync, readFileSync } from "node:fs";
import type { Workplace } from "./workplace.ts";

/** A call that a victim makes on its storage. */
export interface Site {
  readonly call: string;
  /** Counted from 1, among the calls with this name of the same thread. */
  readonly nth: number;
  /** The call as strace prints it. */
  readonly line: string;
}

const ATTACH_TIMEOUT_MS = 10_000;

export interface Trace {
  readonly calls: readonly string[];
  /** An expression of strace(1). */
  readonly inject?: string;
  readonly logPath: string;
}

export interface Tracer {
  /** The traced process is over, and the log complete. */
  readonly ended: Promise<unknown>;
}

/** Attaches strace to every thread of a process, and returns when it is. */
export async function attach(workplace: Workplace, pid: number, { calls, inject, logPath }: Trace): Promise<Tracer> {
  // `write` is traced so that the victim's reports stand in the log, in their order among the calls.
  const traced = ["-e", `trace=${[...calls, "write"].join()}`, "-e", "signal=none"];
  const injected = inject === undefined ? [] : ["-e", `inject=${inject}`];
  const command = ["strace", "-f", "-y", "-qq", "-s", "96", "-o", logPath, ...traced, ...injected, "-p", String(pid)];
  const tracer = Bun.spawn(command, { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  workplace.ownsProcess(tracer.pid, () => tracer.kill("SIGKILL"));
  const deadline = performance.now() + ATTACH_TIMEOUT_MS;
  while (!isTraced(pid)) {
    if (tracer.exitCode !== null || performance.now() > deadline) throw new Error(`strace cannot attach to ${pid}`);
    await Bun.sleep(1);
  }
  return { ended: tracer.exited.finally(() => workplace.disownsProcess(tracer.pid)) };
}

function isTraced(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.every(
    (thread) => !/^TracerPid:\t0$/m.test(readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8")),
  );
}

/** The calls in a log that concern the folder, each once. */
export function sitesIn(logPath: string, folder: string): Site[] {
  const counts = new Map<string, number>();
  const sites = new Map<string, Site>();
  const mapped = new Set<string>();
  for (const line of readFileSync(logPath, "utf8").split("\n")) {
    const begin = /^(\d+) +(\w+)\((.*)/.exec(line);
    if (begin === null) continue;
    const [, thread = "", call = "", rest = ""] = begin;
    const nth = (counts.get(`${thread} ${call}`) ?? 0) + 1;
    counts.set(`${thread} ${call}`, nth);
    const [address = ""] = rest.split(",", 1);
    const concerns = rest.includes(folder) || mapped.has(address);
    if (!concerns || call === "write") continue;
    if (call === "mmap") mapped.add(/= (0x\w+)/.exec(rest)?.[1] ?? "");
    sites.set(`${call} ${nth}`, { call, nth, line });
  }
  return [...sites.values()];
}

/** Whether a call on the storage failed as it was told to. */
export function wasInjected(logPath: string): boolean {
  return readFileSync(logPath, "utf8").includes("(INJECTED)");
}

/**
 * Flushes that were claimed after a sync of the writer's own thread had failed, and before the storage was opened
 * again. (A sync of the runtime's pool may fail while a synchronous flush runs: the kernel would tell both of them,
 * an injected error comes to one.)
 */
export function claimsAfterFailure(logPath: string): string[] {
  const lines = readFileSync(logPath, "utf8").split("\n");
  const writersThread = /^\d+/.exec(lines.find((line) => line.includes(printed("opened"))) ?? "")?.[0] ?? "";
  const claims: string[] = [];
  let failed = false;
  for (const line of lines.filter((one) => one.startsWith(writersThread))) {
    if (/(msync|fsync|fdatasync)\b.*\(INJECTED\)/.test(line)) failed = true;
    else if (line.includes(printed("opened"))) failed = false;
    else if (failed && line.includes(printed("flushed"))) claims.push(line);
  }
  return claims;
}

/** An event of a victim, as strace prints it. */
function printed(name: string): string {
  return String.raw`{\"event\":\"${name}\"`;
}
