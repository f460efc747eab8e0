/**
 * The framing of every object: a line, then bytes. The line is JSON of at most 4 kB, a space, the SHA-256 of the JSON
 * in hex, and a newline. It names the length and the SHA-256 of each part of the bytes, so a cut, a flipped bit or a
 * swapped part is found before any of it is used.
 */

import { Slots, yieldToEventLoop } from "../os/event-loop.ts";

const LINE_JSON_BYTES = 4096;
const SHA_HEX_CHARACTERS = 64;
/** The longest line in bytes: its JSON, a space, a hash, and a newline. */
export const LINE_BYTES: number = LINE_JSON_BYTES + 1 + SHA_HEX_CHARACTERS + 1;
export const SHA_BYTES = 32;
/** Hashing this much takes some 0.3 ms. Then the event loop runs other work. */
export const STEP_BYTES: number = 512 * 1024;

/** A part of an object's bytes, as its line describes it. */
export interface PartLine {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A part with its bytes. */
export interface Part {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A line whose own hash matches. */
export interface Line {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly parts: readonly PartLine[];
  /** The SHA-256 of the JSON, which the next record stores as `previous`. */
  readonly hash: string;
  /** The length of the line in bytes; the parts begin there. */
  readonly sizeBytes: number;
}

/**
 * An object in the store is damaged or missing, or does not fit the objects read before, because the log has changed
 * since. Readers list and read the log again. If the same Misfit comes twice, it becomes REPLICA_CORRUPT.
 */
export class Misfit extends Error {
  override readonly name = "Misfit";
  readonly key: string;
  readonly check: string;

  constructor(key: string, check: string) {
    super(`${key}: ${check}`);
    this.key = key;
    this.check = check;
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

export function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

/** Long hashes are computed one after the other, so that the first is stored or sent while the next is computed. */
const hashing: Slots = new Slots(1);

/** Computes the SHA-256 of many bytes, in steps between which the event loop may run other work. */
export async function sha256InSteps(bytes: Uint8Array): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  if (bytes.length <= STEP_BYTES) return hasher.update(bytes).digest("hex");
  await hashing.run(() => updateInSteps(hasher, bytes));
  return hasher.digest("hex");
}

/** Adds many bytes to a hash, in steps between which the event loop may run other work. */
export async function updateInSteps(hasher: Bun.CryptoHasher, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length; offset += STEP_BYTES) {
    if (offset > 0) await yieldToEventLoop();
    hasher.update(bytes.subarray(offset, offset + STEP_BYTES));
  }
}

/** Copies many bytes, in steps between which the event loop may run other work. */
export async function copyInSteps(target: Uint8Array, source: Uint8Array, at: number): Promise<void> {
  for (let offset = 0; offset < source.length; offset += STEP_BYTES) {
    if (offset > 0) await yieldToEventLoop();
    target.set(source.subarray(offset, offset + STEP_BYTES), at + offset);
  }
}

/**
 * Allocates memory that is not zeroed, so the caller must write all of it. To zero a block would hold the event loop
 * for some ten milliseconds.
 */
export function allocateUnzeroed(lengthBytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.allocUnsafeSlow(lengthBytes).buffer);
}

/**
 * Frees the memory of large bytes now, because the garbage collector would keep many blocks. Do not use the bytes
 * afterwards.
 */
export function release(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength >= STEP_BYTES && !buffer.detached) buffer.transfer(0);
}

/** Concatenates byte arrays, copied in steps. */
export async function joined(...parts: readonly Uint8Array[]): Promise<Uint8Array<ArrayBuffer>> {
  const whole = allocateUnzeroed(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    await copyInSteps(whole, part, offset);
    offset += part.length;
  }
  return whole;
}

/** The line of an object. @throws RangeError more than 4 kB of JSON */
export function encodeLine(fields: object, parts: readonly PartLine[]): Uint8Array<ArrayBuffer> {
  const json = JSON.stringify({ ...fields, parts });
  const line = encoder.encode(`${json} ${sha256(encoder.encode(json))}\n`);
  if (line.length > LINE_BYTES)
    throw new RangeError(`an object's line has ${line.length} bytes, at most ${LINE_BYTES}`);
  return line;
}

/** Makes an object of its fields and parts. */
export async function encodeObject(fields: object, parts: readonly Part[]): Promise<Uint8Array<ArrayBuffer>> {
  const described: PartLine[] = [];
  for (const { name, bytes } of parts)
    described.push({ name, bytes: bytes.length, sha256: await sha256InSteps(bytes) });
  return joined(encodeLine(fields, described), ...parts.map(({ bytes }) => bytes));
}

/**
 * The line at the beginning of an object; the bytes behind it may be missing.
 * @throws Misfit there is no line, its hash is wrong, or it does not describe parts
 */
export function decodeLine(key: string, object: Uint8Array): Line {
  const end = object.subarray(0, LINE_BYTES).indexOf(0x0a);
  if (end < SHA_HEX_CHARACTERS + 1) throw new Misfit(key, `no line in its first ${LINE_BYTES} bytes`);
  const json = object.subarray(0, end - SHA_HEX_CHARACTERS - 1);
  const hash = sha256(json);
  if (String.fromCharCode(...object.subarray(json.length, end)) !== ` ${hash}`) {
    throw new Misfit(key, "the SHA-256 of its line is wrong");
  }
  const fields = parseObject(key, json);
  const { parts } = fields;
  if (!Array.isArray(parts) || !parts.every(isPartLine)) throw new Misfit(key, "its line does not describe its parts");
  return { fields, parts, hash, sizeBytes: end + 1 };
}

/**
 * The parts of a whole object, each checked against its hash; in the order of the line.
 * @throws Misfit the object is shorter or longer than its line says, or a part's hash is wrong
 */
export async function decodeParts(key: string, line: Line, object: Uint8Array): Promise<Uint8Array[]> {
  const expected = line.parts.reduce((sum, { bytes }) => sum + bytes, line.sizeBytes);
  if (object.length !== expected) throw new Misfit(key, `it has ${object.length} bytes, its line says ${expected}`);
  const parts: Uint8Array[] = [];
  let offset = line.sizeBytes;
  for (const { name, bytes, sha256: expectedHash } of line.parts) {
    const part = object.subarray(offset, offset + bytes);
    if ((await sha256InSteps(part)) !== expectedHash) throw new Misfit(key, `the SHA-256 of its ${name} is wrong`);
    parts.push(part);
    offset += bytes;
  }
  return parts;
}

function parseObject(key: string, json: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(json));
  } catch {
    throw new Misfit(key, "its line is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Misfit(key, "its line is not an object of JSON");
  }
  return value as Record<string, unknown>;
}

function isPartLine(value: unknown): value is PartLine {
  if (typeof value !== "object" || value === null) return false;
  const { name, bytes, sha256: hash } = value as Record<string, unknown>;
  const isLength = typeof bytes === "number" && Number.isSafeInteger(bytes) && bytes >= 0;
  return typeof name === "string" && isLength && typeof hash === "string" && /^[0-9a-f]{64}$/.test(hash);
}
