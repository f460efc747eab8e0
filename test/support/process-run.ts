/** Programs of the tests that print one line of JSON and end, for what may end in a signal. */

import { expect } from "bun:test";
import { Child, type Message } from "./child.ts";

/** Runs `bun FILE ARGS…`; answers what it printed, after it has ended well. */
export async function run(file: string, ...args: readonly string[]): Promise<Message> {
  return runWith({}, file, ...args);
}

/** The same, with more in its environment. */
export async function runWith(env: Record<string, string>, file: string, ...args: readonly string[]): Promise<Message> {
  await using child = new Child(file, args, env);
  const answer = await child.next();
  expect(await child.exit()).toEqual({ code: 0, signal: null });
  return answer;
}
