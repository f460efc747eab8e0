/**
 * A program of replication that kills itself before or after one of its requests, or is killed from outside:
 * `bun kill-victim.ts ROLE FILE TARGET KILL_AT before|after`, with the store's options as JSON in STORE_OPTIONS. Prints
 * "ready" before its first request, and a replicator "begun" when the store has answered.
 */

import { StorageError } from "../../src/index.ts";
import { follow, openStore, prune, replicate, restore } from "../../src/replicate/index.ts";
import type { ObjectStore, StoreOptions } from "../../src/replicate/store/store.ts";

const [role = "", file = "", target = "", killAt = "0", when = "before"] = process.argv.slice(2);
let requests = 0;

/** Counts requests, and ends the process at one of them. */
function fatal(store: ObjectStore): ObjectStore {
  const at = Number(killAt);
  const around = async <T>(call: () => Promise<T>): Promise<T> => {
    const number = ++requests;
    if (number === at && when === "before") process.kill(process.pid, "SIGKILL");
    const answer = await call();
    if (number === at && when === "after") process.kill(process.pid, "SIGKILL");
    return answer;
  };
  return {
    url: store.url,
    get: (key, options) => around(() => store.get(key, options)),
    put: (key, bytes, options) => around(() => store.put(key, bytes, options)),
    list: (prefix, options) => around(() => store.list(prefix, options)),
    delete: (key, options) => around(() => store.delete(key, options)),
  };
}

/** The parent truncates, too: then what was flushed before is not replicated any more. */
async function unlessTruncated(promise: Promise<unknown>): Promise<void> {
  await promise.catch((error: unknown) => {
    if (!(error instanceof StorageError && error.code === "TRUNCATED")) throw error;
  });
}

const store = fatal(openStore(target, JSON.parse(process.env["STORE_OPTIONS"] ?? "{}") as StoreOptions));
console.log("ready");
if (role === "replicate") {
  await using replicator = replicate(file, store, { intervalMs: 1 });
  // Long enough for the parent to flush some more, and for the requests of them.
  for (let i = 0; i < 8; i++) {
    await unlessTruncated(replicator.replicated());
    if (i === 0) console.log("begun");
    await Bun.sleep(20);
  }
  await unlessTruncated(replicator.replicated({ compared: true }));
} else if (role === "follow") {
  for await (const _ of follow(store, file, { once: true, intervalMs: 1 })) continue;
} else if (role === "restore") await restore(store, file);
else if (role === "prune") await prune(store);
else throw new Error(`no role ${role}`);
console.log(`requests ${requests}`);
