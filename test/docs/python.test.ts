/** A second language: the Python program of the examples reads what the original and Cellar wrote. */

import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { StorageWriter } from "../../src/index.ts";
import { useFolder } from "../support/folder.ts";
import { type GoldenCase, goldenBytes, goldenCases, patternBytes } from "../support/golden.ts";
import { requires } from "../crash/survive/requires.ts";

const examples = join(import.meta.dir, "../../examples");
const path = useFolder({ spoiled: true });
const { met, fails, note } = requires("python3");

/** Far more than it takes: what hangs fails. */
const TIMEOUT_MS = 20_000;
const REFUSED = expect.stringMatching(/^read_storage: .+\n$/);

/** Reads [path, indices] from its arguments, and answers in JSON what the storage is and the hash of each blob. */
const HARNESS = `
import hashlib, json, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from read_storage import Storage

def told(path, indices):
    storage = Storage(path)
    blobs = {index: hashlib.sha256(storage.read(int(index))).hexdigest() for index in indices}
    config = [storage.head_string, storage.version, storage.bytes_per_cell, storage.max_index]
    return {"config": config, "startIndex": storage.start_index, "root": storage.root, "next": storage.next, "blobs": blobs}

print(json.dumps([told(*one) for one in json.load(sys.stdin)]))
`;

interface Told {
  readonly config: readonly (string | number)[];
  readonly startIndex: number;
  readonly root: number;
  readonly next: number;
  readonly blobs: Readonly<Record<string, string>>;
}

function python(args: readonly string[], input = ""): { status: number; output: Buffer; errors: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["python3", ...args], {
    stdin: Buffer.from(input),
    timeout: TIMEOUT_MS,
  });
  return { status: exitCode, output: stdout, errors: stderr.toString() };
}

function tell(files: readonly (readonly [path: string, indices: readonly string[]])[]): Told[] {
  const { status, output, errors } = python(["-c", HARNESS, examples], JSON.stringify(files));
  expect({ status, errors }).toEqual({ status: 0, errors: "" });
  return JSON.parse(output.toString()) as Told[];
}

function program(...args: readonly string[]): { status: number; output: Buffer; errors: string } {
  return python(["-B", join(examples, "read_storage.py"), ...args]);
}

/** The blobs that a reader of flushes may read. */
function readable({ blobs, reopenedByReader }: GoldenCase): (readonly [index: string, sha256: string])[] {
  const entries = Object.entries(blobs).map(([index, { sha256 }]) => [index, sha256] as const);
  return entries.filter(([index]) => Number(index) < reopenedByReader.length);
}

describe.skipIf(!met && !fails)(`read_storage.py${note}`, () => {
  test("shows of every file of the original what the original's reader showed", () => {
    const files = goldenCases.map((golden) => {
      const file = path(`${golden.name}.cellar`);
      writeFileSync(file, goldenBytes(golden.name));
      return [file, readable(golden).map(([index]) => index)] as const;
    });
    const expected = goldenCases.map((golden): Told => {
      const { headString, bytesPerCell, maxIndex } = golden.config;
      const version = golden.ops.findLast((op) => op.op === "overrideVersion")?.version ?? golden.config.version;
      const { root, length: next } = golden.reopenedByReader;
      return {
        config: [headString, version, bytesPerCell, maxIndex],
        startIndex: golden.startIndex,
        root: root === "none" ? 0 : Number(root),
        next,
        blobs: Object.fromEntries(readable(golden)),
      };
    });
    expect(expected.flatMap(({ blobs }) => Object.keys(blobs)).length).toBeGreaterThan(50);
    expect(tell(files)).toEqual(expected);
  });

  test("reads a storage beside its writer, by the root and by an index", () => {
    const sizes = [0, 1, 26, 27, 65_535, 65_536, 300_000];
    using writer = StorageWriter.create(path(), { headString: "Püthon", version: 7, bytesPerCell: 32 });
    const blobs = sizes.map((size) => [writer.write(patternBytes(size, size)), patternBytes(size, size)] as const);
    writer.root = blobs.at(-1)?.[0] ?? null;
    const { root, length } = writer.flushSync();
    const unflushed = writer.write(Uint8Array.of(1));
    writer.commit();

    const { status, output } = program(writer.path);
    expect({ status, told: JSON.parse(output.toString()) }).toEqual({
      status: 0,
      told: { ...writerSays(writer), root, next: length },
    });
    for (const [index, bytes] of blobs) {
      expect(Buffer.compare(program(writer.path, String(index)).output, bytes)).toBe(0);
    }
    expect(program(writer.path, "root").output.length).toBe(300_000);
    expect(program(writer.path, String(unflushed))).toMatchObject({ status: 1, errors: REFUSED });
  });

  test("takes the other copy of a torn header, and refuses what is broken, in one line", () => {
    const name = path("original.cellar");
    {
      using writer = StorageWriter.create(name);
      writer.root = writer.write(new TextEncoder().encode("hello"));
    }
    const bytes = readFileSync(name);
    const spoil = (...offsets: readonly number[]): string => {
      const spoiled = Buffer.from(bytes);
      for (const offset of offsets) spoiled[offset] = (spoiled[offset] ?? 0) ^ 8;
      const file = path();
      writeFileSync(file, spoiled);
      return file;
    };
    // The last makes the chunk at 8 its own predecessor.
    const [disk1, disk2, headString, previous] = [40, 72, 3, 9 * 32 - 4];
    for (const torn of [disk1, disk2]) expect(program(spoil(torn), "root").output.toString()).toBe("hello");
    const cut = path();
    writeFileSync(cut, bytes.subarray(0, 100));
    for (const args of [[spoil(disk1, disk2)], [spoil(headString)], [spoil(previous), "root"], [cut], [path()]]) {
      expect(program(...args)).toMatchObject({ status: 1, errors: REFUSED });
    }
    for (const index of ["0", "7", "9", "-1", "4294967296"]) {
      expect(program(name, index)).toMatchObject({ status: 1, errors: REFUSED });
    }
  });
});

/** What the program prints of a storage, but for its state. */
function writerSays({ config, startIndex }: StorageWriter): Record<string, string | number> {
  const { headString, version, bytesPerCell, maxIndex } = config;
  return {
    head_string: headString,
    version,
    bytes_per_cell: bytesPerCell,
    max_index: maxIndex,
    start_index: startIndex,
  };
}
