/** The records of the log: four kinds, in one sequence. */

/** `previous` of the first record. */
export const NO_HASH: string = "0".repeat(64);

/** The longest host name in characters, so that it fits into the line of a record. */
export const MAX_HOST_CHARACTERS = 64;

/**
 * Identifies the file that a session replicates. A path is not enough: two paths may name one file, and a path may name
 * another file later.
 */
export interface FileIdentity {
  readonly host: string;
  readonly inode: string;
  readonly created: string;
}

/** The fields of every record. */
export interface RecordHead {
  readonly kind: "opening" | "blocks" | "state" | "full";
  readonly replica: string;
  /** 16 random bytes in hex, new at each start. */
  readonly session: string;
  readonly host: string;
  readonly pid: number;
  readonly sequence: number;
  readonly epoch: number;
  /** Milliseconds since 1970; never less than in the record before. */
  readonly time: number;
  /** The sequence of the newest full record up to this one, 0 before the first. */
  readonly full: number;
  /** The hash of the previous record's line. */
  readonly previous: string;
  readonly file: FileIdentity;
  /** How often the file's writers had truncated it. */
  readonly truncations: number;
}

/** A session starts. */
export interface OpeningRecord extends RecordHead {
  readonly kind: "opening";
}

/** The fields of a record that names blocks. */
interface NamedBlocks {
  /** The file's first 32 bytes, in hex. */
  readonly config: string;
  /** The number of the first block named here. Earlier records name the blocks before it. */
  readonly firstBlock: number;
  /** The SHA-256 of each block named here, 32 bytes each. */
  readonly blocks: Uint8Array;
}

/** Names uploaded blocks of a state whose own record does not exist yet. */
export interface BlocksRecord extends RecordHead, NamedBlocks {
  readonly kind: "blocks";
}

/** The fields of a record of a state. */
interface RecordedState extends NamedBlocks {
  /** The root's index, 0 for none. */
  readonly root: number;
  /** The length in cells. */
  readonly next: number;
  /** The first index of `cells`, which end at `next`. */
  readonly first: number;
  readonly cells: Uint8Array;
  /** The SHA-256 of the whole tail. */
  readonly tailHash: string;
  /** The SHA-256 of the hashes of all blocks so far. */
  readonly blocksHash: string;
}

/** One flushed state. */
export interface StateRecord extends RecordHead, RecordedState {
  readonly kind: "state";
}

/**
 * A state with all data that a restore needs: every block's hash, the whole tail, and the states since the last full
 * record.
 */
export interface FullRecord extends RecordHead, RecordedState {
  readonly kind: "full";
  readonly states: readonly NamedState[];
  /** The full record before this one, 0 for none. */
  readonly previousFull: number;
  /** The last full record of the previous epoch, 0 for none. */
  readonly previousEpoch: number;
  /**
   * The sequence of the state that this record repeats because an epoch ends; it is then not a new state. 0 for none.
   */
  readonly repeats: number;
}

export type LogRecord = OpeningRecord | BlocksRecord | StateRecord | FullRecord;

/** A state as a full record names it. */
export interface NamedState {
  readonly sequence: number;
  readonly time: number;
  readonly root: number;
  readonly next: number;
  /** The file's first 32 bytes, in hex. */
  readonly config: string;
}

/** The fields in the line of a record, without its parts. */
export type RecordLine =
  | OpeningRecord
  | Omit<BlocksRecord, "blocks">
  | Omit<StateRecord, "blocks" | "cells">
  | Omit<FullRecord, "blocks" | "cells" | "states">;

/** A record, the hash of its line, and the bytes that it takes. */
export interface Stored<R = LogRecord> {
  readonly record: R;
  readonly hash: string;
  readonly sizeBytes: number;
}
