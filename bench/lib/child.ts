/**
 * The process of one contestant: `bun child.ts ROW CONTESTANT quick|full FOLDER`, started by measure.ts, which sends
 * `slice` and `finish` over IPC. It ends with its parent.
 */

import { rows } from "../rows/index.ts";
import { type Findings, NotInThisVersion, type Slice, type Task } from "./row.ts";

export type Request = "slice" | "finish";
export type Answer =
  | { readonly ready: true }
  | { readonly slice: Slice }
  | { readonly findings: Findings }
  | { readonly absent: string }
  | { readonly failure: string };

async function answerTo(request: Request, task: Task): Promise<Answer> {
  if (request === "slice") {
    const measured = await task.slice();
    return { slice: typeof measured === "number" ? { value: measured } : measured };
  }
  const findings = (await task.finish?.()) ?? {};
  await task.close?.();
  return { findings };
}

async function attempt(work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof NotInThisVersion) return { absent: error.message };
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

function send(answer: Answer): void {
  process.send?.(answer);
}

if (import.meta.main) {
  const [name, contestant = "", size, folder = ""] = process.argv.slice(2);
  // Also where the parent was killed: nothing else ends this process then.
  process.on("disconnect", () => process.exit());
  let task: Task | undefined;
  process.on("message", async (request: Request) => {
    if (task === undefined) return send({ failure: `${request} before the contestant was ready` });
    const started = task;
    send(await attempt(() => answerTo(request, started)));
  });
  send(
    await attempt(async () => {
      const found = rows.find((row) => row.name === name);
      if (found === undefined) throw new Error(`there is no row ${name}`);
      task = await found.start(contestant, size === "quick", folder);
      return { ready: true };
    }),
  );
}
