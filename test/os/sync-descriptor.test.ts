/**
 * The descriptor of the asynchronous syncs is opened with the writer: the kernel tells an opening of the errors that
 * come after it, and of one before that nothing was told of yet.
 */

import { afterEach, expect, mock, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { StorageWriter } from "../../src/index.ts";
import { FileRegion } from "../../src/region/file.ts";
import { accessTo } from "../support/process-self.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder();

afterEach(() => mock.restore());

test.each(["create", "open"] as const)("after %s it is there, and a flush opens nothing", async (how) => {
  if (process.platform !== "linux") return console.warn("skipped: only Linux lists descriptors");
  const path = file();
  if (how === "open") StorageWriter.create(path).close();
  using writer = StorageWriter[how](path);
  const { modes } = accessTo(path);
  const open = spyOn(fs, "openSync");
  writer.root = writer.write(new Uint8Array(10));
  await writer.flush();
  expect(open).not.toHaveBeenCalled();
  expect([modes, accessTo(path).modes]).toEqual([
    [2, 2],
    [2, 2],
  ]);
});

test("where it could not be had, flushes go by the writer's own, also when there are descriptors again", async () => {
  const path = file();
  StorageWriter.create(path).close();
  const { openSync } = fs;
  let opened = 0;
  spyOn(fs, "openSync").mockImplementation(((...args: Parameters<typeof openSync>) => {
    if (opened++ === 0) return openSync(...args);
    throw Object.assign(new Error("too many open files"), { errno: -24, code: "EMFILE", syscall: "open" });
  }) as typeof openSync);
  using writer = StorageWriter.open(path);
  mock.restore();
  const sync = spyOn(FileRegion.prototype, "sync");
  const elsewhere = [spyOn(fs, "fdatasync"), spyOn(fs, "fsync")];
  writer.root = writer.write(new Uint8Array(10));
  await writer.flush();
  expect([sync.mock.calls.length, ...elsewhere.map(({ mock }) => mock.calls.length)]).toEqual([2, 0, 0]);
});
