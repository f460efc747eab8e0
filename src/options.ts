/** Checks the options that users pass in, and converts them for the store. */

import { StorageError, wrongType } from "./error.ts";
import { type CheckedConfig, checkConfig, headStringOf, type StorageConfig } from "./format/config.ts";
import { MAX_U32 } from "./format/layout.ts";
import { copyOfKey, makeWriterKey } from "./key.ts";
import type { Part } from "./cells/blob.ts";
import type { WriterChoices } from "./store/open.ts";
import type { Follows } from "./state/visible.ts";

/** The options of a new storage. */
export interface CreateOptions extends WriteOptions {
  /** Names the application's format: at most 20 latin1 characters, or exactly 20 bytes. Default: empty. */
  readonly headString?: string | Uint8Array | undefined;
  /** The application's version, a u32. Default 1. */
  readonly version?: number | undefined;
  /** The size of a cell, 4 to 65535 bytes. Default 32. */
  readonly bytesPerCell?: number | undefined;
  /** The most cells that the storage may have, including the header area. Default 2^32 - 1. */
  readonly maxIndex?: number | undefined;
  /** How many cells to reserve at creation, including the header area. */
  readonly capacityCells?: number | undefined;
}

/** The options of every writer. */
export interface WriteOptions {
  /** The key of the process-sync header, 32 bytes. Readers of Plebeia need it to follow commits. Default: random. */
  readonly writerKey?: Uint8Array | undefined;
  /**
   * Bytes by which the file grows. Default: the environment's PLEBEIA_RESIZE_STEP_BYTES, else the file doubles, by at
   * least 64 KiB and at most 64 MiB.
   */
  readonly resizeStepBytes?: number | undefined;
  /**
   * Allows a file on NFS, SMB, 9p or FUSE, where none of the guarantees hold. Default false. The file system is checked
   * on Linux only.
   */
  readonly allowUnsafeFilesystem?: boolean | undefined;
}

/** The options of a writer that opens an existing file. */
export interface OpenWriterOptions extends WriteOptions {
  /** Refuse the file if a given field differs from its config. */
  readonly expect?: Partial<StorageConfig> | undefined;
  /** How long to wait, blocking, while another process writes the file. Default 0. */
  readonly lockTimeoutMs?: number | undefined;
}

/** The options of a reader. */
export interface OpenReaderOptions {
  /** Refuse the file if a given field differs from its config. */
  readonly expect?: Partial<StorageConfig> | undefined;
  /**
   * Which states `refresh` follows: durable states ("flushes"), or the writer's last commit ("commits"). Default
   * "flushes". The state at opening may be that of a flush that has not ended yet.
   */
  readonly follow?: Follows | undefined;
  /** The writer's key, for files that Plebeia writes. Implies "commits". */
  readonly writerKey?: Uint8Array | undefined;
  /**
   * Allows a file on NFS, SMB, 9p or FUSE, where none of the guarantees hold. Default false. The file system is checked
   * on Linux only.
   */
  readonly allowUnsafeFilesystem?: boolean | undefined;
}

/** Which bytes of a blob are read. Bytes past its end are left out. */
export interface PartOptions {
  /** The first byte. Default 0. */
  readonly offset?: number | undefined;
  /** How many bytes at most. Default: all from `offset` on. */
  readonly length?: number | undefined;
}

const RESIZE_STEP_VARIABLE = "PLEBEIA_RESIZE_STEP_BYTES";
const DEFAULT_CELL_BYTES = 32;

/** Checks that options are an object. Any other value would be ignored silently. */
export function checkOptions(options: object): void {
  if (typeof options !== "object" || options === null) throw wrongType("options", "an object", options);
}

/** Returns the checked config of a new storage; `path` is for messages. */
export function configFrom(options: CreateOptions, path?: string): CheckedConfig {
  checkOptions(options);
  for (const name of ["version", "bytesPerCell", "maxIndex"] as const) numberOrNothing(name, options[name]);
  return checkConfig(
    {
      headString: headStringOf(options.headString === undefined ? "" : options.headString),
      version: options.version ?? 1,
      bytesPerCell: options.bytesPerCell ?? DEFAULT_CELL_BYTES,
      maxIndex: options.maxIndex ?? MAX_U32,
    },
    path,
  );
}

/** Returns the fields of the config that a file must have. */
export function expectedFrom(expect: CreateOptions | Partial<StorageConfig> | undefined): Partial<StorageConfig> {
  if (expect === undefined) return {};
  if (typeof expect !== "object" || expect === null) throw wrongType("expect", "an object", expect);
  const { headString, version, bytesPerCell, maxIndex } = expect;
  for (const [name, value] of Object.entries({ version, bytesPerCell, maxIndex })) numberOrNothing(name, value);
  return {
    ...(headString === undefined ? {} : { headString: headStringOf(headString) }),
    ...(version === undefined ? {} : { version }),
    ...(bytesPerCell === undefined ? {} : { bytesPerCell }),
    ...(maxIndex === undefined ? {} : { maxIndex }),
  };
}

/** Returns the writer's key and growth step. */
export function choicesFrom(options: WriteOptions): WriterChoices {
  checkOptions(options);
  const writerKey = options.writerKey === undefined ? makeWriterKey() : copyOfKey(options.writerKey);
  return { writerKey, stepBytes: stepFrom(options.resizeStepBytes) };
}

/** Returns the number of cells to reserve, limited to the storage's bounds; null if none was given. */
export function capacityFrom(
  options: Pick<CreateOptions, "capacityCells">,
  startIndex: number,
  maxIndex: number,
): number | null {
  checkOptions(options);
  const { capacityCells } = options;
  if (capacityCells === undefined) return null;
  positive("capacityCells", capacityCells);
  return Math.max(startIndex, Math.min(capacityCells, maxIndex));
}

/** Returns the requested part of a blob. @internal */
export function partFrom(options: PartOptions): Part {
  checkOptions(options);
  const { offset = 0, length = Infinity } = options;
  if (!isCount(offset)) throw wrongType("offset", "a whole number from 0 on", offset);
  if (!isCount(length) && length !== Infinity) throw wrongType("length", "a whole number from 0 on", length);
  return { from: offset, to: offset + length };
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Returns the checked time to wait in milliseconds. */
export function timeoutFrom(timeoutMs: number | undefined): number {
  if (timeoutMs === undefined) return 0;
  if (typeof timeoutMs !== "number" || !(timeoutMs >= 0))
    throw wrongType("lockTimeoutMs", "a number from 0 on", timeoutMs);
  return timeoutMs;
}

/** The longest timer: `setTimeout` fires at once for more milliseconds. */
export const MAX_INTERVAL_MS: number = 2 ** 31 - 1;

/** @throws TypeError */
export function checkInterval(intervalMs: unknown): void {
  if (typeof intervalMs === "number" && intervalMs >= 1 && intervalMs <= MAX_INTERVAL_MS) return;
  throw wrongType("intervalMs", `a number from 1 to ${MAX_INTERVAL_MS}`, intervalMs);
}

/** Checks a signal, which may be undefined. */
export function signalFrom(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw wrongType("signal", "an AbortSignal", signal);
  return signal;
}

const plainPrototypes: readonly unknown[] = [Uint8Array.prototype, Buffer.prototype];

/** Tells whether the bytes are plain: no code of the caller runs when they are accessed. */
function isPlain(value: unknown): value is Uint8Array {
  if (!ArrayBuffer.isView(value) || !plainPrototypes.includes(Object.getPrototypeOf(value))) return false;
  if (Object.hasOwn(value, "length") || Object.hasOwn(value, "subarray")) return false;
  // `subarray` reads it to choose the class of its result.
  return !Object.hasOwn(value, "constructor");
}

/**
 * Returns the bytes of any view or buffer.
 * @throws TypeError it has no bytes, or its memory is gone
 */
export function asBytes(value: ArrayBufferView | ArrayBufferLike): Uint8Array {
  const bytes = bytesOver(value);
  if (bytes.length === 0 && ArrayBuffer.isView(value)) checkPresent(value);
  return bytes;
}

function bytesOver(value: ArrayBufferView | ArrayBufferLike): Uint8Array {
  if (isPlain(value)) return value;
  // Make a plain Uint8Array: the methods and the length of a subclass may return anything.
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {
    return new Uint8Array(value, 0, value.byteLength);
  }
  throw wrongType("bytes", "a typed array, a DataView, an ArrayBuffer or a SharedArrayBuffer", value);
}

/** Throws if the view's memory is gone. Such a view has length 0 like an empty view, but indexing it throws. */
function checkPresent(view: ArrayBufferView): void {
  // A DataView whose memory is gone has thrown already, when its length was read.
  if (view instanceof DataView) return;
  try {
    Uint8Array.prototype.at.call(view, 0);
  } catch (cause) {
    const message =
      "bytes: the memory of this view is gone: its buffer was transferred or made shorter, or its storage was closed: pass a copy";
    throw new TypeError(message, { cause });
  }
}

function stepFrom(given: number | undefined): number | null {
  if (given !== undefined) return positive("resizeStepBytes", given);
  const text = process.env[RESIZE_STEP_VARIABLE];
  if (text === undefined) return null;
  const stepBytes = Number(text);
  if (Number.isSafeInteger(stepBytes) && stepBytes > 0) return stepBytes;
  throw new StorageError(
    "INVALID_CONFIG",
    `${RESIZE_STEP_VARIABLE}: expected a positive whole number of bytes, got ${JSON.stringify(text)}: set another value, or unset it`,
  );
}

function positive(name: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 1) throw wrongType(name, "a positive whole number", value);
  return value;
}

function numberOrNothing(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "number") throw wrongType(name, "a number", value);
}
