/** `cellar tail`: prints a line for each new state of the storage, until Ctrl-C. */

import { command, type Command } from "./command.ts";
import { OK } from "./failure.ts";
import { rootText } from "./figures.ts";
import { numberOption, openReader, readingOptions } from "./opening.ts";
import { paint, print, printJson, widthOf, wrap } from "./output.ts";
import type { StorageState } from "../state/snapshot.ts";

const NUMBER_WIDTH = 10;
/** The width of a line with padded numbers. */
const LINE_WIDTH = 61;

/** Prints the current state first, so that a line appears at once and no later state is missed. */
export const tail: Command = command({
  name: "tail",
  summary: "Follows a storage: prints its state, then each new state",
  positionals: [["PATH", "the storage's file"]],
  options: {
    count: { value: "N", help: "end after N lines" },
    ...readingOptions,
  },
  notes: "Ctrl-C ends it. If states come faster than they can be printed, only the latest is printed.",
  examples: ["cellar tail data.cellar", "cellar tail data.cellar --follow flushes --json"],
  run: async ({ positionals: [path = ""], values, json }) => {
    const count = numberOption(values, "count", 1) ?? Infinity;
    using reader = openReader(path, values);
    const stop = new AbortController();
    const abort = (): void => stop.abort();
    // Leave a second Ctrl-C to the system: an immediate end loses nothing, and the output may be stuck.
    process.once("SIGINT", abort).once("SIGTERM", abort);
    try {
      const states = reader.watch({ signal: stop.signal, keepAlive: true });
      let before: StorageState = { root: reader.root, length: reader.length };
      await show(before, before, json);
      for (let shown = 1; shown < count; shown++) {
        const next = await states.next();
        if (next.done) break;
        await show(next.value, before, json);
        before = next.value;
      }
    } finally {
      process.off("SIGINT", abort).off("SIGTERM", abort);
    }
    return OK;
  },
});

/** Time, length, root, and by how much the length has changed; shrinking means a truncation. */
async function show({ root, length }: StorageState, before: StorageState, json: boolean): Promise<void> {
  const now = new Date();
  if (json) {
    await printJson({ time: now.toISOString(), length, root });
    return;
  }
  const clock = `${now.toTimeString().slice(0, 8)}.${String(now.getMilliseconds()).padStart(3, "0")}`;
  const added = length - before.length;
  const change = added > 0 ? paint("green", `+${added}`) : added < 0 ? paint("red", String(added)) : "";
  const width = widthOf();
  const pad = (text: string): string => (width < LINE_WIDTH ? text : text.padStart(NUMBER_WIDTH));
  const numbers = [`length ${pad(String(length))}`, `root ${pad(rootText(root))}`, change];
  await print(wrap([paint("dim", clock), ...numbers].join("  ").trimEnd(), width));
}
