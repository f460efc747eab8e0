/** The config: the first 32 bytes of a file. Encoding, decoding, and the one check that makes it trusted. */

import { quoted, StorageError, wrongType } from "../error.ts";
import { CONFIG, FILE, MAX_U32, type Place, startIndexOf } from "./layout.ts";

/** The properties of a storage. All but the version are fixed at creation. */
export interface StorageConfig {
  /** Names the application's format: at most 20 latin1 characters, no trailing zeros. */
  readonly headString: string;
  /** The application's version, a u32. */
  readonly version: number;
  /** The size of a cell, 4 to 65535 bytes. */
  readonly bytesPerCell: number;
  /** The most cells that the storage may have: the highest index is `maxIndex - 1`. */
  readonly maxIndex: number;
}

declare const checked: unique symbol;
/** A config that {@link checkConfig} has accepted. */
export type CheckedConfig = StorageConfig & { readonly [checked]: true };

const MIN_CELL_BYTES = 4;
const CELL_BYTES_LIMIT = 0x10000;

/**
 * Checks a config from an application or from a file.
 * @throws INVALID_CONFIG a value is out of its range
 */
export function checkConfig(config: StorageConfig, path?: string): CheckedConfig {
  const { headString, version, bytesPerCell, maxIndex } = config;
  const fail = (what: string): never => {
    throw new StorageError("INVALID_CONFIG", `${path ?? "config"}: ${what}`, { path });
  };
  encodeHeadString(headString, fail);
  if (!isWhole(bytesPerCell, MIN_CELL_BYTES, CELL_BYTES_LIMIT - 1)) {
    fail(`bytesPerCell: expected 4 to 65535, got ${bytesPerCell}`);
  }
  if (!isWhole(version, 0, MAX_U32)) fail(`version: expected 0 to ${MAX_U32}, got ${version}`);
  if (!isWhole(maxIndex, 1, MAX_U32)) fail(`maxIndex: expected 1 to ${MAX_U32}, got ${maxIndex}`);
  const startIndex = startIndexOf(bytesPerCell);
  if (maxIndex < startIndex) {
    fail(
      `maxIndex: expected at least ${startIndex}, the first index for cells of ${bytesPerCell} bytes, got ${maxIndex}`,
    );
  }
  return { headString, version, bytesPerCell, maxIndex } as CheckedConfig;
}

/** Returns the fields that both configs have and that differ, with their values as text for a message. */
export function differencesIn(
  found: Partial<StorageConfig>,
  expected: Partial<StorageConfig>,
): { readonly name: string; readonly found: string; readonly expected: string }[] {
  const shown = (value: string | number): string => (typeof value === "string" ? quoted(value) : String(value));
  return (["headString", "bytesPerCell", "maxIndex", "version"] as const).flatMap((name) => {
    const [is, wanted] = [found[name], expected[name]];
    if (is === undefined || wanted === undefined || is === wanted) return [];
    return [{ name, found: shown(is), expected: shown(wanted) }];
  });
}

/**
 * Compares a config with the expected one; fields that one of them lacks are left out.
 * @param says the words of the message before the value that was found
 * @throws CONFIG_MISMATCH
 */
export function checkExpected(
  path: string,
  found: Partial<StorageConfig>,
  expected: Partial<StorageConfig>,
  says: string,
  advice: string,
): void {
  const [first] = differencesIn(found, expected);
  if (first === undefined) return;
  const message = `${path}: ${first.name}: expected ${first.expected}, ${says} ${first.found}: ${advice}`;
  throw new StorageError("CONFIG_MISMATCH", message, { path });
}

/** The 32 bytes of a config. */
export function encodeConfig(config: CheckedConfig): Uint8Array {
  const bytes = new Uint8Array(FILE.config.sizeBytes);
  bytes.set(encodeHeadString(config.headString), CONFIG.headString.offset);
  const view = new DataView(bytes.buffer);
  view.setUint32(CONFIG.bytesPerCell.offset, config.bytesPerCell, true);
  view.setUint32(CONFIG.maxIndex.offset, config.maxIndex, true);
  view.setUint32(CONFIG.version.offset, config.version, true);
  return bytes;
}

/** The config in the first 32 bytes of a file, not checked yet. */
export function decodeConfig(bytes: Uint8Array): StorageConfig {
  const view = new DataView(bytes.buffer, bytes.byteOffset, FILE.config.sizeBytes);
  const u32 = (place: Place): number => view.getUint32(place.offset, true);
  return {
    headString: headStringOf(bytes.subarray(CONFIG.headString.offset, CONFIG.headString.sizeBytes)),
    version: u32(CONFIG.version),
    bytesPerCell: u32(CONFIG.bytesPerCell),
    maxIndex: u32(CONFIG.maxIndex),
  };
}

/**
 * Returns a head string as text. Its 20 bytes are decoded as latin1. Trailing zero bytes are padding, and are removed.
 * @throws INVALID_CONFIG the bytes are not 20; TypeError the value is neither text nor bytes
 */
export function headStringOf(value: string | Uint8Array): string {
  if (value instanceof Uint8Array) {
    if (value.length !== CONFIG.headString.sizeBytes) {
      throw new StorageError("INVALID_CONFIG", `headString: expected 20 bytes, got ${value.length}`);
    }
    return String.fromCharCode(...value).replace(/\0+$/, "");
  }
  if (typeof value !== "string") throw wrongType("headString", "a string or 20 bytes", value);
  return value.replace(/\0+$/, "");
}

/** The 20 bytes of a head string: latin1, padded with zeros. */
function encodeHeadString(text: string, fail: (what: string) => void = () => undefined): Uint8Array {
  const bytes = new Uint8Array(CONFIG.headString.sizeBytes);
  if (text.length > bytes.length) {
    fail(`headString: expected at most ${bytes.length} characters, got ${text.length}`);
  }
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0xff) fail(`headString: expected characters up to U+00FF, got ${JSON.stringify(text[i])}`);
    bytes[i] = unit;
  }
  return bytes;
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}
