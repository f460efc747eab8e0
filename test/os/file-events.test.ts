/** Events of files, by inotify. */

import { describe, expect, mock, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { watchFile } from "../../src/os/file-events.ts";
import { libc } from "../../src/os/libc.ts";
import { useFolder } from "../support/folder.ts";
import { until } from "../support/process-until.ts";

const fresh = useFolder({ spoiled: true });
const linux = process.platform === "linux";

function opened(): { readonly path: string; readonly fd: number } & Disposable {
  const path = fresh();
  fs.writeFileSync(path, "begin");
  const fd = fs.openSync(path, "r");
  return { path, fd, [Symbol.dispose]: () => fs.closeSync(fd) };
}

/** The inotify descriptors of this process. */
function inotifyDescriptors(): number {
  return fs.readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`).includes("inotify");
    } catch {
      return false;
    }
  }).length;
}

describe.skipIf(!linux)(`events of a file${linux ? "" : " (skipped: Linux only)"}`, () => {
  test("come for a write, a new size, and the loss of its name, to each that watches it, and to no other", async () => {
    using file = opened();
    using other = opened();
    const counts = [0, 0, 0];
    const count = (i: number) => (): void => {
      counts[i] = (counts[i] ?? 0) + 1;
    };
    const watches = [watchFile(file.fd, count(0)), watchFile(file.fd, count(1)), watchFile(other.fd, count(2))];
    for (const change of [
      () => fs.appendFileSync(file.path, "more"),
      () => fs.truncateSync(file.path, 3),
      () => fs.rmSync(file.path),
    ]) {
      const before = counts.slice(0, 2);
      change();
      await until("both are told", () => counts.slice(0, 2).every((now, i) => now > (before[i] ?? 0)));
    }
    expect(counts[2]).toBe(0);
    watches[0]?.close();
    fs.appendFileSync(other.path, "more");
    await until("the other is told", () => counts[2] === 1);
    for (const watch of watches) watch?.close();
  });

  test("share one descriptor, which is closed with the last watch", async () => {
    // Readers of other tests in this process keep theirs for a moment.
    await until("no other watch is left", () => inotifyDescriptors() === 0);
    using file = opened();
    using other = opened();
    const watches = [file, other, file].map(({ fd }) => watchFile(fd, () => undefined));
    expect(inotifyDescriptors()).toBe(1);
    for (const watch of watches) watch?.close();
    for (const watch of watches) watch?.close();
    expect(inotifyDescriptors()).toBe(0);
  });

  test("begin again after all were closed", async () => {
    using file = opened();
    for (let round = 0; round < 3; round++) {
      let told = false;
      const watch = watchFile(file.fd, () => (told = true));
      fs.appendFileSync(file.path, "more");
      await until("it is told", () => told);
      watch?.close();
    }
  });

  test("are null where the system has no descriptor, or no watch left", async () => {
    await until("no other watch is left", () => inotifyDescriptors() === 0);
    using file = opened();
    for (const call of ["inotify_init1", "inotify_add_watch"] as const) {
      spyOn(libc(), call).mockImplementation(() => -1);
      expect(watchFile(file.fd, () => undefined)).toBeNull();
      mock.restore();
    }
    expect(inotifyDescriptors()).toBe(0);
  });
});
