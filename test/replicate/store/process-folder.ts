/** A process that makes calls of a folder store, for strace: prints the answer, or the error's code and message, of each. */

import { openStore } from "../../../src/replicate/store/open.ts";

const [folder = "", ...calls] = process.argv.slice(2);
const store = openStore(folder, { timeoutMs: 20_000 });

for (const call of calls) {
  try {
    const bytes = new TextEncoder().encode("a record");
    if (call === "put") console.log(await store.put("log/fffffffffffffffe", bytes, { ifAbsent: true }));
    else if (call === "replace") console.log(await store.put("log/fffffffffffffffe", bytes));
    else if (call === "get") console.log((await store.get("log/fffffffffffffffe"))?.length ?? "none");
    else if (call === "delete") console.log(String(await store.delete("log/fffffffffffffffe")));
  } catch (error) {
    console.log(`${(error as { code?: string }).code}: ${(error as Error).message}`);
  }
}
