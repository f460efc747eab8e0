/** What users pass in: checked once, and turned into what the store wants. */

import { StorageError, wrongType } from "./error.ts";
import { type CheckedConfig, checkConfig, headStringOf, type StorageConfig } from "./format/config.ts";
import { MAX_U32 } from "./format/layout.ts";
import { copyOfKey, makeWriterKey } from "./key.ts";
import type { Part } from "./cells/blob.ts";
import type { WriterChoices } from "./store/open.ts";
import type { Follows } from "./state/visible.ts";

/** What a new storage is to be. */
export interface CreateOptions extends WriteOptions {
  /** At most 20 latin1 characters, or exactly 20 bytes. Default: empty. */
  readonly headString?: string | Uint8Array | undefined;
  /** A u32 for the application. Default 1. */
  readonly version?: number | undefined;
  /** 4 to 65535. Default 32. */
  readonly bytesPerCell?: number | undefined;
  /** The most cells that the storage may ever have. Default 2^32 - 1. */
  readonly maxIndex?: number | undefined;
  /** Cells to reserve at once, the header area included. */
  readonly capacityCells?: number | undefined;
}

/** What a writer chooses whenever it opens a storage. */
export interface WriteOptions {
  /** 32 bytes that readers need to follow commits as in the original. Default: random. */
  readonly writerKey?: Uint8Array | undefined;
  /**
   * Bytes by which the file grows. Default: the environment's PLEBEIA_RESIZE_STEP_BYTES, else the file doubles,
   * by at least 64 KiB and at most 64 MiB.
   */
  readonly resizeStepBytes?: number | undefined;
  /**
   * Go on although the file is on NFS, SMB, 9p or FUSE, where none of the guarantees hold. Default false. Only Linux is
   * asked.
   */
  readonly allowUnsafeFilesystem?: boolean | undefined;
}

/** What opening expects and waits for. */
export interface OpenWriterOptions extends WriteOptions {
  /** Refuse the file if its config is another: only what is given is compared. */
  readonly expect?: Partial<StorageConfig> | undefined;
  /** How long to wait, blocking, while another process writes the file. Default 0. */
  readonly lockTimeoutMs?: number | undefined;
}

/** What a reader chooses. */
export interface OpenReaderOptions {
  /** Refuse the file if its config is another: only what is given is compared. */
  readonly expect?: Partial<StorageConfig> | undefined;
  /**
   * What `refresh` goes by: durable states, or what the writer committed last. Default "flushes". The state at opening
   * may be that of a flush that is still under way.
   */
  readonly follow?: Follows | undefined;
  /** The writer's key, for files whose writer is the original. Implies "commits". */
  readonly writerKey?: Uint8Array | undefined;
  /**
   * Go on although the file is on NFS, SMB, 9p or FUSE, where none of the guarantees hold. Default false. Only Linux is
   * asked.
   */
  readonly allowUnsafeFilesystem?: boolean | undefined;
}

/** Which bytes of a blob are read. What lies past its end is left out. */
export interface PartOptions {
  /** The first byte. Default 0. */
  readonly offset?: number | undefined;
  /** How many bytes at most. Default: all from `offset` on. */
  readonly length?: number | undefined;
}

const RESIZE_STEP_VARIABLE = "PLEBEIA_RESIZE_STEP_BYTES";
const DEFAULT_CELL_BYTES = 32;

/** Options as a whole: what is no object would say nothing, without a word. */
export function checkOptions(options: object): void {
  if (typeof options !== "object" || options === null) throw wrongType("options", "an object", options);
}

/** The config of a new storage, at `path` if it has one. */
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

/** The config that a file must have, as far as it was said. */
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

/** The writer's key and step. */
export function choicesFrom(options: WriteOptions): WriterChoices {
  checkOptions(options);
  const writerKey = options.writerKey === undefined ? makeWriterKey() : copyOfKey(options.writerKey);
  return { writerKey, stepBytes: stepFrom(options.resizeStepBytes) };
}

/** A number of cells to reserve, within the storage's bounds. */
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

/** The part of a blob that is asked for. @internal */
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

/** Milliseconds to wait. */
export function timeoutFrom(timeoutMs: number | undefined): number {
  if (timeoutMs === undefined) return 0;
  if (typeof timeoutMs !== "number" || !(timeoutMs >= 0))
    throw wrongType("lockTimeoutMs", "a number from 0 on", timeoutMs);
  return timeoutMs;
}

/** A signal, or none. */
export function signalFrom(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw wrongType("signal", "an AbortSignal", signal);
  return signal;
}

const plainPrototypes: readonly unknown[] = [Uint8Array.prototype, Buffer.prototype];

/** Whether nothing of the caller's own answers for the bytes. */
function isPlain(value: unknown): value is Uint8Array {
  if (!ArrayBuffer.isView(value) || !plainPrototypes.includes(Object.getPrototypeOf(value))) return false;
  if (Object.hasOwn(value, "length") || Object.hasOwn(value, "subarray")) return false;
  // `subarray` asks it what to make.
  return !Object.hasOwn(value, "constructor");
}

/**
 * The bytes of whatever holds bytes.
 * @throws TypeError not bytes, or bytes whose memory is gone
 */
export function asBytes(value: ArrayBufferView | ArrayBufferLike): Uint8Array {
  const bytes = bytesOver(value);
  if (bytes.length === 0 && ArrayBuffer.isView(value)) checkPresent(value);
  return bytes;
}

function bytesOver(value: ArrayBufferView | ArrayBufferLike): Uint8Array {
  if (isPlain(value)) return value;
  // With methods and a length that are nobody else's: those of a subclass may answer anything.
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) {
    return new Uint8Array(value, 0, value.byteLength);
  }
  throw wrongType("bytes", "a typed array, a DataView, an ArrayBuffer or a SharedArrayBuffer", value);
}

/** A view whose memory is gone has length 0, like one of no bytes. Unlike that one, it refuses to be indexed. */
function checkPresent(view: ArrayBufferView): void {
  // A DataView of memory that is gone has refused to tell its length already.
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
    `${RESIZE_STEP_VARIABLE}: expected a positive whole number of bytes, got ${JSON.stringify(text)}: set another, or unset it`,
  );
}

function positive(name: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 1) throw wrongType(name, "a positive whole number", value);
  return value;
}

function numberOrNothing(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "number") throw wrongType(name, "a number", value);
}
