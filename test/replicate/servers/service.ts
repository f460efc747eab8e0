/** An S3 server of others, started on 127.0.0.1 for a test, and gone when it is disposed of, or its test is killed. */

import { closeSync, openSync, readFileSync } from "node:fs";
import { Workplace } from "../../crash/survive/workplace.ts";
import { authorization, sha256, timestamp } from "../../../src/replicate/store/sign.ts";

/** How long a server may take to answer. Not a wait: the answer ends it. */
const START_TIMEOUT_MS = 120_000;
const LOOK_MS = 50;

export interface Access {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export class Service implements Disposable {
  readonly workplace: Workplace = new Workplace();
  readonly bucket = "cellar";
  readonly #children: { readonly name: string; readonly child: Bun.Subprocess; readonly logPath: string }[] = [];
  #access: Access | null = null;

  /** The options of a store here. */
  get access(): Access {
    if (this.#access === null) throw new Error("the service has not started");
    return this.#access;
  }

  /** Starts a process that lasts as long as the service. Its output goes to a file, which is shown if it ends. */
  spawn(name: string, ...command: string[]): void {
    const logPath = this.workplace.path(`${name}.log`);
    const log = openSync(logPath, "a");
    try {
      // Also when this process is killed.
      const whole = ["setpriv", "--pdeathsig", "KILL", ...command];
      const child = Bun.spawn(whole, { stdin: "ignore", stdout: log, stderr: log, cwd: this.workplace.folder });
      this.workplace.ownsProcess(child.pid, () => child.kill("SIGKILL"));
      child.unref();
      this.#children.push({ name, child, logPath });
    } finally {
      closeSync(log);
    }
  }

  /** Signals a process of the service: one that is stopped is a server that is silent. */
  signal(name: string, signal: "SIGSTOP" | "SIGCONT"): void {
    const found = this.#children.find((one) => one.name === name);
    if (found === undefined) throw new Error(`there is no process ${name}`);
    found.child.kill(signal);
  }

  /** Waits for an answer; fails when a process of the service has ended, with its last words. */
  async until(what: string, isDone: () => Promise<boolean> | boolean): Promise<void> {
    const end = Date.now() + START_TIMEOUT_MS;
    while (!(await isDone())) {
      for (const { name, child, logPath } of this.#children)
        if (child.exitCode !== null || child.signalCode !== null)
          throw new Error(`${name} ended: ${readFileSync(logPath, "utf8").slice(-2000)}`);
      if (Date.now() > end) throw new Error(`${what}: not within ${START_TIMEOUT_MS} ms`);
      await Bun.sleep(LOOK_MS);
    }
  }

  /** Makes the bucket, as soon as that can be done. */
  async ready(access: Access): Promise<void> {
    await this.until("the bucket", async () => (await createBucket(access, this.bucket)) === 200);
    this.#access = access;
  }

  [Symbol.dispose](): void {
    this.workplace[Symbol.dispose]();
  }
}

/** Whether there is any answer of a server. */
export async function answers(endpoint: string): Promise<boolean> {
  return (await statusOf(endpoint)) !== null;
}

async function statusOf(...request: Parameters<typeof fetch>): Promise<number | null> {
  try {
    const response = await fetch(...request);
    await response.arrayBuffer();
    return response.status;
  } catch {
    return null;
  }
}

async function createBucket(access: Access, bucket: string): Promise<number | null> {
  const url = new URL(`${access.endpoint}/${bucket}`);
  const time = new Date();
  const bodyHash = sha256("");
  const headers = { host: url.host, "x-amz-content-sha256": bodyHash, "x-amz-date": timestamp(time) };
  const request = { method: "PUT", path: url.pathname, query: [], headers, bodyHash };
  const signed = authorization(request, access, { time, region: access.region, service: "s3" });
  return statusOf(url, { method: "PUT", headers: { ...headers, authorization: signed } });
}

/** Ports that are free now. */
export function freePorts(count: number): number[] {
  const open = Array.from({ length: count }, () =>
    Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } }),
  );
  const ports = open.map(({ port }) => port);
  for (const one of open) one.stop(true);
  return ports;
}
