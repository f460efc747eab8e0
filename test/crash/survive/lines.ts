/** Lines of JSON on standard output, written before the call returns: a kill right afterwards cannot take them back. */

import { writeSync } from "node:fs";

const STDOUT = 1;

export function say(message: object): void {
  const bytes = new TextEncoder().encode(`${JSON.stringify(message)}\n`);
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(STDOUT, bytes, done);
    } catch (error) {
      // The pipe is full, and whoever reads it is behind.
      if ((error as { code?: string }).code !== "EAGAIN") throw error;
    }
  }
}

/** Calls `take` with each message of a stream, and returns at its end. A last line cut by a kill is not a message. */
export async function readMessages(
  stream: ReadableStream<Uint8Array>,
  take: (message: unknown) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of stream) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(JSON.parse(line));
  }
}
