/** The keys of a replica's objects, and what they say. */

export const REPLICA_KEY = "replica";
export const LOG_PREFIX = "log/";
export const BLOCK_PREFIX = "block/";

const HIGHEST = 2n ** 64n - 1n;
/** Characters of a hash in a block's key: its first 16 bytes. */
const HASH_CHARACTERS = 32;

/** What a block's key says. */
export interface BlockName {
  readonly epoch: number;
  readonly number: number;
  /** The first 16 bytes of the SHA-256 of its cells, in hex. */
  readonly hash: string;
}

/** The key of a record. Inverted, so that a listing, which ascends, begins with the newest. */
export function logKey(sequence: number): string {
  return LOG_PREFIX + (HIGHEST - BigInt(sequence)).toString(16).padStart(16, "0");
}

/** The sequence of a record's key, or null if it is no such key. */
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

/** What a block's key says, or null if it is no such key. */
export function blockNameOf(key: string): BlockName | null {
  const [, epoch, number, hash] = /^block\/(0|[1-9]\d{0,14})-(0|[1-9]\d{0,14})-([0-9a-f]{32})$/.exec(key) ?? [];
  if (epoch === undefined || number === undefined || hash === undefined) return null;
  return { epoch: Number(epoch), number: Number(number), hash };
}
