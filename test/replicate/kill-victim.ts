/**
 * A program of replication that kills itself before or after one of its requests, or is killed from outside:
 * `bun kill-victim.ts ROLE FILE TARGET KILL_AT before|after`. Prints "ready" before its first request.
 */

import { follow, openStore, prune, replicate, restore } from "../../src/replicate/index.ts";
import type { ObjectStore } from "../../src/replicate/store/store.ts";

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

const store = fatal(openStore(target));
console.log("ready");
if (role === "replicate") {
  await using replicator = replicate(file, store, { intervalMs: 1 });
  // Long enough for the parent to flush some more, and for the requests of them.
  for (let i = 0; i < 8; i++) {
    await replicator.replicated();
    await Bun.sleep(20);
  }
  await replicator.replicated({ compared: true });
} else if (role === "follow") {
  for await (const _ of follow(store, file, { once: true, intervalMs: 1 })) continue;
} else if (role === "restore") await restore(store, file);
else if (role === "prune") await prune(store);
else throw new Error(`no role ${role}`);
console.log(`requests ${requests}`);
