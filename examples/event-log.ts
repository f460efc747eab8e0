/**
 * An event log: one process appends, any number of others follow.
 *
 *   bun examples/event-log.ts FILE append [TEXT...]   appends each text, or each line of standard input
 *   bun examples/event-log.ts FILE tail [COUNT]       prints old and new events; ends after COUNT events
 *   bun examples/event-log.ts                         runs an appender and three tails, for a moment
 *
 * An event is a blob of JSON with the index of the event before it. The root is the latest event. A tail walks back
 * from the root to the last event that it has printed. No process waits for another: a slow tail
 * finds all that it missed.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Storage, StorageReader, StorageWriter } from "cellar";

interface Event {
  readonly number: number;
  readonly time: string;
  readonly text: string;
  /** The index of the event before. */
  readonly previous: number | null;
}

const headString = "cellar event log";

function append(writer: StorageWriter, text: string): void {
  const number = (eventAt(writer, writer.root)?.number ?? 0) + 1;
  const event: Event = { number, time: new Date().toISOString(), text, previous: writer.root };
  writer.root = writer.write(Buffer.from(JSON.stringify(event)));
  writer.commit(); // The tails see it now, and a kill does not lose it. A power cut may lose it, until a flush.
}

function eventAt(storage: Storage, index: number | null): Event | null {
  return index === null ? null : (JSON.parse(new TextDecoder().decode(storage.read(index))) as Event);
}

/** The events after the one with this number, the oldest first. */
function eventsAfter(storage: Storage, number: number): Event[] {
  const events: Event[] = [];
  for (let event = eventAt(storage, storage.root); event !== null && event.number > number;) {
    events.push(event);
    event = eventAt(storage, event.previous);
  }
  return events.reverse();
}

async function tail(path: string, count: number): Promise<void> {
  using reader = StorageReader.open(path, { expect: { headString }, follow: "commits" });
  let last = 0;
  const show = (): void => {
    for (const { number, time, text } of eventsAfter(reader, last).slice(0, count - last)) {
      console.log(`[${process.pid}] ${time} #${number} ${text}`);
      last = number;
    }
  };
  show();
  if (last >= count) return;
  const ended = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => ended.abort());
  for await (const _state of reader.watch({ signal: ended.signal, keepAlive: true })) {
    show();
    if (last >= count) return;
  }
}

/** Runs three tails as processes, and appends the events that they print. */
async function demonstrate(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "cellar-event-log-"));
  try {
    const path = join(folder, "events.cellar");
    const texts = ["the cellar is opened", "a cask comes in", "a bottle goes out", "the light is switched off"];
    await using writer = StorageWriter.create(path, { headString });
    const command = [process.execPath, import.meta.path, path, "tail", String(texts.length)];
    const tails = [1, 2, 3].map(() => Bun.spawn(command, { stdio: ["ignore", "inherit", "inherit"] }));
    // Ctrl-C ends the tails; this function continues, and removes the folder.
    let isEnded = false;
    const end = (): void => {
      isEnded = true;
      for (const tail of tails) tail.kill();
    };
    process.once("SIGINT", end).once("SIGTERM", end);
    for (const text of texts) {
      append(writer, text);
      await Bun.sleep(50); // Slow enough to watch.
    }
    const statuses = await Promise.all(tails.map((tail) => tail.exited));
    if (!isEnded && statuses.some((status) => status !== 0)) throw new Error("a tail has failed");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function main([path, verb, ...args]: readonly string[]): Promise<void> {
  if (path === undefined) return demonstrate();
  const [count = "Infinity"] = args;
  if (verb === "tail" && /^([1-9]\d*|Infinity)$/.test(count)) return tail(path, Number(count));
  if (verb !== "append") throw new Error("usage: FILE append [TEXT...], or FILE tail [COUNT]");
  await using writer = StorageWriter.openOrCreate(path, { headString });
  for (const text of args) append(writer, text);
  if (args.length > 0) return;
  for await (const line of createInterface({ input: process.stdin })) {
    append(writer, line);
    await writer.flush();
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Error)) throw error;
  console.error(`event-log: ${error.message}`);
  process.exitCode = 1;
}
