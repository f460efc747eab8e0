/** Whether this process is itself the writer, and a thread of it still there: told by /proc, as far as it can be read. */

import { afterEach, expect, mock, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { StorageReader, StorageWriter } from "../../src/index.ts";
import { F_OFD_SETLK, F_WRLCK } from "../../src/os/constants.ts";
import { identityOf } from "../../src/os/file.ts";
import { libc } from "../../src/os/libc.ts";
import { hasThreadEnded, lockHolderHere, threadId } from "../../src/os/process.ts";
import { packLock, withFile } from "./abi/native.ts";
import { errorOf } from "../support/errors.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder({ inMemory: true });
const WRITER_BYTE = 2n ** 62n;
/** Above all ids that Linux gives. */
const NO_THREAD = 2 ** 30;
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

test.skipIf(!linux)(`only a descriptor with the lock counts, and no other is looked at${skipped}`, () => {
  const path = fresh();
  StorageWriter.create(path).close();
  const identity = identityOf(path);
  using reader = StorageReader.open(path);
  withFile(path, "r+", (fd) => {
    expect(lockHolderHere(identity, WRITER_BYTE)).toBeNull();
    expect(libc().fcntl(fd, F_OFD_SETLK, packLock(F_WRLCK, WRITER_BYTE, 2n))).toBe(0);
    expect(libc().fcntl(fd, F_OFD_SETLK, packLock(F_WRLCK, 2n * WRITER_BYTE - 2n, 1n))).toBe(0);
    const { statSync } = fs;
    spyOn(fs, "statSync").mockImplementation(((name: string, options: fs.StatSyncOptions) => {
      if (name !== `/proc/self/fd/${fd}`) throw systemError("ENOTCONN");
      return statSync(name, options);
    }) as never);
    expect(lockHolderHere(identity, WRITER_BYTE)).toEqual({ fd, lockedFrom: [WRITER_BYTE, 2n * WRITER_BYTE - 2n] });
    expect(lockHolderHere(`${identity}0`, WRITER_BYTE)).toBeNull();
    hideDescriptors();
    expect(lockHolderHere(identity, WRITER_BYTE)).toBeNull();
  });
  expect(reader.closed).toBe(false);
});

test.skipIf(!linux)(`a thread has ended only where /proc lists this one, and not that one${skipped}`, () => {
  const own = threadId() ?? 0;
  expect(hasThreadEnded(own)).toBe(false);

  expect(hasThreadEnded(NO_THREAD)).toBe(true);
  const { statSync } = fs;
  for (const answer of [undefined, systemError("EMFILE")]) {
    spyOn(fs, "statSync").mockImplementation(((name: string, options: fs.StatSyncOptions) => {
      if (!name.startsWith("/proc/")) return statSync(name, options);
      if (answer !== undefined) throw answer;
      return undefined;
    }) as never);
    expect(hasThreadEnded(NO_THREAD)).toBe(false);
    mock.restore();
  }
  spyOn(fs, "readlinkSync").mockImplementation((() => {
    throw systemError("ENOENT");
  }) as never);
  expect([threadId(), hasThreadEnded(NO_THREAD)]).toEqual([null, false]);
});

test.skipIf(!linux)(`a writer of this process refuses another where no descriptor is left${skipped}`, () => {
  const path = fresh();
  const writer = StorageWriter.create(path);
  const image = fs.readFileSync(path);
  writer.close();
  fs.writeFileSync(path, image);
  withFile(path, "r+", (fd) => {
    // The locks of a writer in another thread.
    expect(libc().fcntl(fd, F_OFD_SETLK, packLock(F_WRLCK, WRITER_BYTE, 2n))).toBe(0);
    hideDescriptors();
    expect(errorOf(() => StorageWriter.open(path)).code).toBe("WRITER_LOCKED");
  });
});
