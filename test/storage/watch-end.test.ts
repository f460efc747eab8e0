/** Every way for a watch to end. */

import { describe, expect, test } from "bun:test";
import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { commit, pair } from "../support/followed.ts";
import * as image from "../support/image.ts";
import { Child } from "../support/child.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder({ spoiled: true });
const done = { done: true, value: undefined } as const;

describe("a watch ends", () => {
  test("when the signal is aborted, before and while it waits", async () => {
    using both = pair(file());
    expect(await both.reader.watch({ signal: AbortSignal.abort() }).next()).toEqual(done);
    const stop = new AbortController();
    // So long that only the signal can be what ends it.
    const states = both.reader.watch({ signal: stop.signal, intervalMs: 1e9 });
    const next = states.next();
    await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
    stop.abort();
    expect(await next).toEqual(done);
    commit(both.writer);
    expect(await states.next()).toEqual(done);
  });

  test("when the reader is closed, before and while it waits", async () => {
    using both = pair(file());
    const waiting = both.reader.watch({ intervalMs: 1e9 });
    const later = both.reader.watch();
    const next = waiting.next();
    await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
    both.reader.close();
    expect(await next).toEqual(done);
    expect(await later.next()).toEqual(done);
  });

  test("by return, also for a call that waits, and by break", async () => {
    using both = pair(file());
    const states = both.reader.watch({ intervalMs: 1e9 });
    const next = states.next();
    await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
    expect(await states.return?.()).toEqual(done);
    expect(await next).toEqual(done);
    const again = both.reader.watch();
    commit(both.writer);
    for await (const _ of again) break;
    commit(both.writer);
    expect(await again.next()).toEqual(done);
  });

  test("with the error of a refresh, after which there is nothing more", async () => {
    const path = file();
    const state = { next: 1000, root: 0 };
    writeFileSync(path, image.fileOf({ disk: [state, state], process: [state, state] }, 1000));
    using reader = StorageReader.open(path);
    const states = reader.watch();
    const next = states.next();
    truncateSync(path, 500 * 32);
    const later = { next: 400, root: 0 };
    const fd = openSync(path, "r+");
    writeSync(fd, image.headerArea({ disk: [later, later], process: [later, later] }), 0, image.AREA_BYTES, 0);
    closeSync(fd);
    expect(await next.catch((error: unknown) => error)).toEqual(expect.objectContaining({ code: "FILE_CUT" }));
    expect(await states.next()).toEqual(done);
  });

  test("with FILE_CUT when the file is emptied under it, though its header is gone too", async () => {
    const path = file();
    StorageWriter.create(path).close();
    await using child = new Child(join(import.meta.dir, "../support/watch-child.ts"), [path, "true"]);
    expect(await child.next()).toEqual({ ready: true });
    truncateSync(path, 0);
    expect(await child.next()).toEqual({ error: "FILE_CUT" });
    expect(await child.exit()).toEqual({ code: 0, signal: null });
  });
});

describe("a process that follows and does nothing else", () => {
  const program = join(import.meta.dir, "../support/watch-child.ts");

  test("ends at once", async () => {
    using both = pair(file());
    await using child = new Child(program, [both.reader.path, "false"]);
    expect(await child.next()).toEqual({ ready: true });
    expect(await child.exit()).toEqual({ code: 0, signal: null });
  });

  test("lives with keepAlive, until there is what it waits for", async () => {
    using both = pair(file());
    await using child = new Child(program, [both.reader.path, "true"]);
    expect(await child.next()).toEqual({ ready: true });
    const committed = commit(both.writer);
    expect(await child.next()).toEqual({ ...committed });
    expect(await child.exit()).toEqual({ code: 0, signal: null });
  });
});
