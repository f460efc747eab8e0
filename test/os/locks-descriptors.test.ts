/** Whether this process is itself the writer: told by its descriptors, as far as they can be looked at. */

import { afterEach, expect, mock, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { StorageWriter } from "../../src/index.ts";
import { F_OFD_SETLK, F_WRLCK } from "../../src/os/constants.ts";
import { isOpenTwice } from "../../src/os/file.ts";
import { libc } from "../../src/os/libc.ts";
import { packLock, withFile } from "./abi/native.ts";
import { errorOf } from "../support/errors.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder({ inMemory: true });
const linux = process.platform === "linux";
const skipped = linux ? "" : " (skipped: Linux only)";

afterEach(() => mock.restore());

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code, errno: -1, syscall: "open" });
}

/** As at the limit of descriptors: none is left to list them by. */
function hideDescriptors(): void {
  const { readdirSync } = fs;
  spyOn(fs, "readdirSync").mockImplementation(((path: string) => {
    if (path.startsWith("/proc/")) throw systemError("EMFILE");
    return readdirSync(path);
  }) as never);
}

test.skipIf(!linux)(`what cannot be told is no, and a dead mount hides no other descriptor${skipped}`, () => {
  const path = fresh();
  StorageWriter.create(path).close();
  withFile(path, "r", (fd) => {
    expect(isOpenTwice(fd)).toBe(false);
    withFile(path, "r", (other) => {
      const { statSync } = fs;
      spyOn(fs, "statSync").mockImplementation(((name: string, options: fs.StatSyncOptions) => {
        if (name !== `/proc/self/fd/${other}`) throw systemError("ENOTCONN");
        return statSync(name, options);
      }) as never);
      expect(isOpenTwice(fd)).toBe(true);
      hideDescriptors();
      expect(isOpenTwice(fd)).toBe(false);
    });
  });
});

test.skipIf(!linux)(`a writer of this process refuses another where no descriptor is left${skipped}`, () => {
  const path = fresh();
  const writer = StorageWriter.create(path);
  const image = fs.readFileSync(path);
  writer.close();
  fs.writeFileSync(path, image);
  withFile(path, "r+", (fd) => {
    // The locks of a writer in another thread.
    expect(libc().fcntl(fd, F_OFD_SETLK, packLock(F_WRLCK, 2n ** 62n, 2n))).toBe(0);
    hideDescriptors();
    expect(errorOf(() => StorageWriter.open(path)).code).toBe("WRITER_LOCKED");
  });
});
