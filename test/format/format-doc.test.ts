/** `docs/format.md` says what the library does: its tables, its numbers, and its example, byte by byte. */

import { expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { StorageWriter } from "../../src/index.ts";
import { encodeAnnexHead } from "../../src/format/annex-head.ts";
import { placeOfRecord } from "../../src/format/commit-record.ts";
import { blobCells, chunkCells } from "../../src/format/chunk.ts";
import { checkConfig, decodeConfig } from "../../src/format/config.ts";
import { hash96 } from "../../src/format/hash.ts";
import * as layout from "../../src/format/layout.ts";
import { useFolder } from "../support/folder.ts";
import { linkPackage } from "../support/linked-package.ts";

interface Table {
  /** The heading above it. */
  readonly heading: string;
  /** The first is the table's head. */
  readonly rows: readonly (readonly string[])[];
}

const root = join(import.meta.dir, "../..");
const doc = readFileSync(join(root, "docs/format.md"), "utf8");
const prose = doc.replace(/\s+/g, " ");
const tables = tablesOf(doc);
const file = useFolder();

const layouts: Record<string, Record<string, layout.Place>> = {
  "The first 256 bytes": layout.FILE,
  Config: layout.CONFIG,
  "Header copy": layout.HEADER,
  "Chunks and blobs": layout.FOOTER,
  "Annex head": layout.ANNEX_HEAD,
  "Commit record": layout.COMMIT_RECORD,
};
const offsetTables = tables.filter(({ rows }) => rows[0]?.join() === "offset,bytes,name,what");

test("every table of offsets belongs to one part of the layout, and every part has one", () => {
  expect(offsetTables.map(({ heading }) => heading)).toEqual(Object.keys(layouts));
  // A table with another head that tells offsets would escape the comparison.
  expect(tables.filter(({ rows }) => rows[0]?.includes("offset"))).toHaveLength(offsetTables.length);
  const exported = Object.values(layout).filter((value) => typeof value === "object");
  expect(new Set(Object.values(layouts))).toEqual(new Set(exported));
});

test.each(offsetTables.map((table) => [table.heading, table] as const))("%s: the same places", (heading, { rows }) => {
  const told = rows.slice(1).map(([offset, bytes, name]) => {
    return { name: unquoted(name), offset: Number(offset), sizeBytes: Number(bytes) };
  });
  expect(told).toEqual(Object.entries(layouts[heading] ?? {}).map(([name, place]) => ({ name, ...place })));
});

test("what a row says of its type fits its size", () => {
  const sizes: Record<string, string> = { u16: "2", u32: "4", hash: String(layout.HASH_BYTES) };
  const typed = offsetTables
    .flatMap(({ rows }) => rows.slice(1))
    .filter(([, , , what]) => /^(u16|u32|hash)\b/.test(what ?? ""));
  expect(typed.length).toBeGreaterThan(15);
  for (const [, bytes, , what] of typed) expect([what, bytes]).toEqual([what, sizes[what?.split(/\W/)[0] ?? ""]]);
});

test("the ranges of the config are those that are checked", () => {
  const config = { headString: "", version: 1, bytesPerCell: 32, maxIndex: 1000 };
  const rows = tableWith("value").slice(1);
  expect(rows.map(([name]) => unquoted(name))).toEqual(["bytesPerCell", "maxIndex", "version"]);
  for (const [name, least, most] of rows) {
    const first = least === "`startIndex`" ? layout.startIndexOf(config.bytesPerCell) : Number(least);
    const check = (value: number): unknown => checkConfig({ ...config, [unquoted(name)]: value });
    for (const value of [first, Number(most)]) expect(check(value)).toMatchObject({ [unquoted(name)]: value });
    for (const value of [first - 1, Number(most) + 1]) {
      expect(() => check(value)).toThrow(expect.objectContaining({ code: "INVALID_CONFIG" }));
    }
  }
});

test("start indices and the cells of chunks are as computed", () => {
  const [cellBytes, startIndices] = tableWith("`bytesPerCell`").map(numbersOf);
  expect(cellBytes?.map(layout.startIndexOf)).toEqual(startIndices ?? []);
  const [sizes, cells, taken] = tableWith("`size`").map(numbersOf);
  expect(sizes?.map((size, i) => chunkCells(size, cells?.[i] ?? 0))).toEqual(taken ?? []);
});

test("hash, CRC, magic and limits", () => {
  const told = (pattern: RegExp): string => pattern.exec(prose)?.[1] ?? `nothing like ${pattern}`;
  expect(told(/hash of 8 zero bytes is `(\w+)`/)).toBe(hex(hash96(new Uint8Array(8))));
  expect(told(/\*\*Hash\*\* is BLAKE2b with a _digest length_ of (\d+)/)).toBe(String(layout.HASH_BYTES));
  expect(told(/nine bytes `123456789` it is `(\w+)`, of no bytes 0/)).toBe(crc32("123456789").toString(16));
  expect(crc32("")).toBe(0);
  expect(told(/\*\*chunks\*\* of at most (\d+) bytes/)).toBe(String(layout.MAX_CHUNK_BYTES));
  expect(told(/\*\*footer\*\* is the last (\d+) bytes/)).toBe(String(layout.FOOTER_BYTES));
  expect(told(/The first (\d+) bytes hold the config/)).toBe(String(layout.HEADER_AREA_BYTES));
  expect(told(/The first (\d+) bytes, cells, chunks/)).toBe(String(layout.FILE.annexHead.offset));
  const head = encodeAnnexHead(0, new Uint8Array(layout.HEADER_AREA_BYTES));
  const magic = Buffer.from(head.subarray(0, layout.ANNEX_HEAD.magic.sizeBytes));
  expect(told(/\| `(CLR1`: [^|]+?) \|/)).toBe(`${magic.toString("latin1")}\`: ${hex(magic, " ")}`);
});

test("ranges under a hash or a CRC end where their fields do", () => {
  const whatOf = (heading: string, name: string): string | undefined =>
    offsetTables.find((table) => table.heading === heading)?.rows.find((row) => unquoted(row[2]) === name)?.[3];
  const { HEADER, CONFIG, ANNEX_HEAD, COMMIT_RECORD } = layout;
  expect(whatOf("Header copy", "hash")).toEndWith(`[${HEADER.root.offset}, ${layout.HEADER_BYTES})\``);
  expect(whatOf("Header copy", "keyedHash")).toContain(`[${HEADER.root.offset}, ${layout.HEADER_BYTES})\``);
  expect(whatOf("Annex head", "configHash")).toContain(`[0, ${CONFIG.version.offset})\``);
  expect(whatOf("Annex head", "headHash")).toContain(`[0, ${ANNEX_HEAD.headHash.offset})\``);
  expect(whatOf("Commit record", "recordCrc")).toContain(`[0, ${COMMIT_RECORD.recordCrc.offset})\``);
});

test("blobs are cut and records placed as told", () => {
  expect(prose).toContain("So 65535 bytes make one chunk, 65536 two, 131070 two.");
  expect([0, 65535, 65536, 131070, 131071].map((size) => blobCells(size, 65535))).toEqual([1, 2, 3, 4, 5]);
  expect(prose).toContain("of an odd `sequence` stands at `commitRecord1`, of an even one at `commitRecord2`");
  expect([1, 2].map(placeOfRecord)).toEqual([layout.FILE.commitRecord1, layout.FILE.commitRecord2]);
});

test.skipIf(process.platform !== "linux")("the writer's locks are on the bytes told (OFD locks: Linux only)", () => {
  const rows = tableWith("lock");
  const bytes = [...JSON.stringify(rows).matchAll(/byte (\d+) = 2\^62( \+ 1)?/g)].map((match) => match[1]);
  expect(bytes).toEqual([String(2n ** 62n), String(2n ** 62n + 1n)]);
  const path = file();
  StorageWriter.create(path).close();
  // Opened again: what create makes was opened under another name.
  using writer = StorageWriter.open(path);
  const held = readdirSync("/proc/self/fd")
    .filter((fd) => linkOf(fd) === realpathSync(writer.path))
    .flatMap((fd) => readFileSync(`/proc/self/fdinfo/${fd}`, "utf8").split("\n"))
    .filter((line) => line.startsWith("lock:"));
  expect(JSON.stringify(rows)).toContain("byte 2^62 + 2^32 + T, where T is the system's id of the writer's thread");
  const thread = 2n ** 62n + 2n ** 32n + BigInt(readlinkSync("/proc/thread-self").split("/").at(-1) ?? "");
  // The kernel joins the two adjacent locks to one range.
  const ranges = [bytes.join(" "), `${thread} ${thread}`];
  expect(held).toEqual(
    ranges.map((range) => expect.stringMatching(new RegExp(`OFDLCK +ADVISORY +WRITE .* ${range}$`))),
  );
});

test("the example's command makes the example's bytes", () => {
  const [, program = "", name = ""] = /^bun -e '([^']+)' (\S+)$/m.exec(doc) ?? [];
  const [, dump = ""] = /```\n(00000000 [\s\S]+?)```/.exec(doc) ?? [];
  const modules = file("example/node_modules");
  linkPackage(modules);
  const cwd = dirname(modules);
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, "-e", program, name], { cwd });
  expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });

  const made = readFileSync(join(cwd, name));
  expect(dump).toBe(hexdumpOf(made));
  checkExampleProse(made);
});

/** What the text below the dump says of it. */
function checkExampleProse(made: Buffer): void {
  const [, rootIndex, next, crc, footer] =
    /say root (\d+), next (\d+)\. .* CRC of cell 8 is `(\w+)`\. The footer, at (\w+), says 5 bytes/.exec(prose) ?? [];
  const u32 = (part: layout.Place, place: layout.Place): number => made.readUInt32LE(part.offset + place.offset);
  for (const copy of [layout.FILE.disk1, layout.FILE.disk2, layout.FILE.process1, layout.FILE.process2]) {
    expect([u32(copy, layout.HEADER.root), u32(copy, layout.HEADER.next)]).toEqual([Number(rootIndex), Number(next)]);
  }
  const { bytesPerCell } = decodeConfig(made);
  expect(crc32(made.subarray(8 * bytesPerCell, 9 * bytesPerCell)).toString(16)).toBe(String(crc));
  expect(u32(layout.FILE.commitRecord2, layout.COMMIT_RECORD.cellsCrc).toString(16)).toBe(String(crc));
  expect(u32(layout.FILE.commitRecord1, layout.COMMIT_RECORD.cellsCrc)).toBe(0);
  expect((made.length - layout.FOOTER_BYTES).toString(16)).toBe(String(footer));
  expect(hex(made.subarray(-layout.FOOTER_BYTES))).toBe("050000000000");
}

/** As `hexdump -C -v` prints it. */
function hexdumpOf(bytes: Buffer): string {
  const at = (offset: number): string => offset.toString(16).padStart(8, "0");
  let lines = "";
  for (let offset = 0; offset < bytes.length; offset += 16) {
    const row = bytes.subarray(offset, offset + 16);
    const text = row.toString("latin1").replace(/[^ -~]/g, ".");
    lines += `${at(offset)}  ${hex(row.subarray(0, 8), " ")}  ${hex(row.subarray(8), " ")}  |${text}|\n`;
  }
  return `${lines}${at(bytes.length)}\n`;
}

function tablesOf(markdown: string): Table[] {
  const found: { heading: string; rows: string[][] }[] = [];
  let heading = "";
  let inTable = false;
  for (const line of markdown.split("\n")) {
    const isRow = line.startsWith("|");
    if (line.startsWith("#")) heading = line.replace(/^#+ /, "");
    if (isRow && !inTable) found.push({ heading, rows: [] });
    inTable = isRow;
    const cells = line.split("|").map((cell) => cell.trim());
    if (isRow && !/^\| *-/.test(line)) found.at(-1)?.rows.push(cells.slice(1, -1));
  }
  return found;
}

/** The rows of the one table whose head begins with `first`. */
function tableWith(first: string): readonly (readonly string[])[] {
  const [table, ...others] = tables.filter(({ rows }) => rows[0]?.[0] === first);
  if (table === undefined || others.length > 0) throw new Error(`one table with ${first}: ${others.length + 1}`);
  return table.rows;
}

function numbersOf(row: readonly string[]): number[] {
  return row.slice(1).map(Number);
}

function unquoted(cell: string | undefined): string {
  return /^`(\w+)`$/.exec(cell ?? "")?.[1] ?? `not a name: ${cell}`;
}

function hex(bytes: Uint8Array, between = ""): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(between);
}

/** What a descriptor of this process is open on; one may have been closed since it was listed. */
function linkOf(fd: string): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return null;
    throw error;
  }
}
