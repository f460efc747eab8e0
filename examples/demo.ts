/** Stores a folder, then a second process compares every byte. */

import { readdirSync, realpathSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { StorageError, StorageReader, StorageWriter } from "cellar";
import { amounts, Meter, say } from "./demo-meter.ts";
import { compareFolder, snapshots, storeFolder } from "./demo-snapshot.ts";

const HELP = `Usage: bun run demo [FOLDER] [--storage FILE]

Stores the regular files of a folder (default: this project, with its node_modules) in a storage (default: a file in
the temp directory, named after the folder). Then a second process compares every byte. Each run adds a snapshot.
Exit status: 0 all bytes are equal, 1 some differ, 2 wrong usage.`;

const headString = "cellar demo"; // A storage with another head string is refused.

/** Returns the task that the arguments name. The task returns false if some bytes differ. */
function taskFrom(args: string[]): () => boolean | Promise<boolean> | void {
  const options = { storage: { type: "string" }, help: { type: "boolean" } } as const;
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const [first, second, third] = positionals;
  if (values.help) return () => console.log(HELP);
  if (first === "verify" && second !== undefined && third !== undefined) return () => verify(second, third);
  if (positionals.length > 1) throw new Error("expected one folder at most: see --help");
  const folder = realpathSync(first ?? join(import.meta.dir, ".."));
  readdirSync(folder); // If the folder cannot be read, throw before a storage is created.
  const name = `cellar-demo-${basename(folder).slice(0, 40)}-${Bun.hash(folder).toString(36)}.cellar`;
  return () => store(folder, resolve(values.storage ?? join(tmpdir(), name)));
}

async function store(folder: string, storage: string): Promise<boolean> {
  await using writer = StorageWriter.openOrCreate(storage, { headString });
  say("Folder", folder);
  say("Storage", storage);
  const meter = new Meter();
  storeFolder(writer, folder, meter);
  writer.commit();
  meter.show("Flushing");
  await writer.flush();
  say("Stored", meter.speed());

  // The writer stays open: readers do not wait for it.
  const command = [process.execPath, import.meta.path, "verify", storage, folder];
  const child = Bun.spawn(command, { stdio: ["ignore", "inherit", "inherit"] });
  const equal = (await child.exited) === 0;

  for (const { time, files, folder } of snapshots(writer)) {
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    say("Snapshot", `${amounts(files.length, bytes)}  ${new Date(time).toLocaleString("sv")}  ${folder}`);
  }
  say("Size", `${statSync(storage).size.toLocaleString("en")} bytes, ${writer.byteLength.toLocaleString("en")} in use`);
  say("Result", `process ${child.pid} found ${equal ? "" : "NOT "}every stored byte equal`);
  return equal;
}

function verify(storage: string, folder: string): boolean {
  using reader = StorageReader.open(storage, { expect: { headString } });
  const meter = new Meter();
  const equal = compareFolder(reader, folder, meter);
  say("Compared", meter.speed());
  return equal;
}

let task: ReturnType<typeof taskFrom> | undefined;
try {
  task = taskFrom(process.argv.slice(2));
  process.exitCode = (await task()) === false ? 1 : 0;
} catch (error) {
  if (task !== undefined && !(error instanceof StorageError)) throw error;
  console.error(`demo: ${error instanceof Error ? error.message : error}`);
  process.exitCode = task === undefined ? 2 : 1;
}
