/**
 * Encodes and decodes records, and checks each record by itself. `history.ts` checks it against the records before it.
 */

import { decodeLine, decodeParts, encodeObject, type Line, Misfit, type Part, SHA_BYTES } from "./object.ts";
import type { LogRecord, NamedState, RecordHead, RecordLine, Stored } from "./record.ts";

/** The object of a record. */
export async function encodeRecord(record: LogRecord): Promise<Uint8Array<ArrayBuffer>> {
  if (record.kind === "opening") return encodeObject(record, []);
  if (record.kind === "blocks") {
    const { blocks, ...fields } = record;
    return encodeObject(fields, [{ name: "blocks", bytes: blocks }]);
  }
  const parts: Part[] = [
    { name: "blocks", bytes: record.blocks },
    { name: "cells", bytes: record.cells },
  ];
  if (record.kind === "state") {
    const { blocks: _blocks, cells: _cells, ...fields } = record;
    return encodeObject(fields, parts);
  }
  const { blocks: _blocks, cells: _cells, states, ...fields } = record;
  // Put the states first, so that the beginning of the object is enough to list them.
  return encodeObject(fields, [{ name: "states", bytes: encodeStates(states) }, ...parts]);
}

/**
 * The line of a record, from the beginning of its object.
 * @throws Misfit it is damaged, or no record of this sequence
 */
export function decodeRecordLine(
  key: string,
  sequence: number,
  object: Uint8Array,
): RecordLine & { readonly hash: string } {
  const line = decodeLine(key, object);
  return { ...recordLineOf(key, sequence, line), hash: line.hash };
}

/**
 * Decodes a whole record, and checks every part against its hash.
 * @throws Misfit it is damaged, or no record of this sequence
 */
export async function decodeRecord(key: string, sequence: number, object: Uint8Array): Promise<Stored> {
  const line = decodeLine(key, object);
  const fields = recordLineOf(key, sequence, line);
  const parts = await decodeParts(key, line, object);
  return { record: withParts(key, fields, parts), hash: line.hash, sizeBytes: object.length };
}

/** Returns how many bytes the line and the states take at the beginning of an object. */
export function statesEnd(key: string, object: Uint8Array): number {
  const line = decodeLine(key, object);
  const [first] = line.parts;
  return line.sizeBytes + (first?.name === "states" ? first.bytes : 0);
}

/** The states that a full record names, from the beginning of its object. @throws Misfit */
export async function decodeNamedStates(key: string, object: Uint8Array): Promise<NamedState[]> {
  const line = decodeLine(key, object);
  const parts = line.parts.slice(0, 1);
  const end = line.sizeBytes + (parts[0]?.bytes ?? 0);
  const [states] = await decodeParts(key, { ...line, parts }, object.subarray(0, end));
  return decodeStates(key, states ?? new Uint8Array(0));
}

function withParts(key: string, fields: RecordLine, parts: readonly Uint8Array[]): LogRecord {
  if (fields.kind === "opening") return fields;
  if (fields.kind === "full") {
    const [states = NOTHING, blocks = NOTHING, cells = NOTHING] = parts;
    return { ...fields, states: decodeStates(key, states), blocks: wholeHashes(key, blocks), cells };
  }
  const [blocks = NOTHING, cells = NOTHING] = parts;
  if (fields.kind === "blocks") return { ...fields, blocks: wholeHashes(key, blocks) };
  return { ...fields, blocks: wholeHashes(key, blocks), cells };
}

const NOTHING: Uint8Array = new Uint8Array(0);
const PARTS: Readonly<Record<RecordHead["kind"], string>> = {
  opening: "",
  blocks: "blocks",
  state: "blocks,cells",
  full: "states,blocks,cells",
};

function wholeHashes(key: string, blocks: Uint8Array): Uint8Array {
  if (blocks.length % SHA_BYTES !== 0) throw new Misfit(key, `its blocks are not hashes of ${SHA_BYTES} bytes`);
  return blocks;
}

/** Encodes each state as an array, with its config only if it differs from that of the previous state. */
function encodeStates(states: readonly NamedState[]): Uint8Array {
  let config = "";
  const rows = states.map((state) => {
    const row = [state.sequence, state.time, state.root, state.next];
    if (state.config === config) return row;
    config = state.config;
    return [...row, config];
  });
  return new TextEncoder().encode(JSON.stringify(rows));
}

function decodeStates(key: string, bytes: Uint8Array): NamedState[] {
  const wrong = (): Misfit => new Misfit(key, "its states have a wrong format");
  let rows: unknown;
  try {
    rows = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw wrong();
  }
  if (!Array.isArray(rows)) throw wrong();
  let config: unknown;
  return rows.map((row: unknown) => {
    if (!Array.isArray(row)) throw wrong();
    const [sequence, time, root, next, ownConfig] = row as unknown[];
    config = ownConfig ?? config;
    if (!isWhole(sequence) || !isWhole(time) || !isWhole(root) || !isWhole(next) || !isHex(config, 64)) throw wrong();
    return { sequence, time, root, next, config };
  });
}

function recordLineOf(key: string, sequence: number, { fields, parts }: Line): RecordLine {
  const { kind } = fields;
  const isKind = kind === "opening" || kind === "blocks" || kind === "state" || kind === "full";
  if (!isKind || parts.map(({ name }) => name).join() !== PARTS[kind]) throw new Misfit(key, "it is not a record");
  if (fields["sequence"] !== sequence) throw new Misfit(key, `it says that it is record ${String(fields["sequence"])}`);
  const { file } = fields as { file?: Record<string, unknown> };
  const isHeadValid =
    isHex(fields["replica"], 32) &&
    isHex(fields["session"], 32) &&
    isHex(fields["previous"], 64) &&
    ["epoch", "time", "full", "truncations", "pid"].every((name) => isWhole(fields[name])) &&
    [fields["host"], file?.["host"], file?.["inode"], file?.["created"]].every((value) => typeof value === "string");
  const isBodyValid =
    kind === "opening" ||
    (isHex(fields["config"], 64) &&
      isWhole(fields["firstBlock"]) &&
      (kind === "blocks" || (hasStateFields(fields) && (kind === "state" || hasFullFields(fields)))));
  if (!isHeadValid || !isBodyValid) throw new Misfit(key, "a field of its line is missing, or has a wrong type");
  const { parts: _parts, ...rest } = fields;
  return rest as unknown as RecordLine;
}

function hasStateFields(fields: Line["fields"]): boolean {
  const isNumbered = ["root", "next", "first"].every((name) => isWhole(fields[name]));
  return isNumbered && isHex(fields["tailHash"], 64) && isHex(fields["blocksHash"], 64);
}

function hasFullFields(fields: Line["fields"]): boolean {
  return ["previousFull", "previousEpoch", "repeats"].every((name) => isWhole(fields[name]));
}

function isWhole(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isHex(value: unknown, characters: number): value is string {
  return typeof value === "string" && value.length === characters && /^[0-9a-f]*$/.test(value);
}
