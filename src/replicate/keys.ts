/** Makes and parses the keys of a replica's objects. */

export const REPLICA_KEY = "replica";
export const LOG_PREFIX = "log/";
export const BLOCK_PREFIX = "block/";

const HIGHEST = 2n ** 64n - 1n;
/** Characters of a hash in a block's key: its first 16 bytes. */
const HASH_CHARACTERS = 32;

/** The values in a block's key. */
export interface BlockName {
  readonly epoch: number;
  readonly number: number;
  /** The first 16 bytes of the SHA-256 of its cells, in hex. */
  readonly hash: string;
}

/** The key of a record. The number is inverted, so that an ascending listing begins with the newest record. */
export function logKey(sequence: number): string {
  return LOG_PREFIX + (HIGHEST - BigInt(sequence)).toString(16).padStart(16, "0");
}

/** Parses the sequence of a record's key; null if it is not one. */
export function sequenceOf(key: string): number | null {
  const [, hex] = /^log\/([0-9a-f]{16})$/.exec(key) ?? [];
  if (hex === undefined) return null;
  const sequence = HIGHEST - BigInt(`0x${hex}`);
  return sequence >= 1n && sequence <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(sequence) : null;
}

/** The key of a block. @param sha256 of its cells, in hex */
export function blockKey(epoch: number, number: number, sha256: string): string {
  return `${BLOCK_PREFIX}${epoch}-${number}-${sha256.slice(0, HASH_CHARACTERS)}`;
}

/** Parses a block's key; null if it is not one. */
export function blockNameOf(key: string): BlockName | null {
  const [, epoch, number, hash] = /^block\/(0|[1-9]\d{0,14})-(0|[1-9]\d{0,14})-([0-9a-f]{32})$/.exec(key) ?? [];
  if (epoch === undefined || number === undefined || hash === undefined) return null;
  return { epoch: Number(epoch), number: Number(number), hash };
}
