/** A file system whose mappings, locks and syncs are not a local one's is refused: here FUSE, a folder over another. */

import { afterAll, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { check, StorageReader, StorageWriter } from "../../src/index.ts";
import { codeOf, errorOf } from "../support/errors.ts";
import { requires } from "../crash/survive/requires.ts";
import { Workplace } from "../crash/survive/workplace.ts";

const { met, fails, note } = requires("root", "mount", "fuse");
const workplace = new Workplace();
afterAll(() => workplace[Symbol.dispose]());

/** The folder, and the same one through FUSE. */
function folders(): { readonly local: string; readonly fuse: string } {
  const [local, fuse] = [workplace.makeFolder(), workplace.makeFolder()];
  const { exitCode, stderr } = Bun.spawnSync(["bindfs", local, fuse], { stderr: "pipe" });
  if (exitCode !== 0) throw new Error(`bindfs: ${stderr.toString()}`);
  workplace.owns(fuse, () => Bun.spawnSync(["umount", "-l", fuse]));
  return { local, fuse };
}

test.skipIf(!met && !fails)(`FUSE is refused, unless it is allowed${note}`, async () => {
  expect(met).toBe(true);
  const { local, fuse } = folders();
  const path = join(fuse, "new.cellar");
  expect(codeOf(() => StorageWriter.create(path))).toBe("UNSUPPORTED");
  expect(codeOf(() => StorageWriter.openOrCreate(path))).toBe("UNSUPPORTED");
  expect(existsSync(path)).toBe(false);

  const writer = StorageWriter.create(join(local, "there.cellar"));
  writer.root = writer.write(Uint8Array.of(1, 2, 3));
  writer.close();
  const there = join(fuse, "there.cellar");
  expect(errorOf(() => StorageReader.open(there))).toMatchObject({ code: "UNSUPPORTED", path: there });
  expect(codeOf(() => StorageWriter.open(there))).toBe("UNSUPPORTED");
  // By pread alone, which is the same on every file system.
  expect(check(there).every(({ level }) => level === "ok")).toBe(true);

  using reader = StorageReader.open(there, { allowUnsafeFilesystem: true });
  expect([...reader.read(reader.root ?? 0)]).toEqual([1, 2, 3]);
  await expect(reader.copyTo(join(fuse, "copy.cellar"))).rejects.toMatchObject({ code: "UNSUPPORTED" });
  expect(existsSync(join(fuse, "copy.cellar"))).toBe(false);
  await reader.copyTo(join(local, "copy.cellar"));
  expect(check(join(local, "copy.cellar")).every(({ level }) => level === "ok")).toBe(true);
});
