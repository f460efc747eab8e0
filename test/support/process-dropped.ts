/**
 * `bun process-dropped.ts FOLDER`: opens storages and drops them without `close`. Prints what is left of them when they
 * have been collected.
 */

import { join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { accessTo, addressSpaceKiB } from "./process-self.ts";
import { until } from "./process-until.ts";

const COUNT = 200;
const GIB_IN_KIB = 2 ** 20;
const [folder = ""] = process.argv.slice(2);
const path = join(folder, "dropped.cellar");
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const warnings: { readonly code: unknown; readonly message: string }[] = [];
process.on("warning", (warning) => {
  warnings.push({ code: (warning as { code?: unknown }).code, message: warning.message });
});

/** Drops a writer that has committed one blob, and written another; answers a view of the first. */
async function dropWriter(): Promise<Uint8Array> {
  const writer = StorageWriter.create(path);
  writer.root = writer.write(new TextEncoder().encode("committed"));
  // The asynchronous sync opens the file once more.
  await writer.flush();
  writer.root = writer.write(new TextEncoder().encode("committed"));
  writer.commit();
  const [view = new Uint8Array(0)] = writer.chunks(writer.root);
  writer.write(new TextEncoder().encode("not committed"));
  return view;
}

async function openAgain(): Promise<StorageWriter> {
  let writer: StorageWriter | undefined;
  await until("the lock of the dropped writer is released", () => {
    Bun.gc(true);
    try {
      writer = StorageWriter.open(path);
    } catch (error) {
      if ((error as { code?: string }).code !== "WRITER_LOCKED") throw error;
    }
    return writer !== undefined;
  });
  if (writer === undefined) throw new Error("not opened");
  return writer;
}

function dropMany(): void {
  for (let i = 0; i < COUNT; i++) {
    StorageReader.open(path);
    StorageWriter.inMemory().write(Uint8Array.of(1));
  }
}

async function viewsOfDropped(): Promise<Record<string, unknown>> {
  const view = await dropWriter();
  const writer = await openAgain();
  const root = writer.root ?? 0;
  const seen = text(view);
  view[0] = "C".charCodeAt(0);
  const result = { state: writer.recovery.state, seen, stored: text(view), inFile: text(writer.read(root)) };
  writer.close();
  return result;
}

const views = await viewsOfDropped();
dropMany();
await until("nothing is left", () => {
  Bun.gc(true);
  // Opening looks for mappings whose last view has been collected.
  StorageReader.open(path).close();
  const { modes, mappings } = accessTo(path);
  // Each mapping reserves 128 GiB of addresses.
  return modes.length === 0 && mappings.length === 0 && addressSpaceKiB() < COUNT * GIB_IN_KIB;
});
process.stdout.write(`${JSON.stringify({ ...views, warnings })}\n`);
