/**
 * Replication: a storage is replicated to a folder while it is written, a follower keeps a second file for a reader,
 * and an older state is restored. Run `bun examples/replicated.ts [FOLDER]`. To use object storage, set the target to
 * `s3://bucket/prefix`.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StorageReader, StorageWriter } from "cellar";
import { follow, replicate, restore, states, verify } from "cellar/replicate";

const folder = process.argv[2] ?? mkdtempSync(join(tmpdir(), "cellar-replicated-"));
const path = join(folder, "data.cellar");
const target = join(folder, "replica");
const elsewhere = join(folder, "elsewhere.cellar");
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

async function main(): Promise<void> {
  using writer = StorageWriter.create(path);
  const replicator = replicate(path, target, { intervalMs: 10 });

  // The first machine answers a client after the client's data is in the replica.
  async function store(line: string): Promise<number> {
    writer.root = writer.write(new TextEncoder().encode(line));
    await writer.flush();
    return (await replicator.replicated()).sequence;
  }

  const first = await store("first order");
  await store("second order");

  // The second machine keeps a file at the newest state. Its readers read this file like any other storage.
  const stop = new AbortController();
  const following = follow(target, elsewhere, { intervalMs: 10, signal: stop.signal });
  await following.next();
  using reader = StorageReader.open(elsewhere);
  console.log(`elsewhere: ${reader.root === null ? "nothing" : text(reader.read(reader.root))}`);
  await store("third order");
  await following.next();
  reader.refresh();
  console.log(`elsewhere: ${reader.root === null ? "nothing" : text(reader.read(reader.root))}`);
  stop.abort();
  await following.next();
  await replicator.close();

  // Any replicated state can be restored.
  const older = join(folder, "older.cellar");
  await restore(target, older, { at: first });
  using restored = StorageReader.open(older);
  console.log(`restored: ${restored.root === null ? "nothing" : text(restored.read(restored.root))}`);
  let count = 0;
  for await (const _ of states(target)) count++;
  console.log(`${count} states can be restored`);
  for await (const { level, part, message } of verify(target, { against: path, download: true })) {
    if (level !== "ok") console.log(`${part}: ${message}`);
  }
}

await main();
if (process.argv[2] === undefined) rmSync(folder, { recursive: true });
