/** What the system refuses at a bad moment: what was promised by then holds, and nothing is left half done. */

import { afterEach, describe, expect, mock, spyOn, test } from "bun:test";
import * as fs from "node:fs";
import { basename, dirname } from "node:path";
import { StorageReader, type StorageState, StorageWriter } from "../../src/index.ts";
import { backUp, backupName } from "../../src/offline/backup.ts";
import { F_TLOCK, FALLOC_FL_PUNCH_HOLE, MAP_PRIVATE } from "../../src/os/constants.ts";
import { libc } from "../../src/os/libc.ts";
import { codeOf, errorOf } from "../support/errors.ts";
import { useFolder } from "../support/folder.ts";

const fresh = useFolder();
const inMemory = useFolder({ inMemory: true });
const TMPFS_MAGIC = 0x01021994;
const EINTR = 4;
const EIO = 5;
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytesOf = (value: string): Uint8Array => new TextEncoder().encode(value);
/** More than is stored without a call of the kernel. */
const large = new Uint8Array(60_000).fill(7);

afterEach(() => mock.restore());

/** What node:fs throws when the device fails. */
function deviceError(syscall: string): Error {
  return Object.assign(new Error(`EIO: i/o error, ${syscall}`), { code: "EIO", errno: -EIO, syscall });
}

/** All writes fail from now on, as on a device that fails. */
function failWrites(): void {
  spyOn(libc(), "pwrite").mockReturnValue(-1);
  spyOn(libc(), "errno").mockReturnValue(EIO);
}

/** What a flush resolves to, or the code of its error. */
function outcomeOf(flush: Promise<StorageState>): Promise<StorageState | string> {
  return flush.catch((error: unknown) => codeOf(() => thrown(error)));
}

function thrown(error: unknown): never {
  throw error;
}

/** A flushed storage whose root is "flushed". */
function flushed(): StorageWriter {
  const writer = StorageWriter.create(fresh());
  writer.root = writer.write(bytesOf("flushed"));
  writer.flushSync();
  return writer;
}

test("a write that is interrupted is tried again, and one that ends early is continued", () => {
  using writer = StorageWriter.create(fresh());
  const index = writer.write(large);
  writer.root = index;
  const { pwrite, errno } = libc();
  const calls: (readonly [number, number])[] = [];
  spyOn(libc(), "pwrite").mockImplementation((fd, bytes, lengthBytes, offset) => {
    calls.push([lengthBytes, offset]);
    return calls.length === 1 ? -1 : pwrite(fd, bytes, Math.min(lengthBytes, 50_000), offset);
  });
  spyOn(libc(), "errno").mockImplementation(() => (calls.length === 1 ? EINTR : errno()));
  writer.commit();
  mock.restore();
  const [[lengthBytes, offset] = [0, 0]] = calls;
  expect(calls.slice(0, 3)).toEqual([
    [lengthBytes, offset],
    [lengthBytes, offset],
    [lengthBytes - 50_000, offset + 50_000],
  ]);
  writer.close();
  using reader = StorageReader.open(writer.path);
  expect(reader.read(index)).toEqual(large);
});

test("a write that writes nothing is an error, and not asked for ever; what was staged is there for the next try", () => {
  using writer = StorageWriter.create(fresh());
  const index = writer.write(large);
  const spy = spyOn(libc(), "pwrite").mockReturnValue(0);
  const error = errorOf(() => writer.commit());
  expect([error.code, error.errno, error.path]).toEqual(["SYSTEM", EIO, writer.path]);
  expect(spy).toHaveBeenCalledTimes(1);
  mock.restore();
  writer.commit();
  expect(writer.read(index)).toEqual(large);
});

describe("a close that cannot write what is staged", () => {
  test("rejects the flush under way, and touches nothing of the file any more", async () => {
    const writer = flushed();
    writer.root = writer.write(bytesOf("asked for"));
    const flush = outcomeOf(writer.flush());
    writer.write(large);
    failWrites();
    expect(codeOf(() => writer.close())).toBe("SYSTEM");
    const lockf = spyOn(libc(), "lockf");
    expect(await flush).toBe("CLOSED");
    expect(lockf).not.toHaveBeenCalled();
    mock.restore();
    using next = StorageWriter.open(writer.path);
    expect(text(next.read(next.root ?? 0))).toBe("asked for");
    expect(next.recovery.state).toBe("resumedAtCommit");
  });

  test("releases the file: it can be opened again at once", () => {
    const writer = flushed();
    writer.write(large);
    failWrites();
    expect(codeOf(() => writer.close())).toBe("SYSTEM");
    mock.restore();
    expect([writer.closed, codeOf(() => writer.flushSync())]).toEqual([true, "CLOSED"]);
    using next = StorageWriter.open(writer.path);
    expect(text(next.read(next.root ?? 0))).toBe("flushed");
  });
});

describe("opening for writing", () => {
  /** The calls of one opening: stores of headers begin with a lock. */
  function callsOfOpening(path: string): string[] {
    const calls: string[] = [];
    const { lockf, msync } = libc();
    const { fsyncSync } = fs;
    spyOn(libc(), "lockf").mockImplementation((fd, command, lengthBytes) => {
      if (command === F_TLOCK) calls.push("store");
      return lockf(fd, command, lengthBytes);
    });
    spyOn(libc(), "msync").mockImplementation((address, lengthBytes, flags) => {
      calls.push("msync");
      return msync(address, lengthBytes, flags);
    });
    spyOn(fs, "fsyncSync").mockImplementation((fd) => {
      calls.push("fsync");
      return fsyncSync(fd);
    });
    StorageWriter.open(path).close();
    mock.restore();
    return calls;
  }

  test("syncs the size, which a killed writer may have grown, with its first sync", () => {
    const writer = flushed();
    writer.close();
    const calls = callsOfOpening(writer.path);
    expect(calls.slice(calls.indexOf("msync"), calls.indexOf("msync") + 2)).toEqual(["msync", "fsync"]);
  });

  test("stores the disk-sync copy that is good again before it syncs: after a failed sync its page may pass for written", () => {
    const writer = flushed();
    writer.root = writer.write(bytesOf("not acknowledged"));
    const { msync } = libc();
    let syncs = 0;
    // The second sync of a flush: copy 1 is new by then, copy 2 is old.
    spyOn(libc(), "msync").mockImplementation((...call) => (++syncs === 2 ? -1 : msync(...call)));
    expect(codeOf(() => writer.flushSync())).toBe("FAILED");
    mock.restore();
    writer.close();
    const calls = callsOfOpening(writer.path);
    expect(calls.slice(0, 5)).toEqual(["store", "msync", "fsync", "store", "msync"]);
  });
});

describe("with little memory to map", () => {
  const LIMIT_BYTES = 400 * 2 ** 20;
  const ENOMEM = 12;

  /** Refuses mappings above a size, and those that `refuses` names; answers the sizes that were given. */
  function limitMappings(refuses: (prot: number, flags: number) => boolean): number[] {
    const given: number[] = [];
    const { mmap, errno } = libc();
    let refused = false;
    spyOn(libc(), "mmap").mockImplementation((address, lengthBytes, prot, flags, fd, offset) => {
      refused = lengthBytes > LIMIT_BYTES || refuses(prot, flags);
      if (refused) return -1;
      given.push(lengthBytes);
      return mmap(address, lengthBytes, prot, flags, fd, offset);
    });
    spyOn(libc(), "errno").mockImplementation(() => (refused ? ENOMEM : errno()));
    return given;
  }

  test("takes a modest part of it, not all that there is", () => {
    const path = fresh();
    StorageWriter.create(path).close();
    const given = limitMappings(() => false);
    using reader = StorageReader.open(path);
    expect(reader.length).toBe(reader.startIndex);
    expect(given).toEqual([64 * 2 ** 20, 64 * 2 ** 20]);
  });

  test("a reader goes on where private memory is refused, also when the file outgrows its mapping", () => {
    using writer = StorageWriter.create(fresh());
    let isPrivateRefused = false;
    limitMappings((_prot, flags) => isPrivateRefused && (flags & MAP_PRIVATE) !== 0);
    using reader = StorageReader.open(writer.path);
    isPrivateRefused = true;
    writer.allocate((70 * 2 ** 20) / 32);
    writer.root = writer.write(bytesOf("behind the first mapping"));
    writer.flushSync();
    expect(reader.refresh()).toBe(true);
    expect(text(reader.read(reader.root ?? 0))).toBe("behind the first mapping");
    expect(text(reader.chunks(reader.root ?? 0)[0] ?? new Uint8Array(0))).toBe("behind the first mapping");
  });
});

describe("what was given out behind the last flush, after a kill", () => {
  /** Whether opening a file that no writer has closed punches a hole behind its cells. */
  function punches(path: string): boolean {
    const killed = StorageWriter.create(path);
    killed.root = killed.write(bytesOf("flushed"));
    killed.flushSync();
    const image = fs.readFileSync(path);
    killed.close();
    fs.writeFileSync(path, image);
    const spy = spyOn(libc(), "fallocate");
    StorageWriter.open(path).close();
    const modes = spy.mock.calls.map(([, mode]) => mode);
    mock.restore();
    return modes.some((mode) => (mode & FALLOC_FL_PUNCH_HOLE) !== 0);
  }

  const linux = process.platform === "linux";
  test.skipIf(!linux)(`is given back on a disk${linux ? "" : " (skipped: Linux only)"}`, () => {
    expect(punches(fresh())).toBe(fs.statfsSync(dirname(fresh())).type !== TMPFS_MAGIC);
  });

  test.skipIf(!linux)(
    `stays on tmpfs, where reading a hole takes space${linux ? "" : " (skipped: Linux only)"}`,
    () => {
      expect(fs.statfsSync(dirname(inMemory())).type).toBe(TMPFS_MAGIC);
      expect(punches(inMemory())).toBe(false);
    },
  );
});

test("a copy that is kept before recovery has its name only when it is whole", () => {
  const path = flushed().path;
  const names = (): string[] => fs.readdirSync(dirname(path)).filter((name) => name.includes("before-recovery"));
  const { fsyncSync } = fs;
  const during: string[][] = [];
  spyOn(fs, "fsyncSync").mockImplementation((fd) => {
    during.push(names());
    fsyncSync(fd);
  });
  const name = backupName(path);
  backUp(path, name);
  // The syncs of the copy, and of the directory that has its name.
  expect(during).toEqual([[], [basename(name)]]);
  expect(fs.readFileSync(name).equals(fs.readFileSync(path))).toBe(true);
  spyOn(fs, "fsyncSync").mockImplementation(() => thrown(deviceError("fsync")));
  expect(codeOf(() => backUp(path, backupName(path)))).toBe("SYSTEM");
  expect(names()).toHaveLength(1);
});
