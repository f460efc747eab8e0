/**
 * The result of reading the log record by record: the newest state, and the data that the next record continues. Each
 * record is checked against the previous records. If it does not fit, a {@link Misfit} is thrown.
 */

import { completeBlocks, firstOfBlock, type Geometry, geometryOf, tailStart } from "./geometry.ts";
import { logKey } from "./keys.ts";
import { Misfit } from "./object.ts";
import {
  type BlocksRecord,
  type FileIdentity,
  type FullRecord,
  type LogRecord,
  type NamedState,
  NO_HASH,
  type StateRecord,
  type Stored,
} from "./record.ts";
import { BlockHashes, Run } from "./runs.ts";
import { FIXED_CONFIG_CHARACTERS } from "./source.ts";

/** A state of the replica. */
export interface ReplicaState {
  /** The number of its record. */
  readonly sequence: number;
  readonly epoch: number;
  readonly time: Date;
  /** In cells, including the header area. */
  readonly length: number;
  readonly root: number | null;
}

/** Only `apply` changes it. */
export type History = Readonly<LogHistory>;

/** The history before the first record. */
export function emptyHistory(replica: string, blockBytes: number): History {
  return new LogHistory(replica, blockBytes);
}

class LogHistory {
  readonly #replica: string;
  readonly #blockBytes: number;
  /** The number of the last record. */
  sequence = 0;
  hash: string = NO_HASH;
  time = 0;
  epoch = 0;
  file: FileIdentity | null = null;
  truncations = 0;
  /** The geometry of the epoch's cells; null before its first record. */
  geometry: Geometry | null = null;
  /** The file's first 32 bytes, in hex, at the newest state. */
  config = "";
  root = 0;
  /** The newest state's length in cells; meaningless while `hasState` is false. */
  next = 0;
  /** Whether the epoch has a state. */
  hasState = false;
  /** The newest state of all epochs. */
  state: ReplicaState | null = null;
  /** The hashes of the epoch's blocks, which may reach past the newest state. */
  readonly blocks: BlockHashes = new BlockHashes();
  /** The newest state's cells behind its last complete block. */
  readonly tail: Run = new Run();
  /** The numbers of the newest full record, of the one before it, and of the last one of the previous epoch; or 0. */
  full = 0;
  previousFull = 0;
  previousEpoch = 0;
  /** States since the newest full record. */
  states: readonly NamedState[] = [];
  /** Bytes of the records since the newest full one. */
  bytesSinceFull = 0;
  /** The session of the last record. */
  session = "";

  constructor(replica: string, blockBytes: number) {
    this.#replica = replica;
    this.#blockBytes = blockBytes;
  }

  /** How many blocks the newest state fills. These blocks may not be named again in this epoch. */
  get stateBlocks(): number {
    return this.geometry === null || !this.hasState ? 0 : completeBlocks(this.geometry, this.next);
  }

  /**
   * Takes the next record; the first one may be any full record.
   * @throws Misfit it does not fit the previous records. Do not use the history afterwards
   */
  async apply({ record, hash, sizeBytes }: Stored): Promise<void> {
    const isFirst = this.sequence === 0 && record.kind === "full" && record.full === record.sequence;
    this.#checkHead(record, isFirst);
    if (record.kind === "full") await this.#applyFull(record);
    else if (record.kind === "state") await this.#applyState(record);
    else if (record.kind === "blocks") await this.#applyBlocks(record);
    this.sequence = record.sequence;
    this.hash = hash;
    this.time = record.time;
    this.file = record.file;
    this.truncations = record.truncations;
    this.session = record.session;
    this.bytesSinceFull = record.kind === "full" ? 0 : this.bytesSinceFull + sizeBytes;
  }

  #checkHead(record: LogRecord, isFirst: boolean): void {
    const { replica, sequence, previous, epoch, time, full, kind } = record;
    const check = checker(sequence);
    check(replica === this.#replica, `it is of replica ${replica}, not ${this.#replica}`);
    const ownFull = kind === "full" ? sequence : this.full;
    check(full === ownFull, `it says that the newest full record is ${full}, not ${ownFull}`);
    if (isFirst) return;
    check(sequence === this.sequence + 1, `it is not the next one after record ${this.sequence}`);
    check(previous === this.hash, `its hash of the previous record is not that of record ${this.sequence}`);
    check(time >= this.time, "its time is before that of the previous record");
    const next = kind === "opening" || (kind === "full" && record.repeats !== 0) ? this.epoch : this.epoch + 1;
    check(epoch === this.epoch || epoch === next, `its epoch is ${epoch}, after epoch ${this.epoch}`);
  }

  async #applyFull(record: FullRecord): Promise<void> {
    const check = checker(record.sequence);
    if (record.epoch !== this.epoch) await this.#beginEpoch(record.epoch);
    const geometry = this.#takeConfig(record);
    check(record.firstBlock === 0, "it is a full record, but does not name all blocks");
    check(record.first === tailStart(geometry, record.next), "it is a full record, but does not have the whole tail");
    await this.blocks.reset(record.blocks);
    await this.tail.reset(record.cells);
    this.#finishState(record, geometry);
    this.full = record.sequence;
    this.previousFull = record.previousFull;
    this.previousEpoch = record.previousEpoch;
    const repeated = record.states.at(-1);
    if (record.repeats === 0) this.state = stateOf(record.epoch, record);
    else {
      check(repeated?.sequence === record.repeats, "it does not name the state that it repeats");
      if (repeated !== undefined) this.state = stateOf(record.epoch, repeated);
    }
    this.states = [];
  }

  async #applyState(record: StateRecord): Promise<void> {
    const check = checker(record.sequence);
    check(record.epoch === this.epoch && this.hasState, "it is the first state of an epoch, but not a full record");
    const before = this.next;
    const geometry = this.#takeConfig(record);
    check(record.next >= before, `its length ${record.next} is less than ${before}`);
    const oldStart = tailStart(geometry, before);
    await this.#nameBlocks(record);
    const start = tailStart(geometry, record.next);
    check(
      record.first === Math.max(before, firstOfBlock(geometry, this.blocks.count)),
      "cells before its own are missing",
    );
    if (start !== oldStart) await this.tail.reset(record.cells);
    else await this.tail.append(record.cells);
    this.#finishState(record, geometry);
    const { sequence, time, root, next, config } = record;
    this.states = [...this.states, { sequence, time, root, next, config }];
    this.state = stateOf(record.epoch, record);
  }

  async #applyBlocks(record: BlocksRecord): Promise<void> {
    if (record.epoch !== this.epoch) await this.#beginEpoch(record.epoch);
    this.#takeConfig(record);
    await this.#nameBlocks(record);
  }

  /**
   * Names further blocks. Blocks past the newest state may be named again: a file that was restored to this state may
   * continue with others.
   */
  async #nameBlocks({ sequence, firstBlock, blocks }: BlocksRecord | StateRecord): Promise<void> {
    const isInPlace = firstBlock >= this.stateBlocks && firstBlock <= this.blocks.count;
    checker(sequence)(isInPlace, `its blocks begin at ${firstBlock}, not at ${this.blocks.count}`);
    await this.blocks.cutTo(firstBlock);
    await this.blocks.append(blocks);
  }

  /** Checks that the record's cells and blocks match those collected from the log. */
  #finishState(record: StateRecord | FullRecord, geometry: Geometry): void {
    const { next, root } = record;
    const { bytesPerCell, startIndex, config } = geometry;
    const check = checker(record.sequence);
    check(next >= startIndex && next <= config.maxIndex, `its length ${next} is impossible`);
    check(root === 0 || (root >= startIndex && root < next), `its root ${root} is outside its cells`);
    check(this.blocks.count === completeBlocks(geometry, next), "it does not name the blocks that it fills");
    check(this.blocks.sha256() === record.blocksHash, "its blocks differ from those of the previous records");
    const tailBytes = (next - tailStart(geometry, next)) * bytesPerCell;
    check(this.tail.length === tailBytes, `its tail has ${this.tail.length} bytes, not ${tailBytes}`);
    check(this.tail.sha256() === record.tailHash, "the SHA-256 of its tail is wrong");
    this.next = next;
    this.root = root;
    this.hasState = true;
  }

  async #beginEpoch(epoch: number): Promise<void> {
    // First the number, which ends the comparison of the previous epoch's blocks.
    this.epoch = epoch;
    this.previousEpoch = this.full;
    await this.blocks.reset();
    await this.tail.reset();
    this.geometry = null;
    this.hasState = false;
    this.next = 0;
    this.states = [];
  }

  #takeConfig({ sequence, config }: BlocksRecord | StateRecord | FullRecord): Geometry {
    const check = checker(sequence);
    if (this.geometry !== null)
      check(
        config.slice(0, FIXED_CONFIG_CHARACTERS) === this.config.slice(0, FIXED_CONFIG_CHARACTERS),
        "its config is of another epoch",
      );
    else this.geometry = geometryFrom(sequence, config, this.#blockBytes);
    this.config = config;
    return this.geometry;
  }
}

/** Returns the end of the newest state, or of the blocks named past it. */
export function namedEnd(history: History, geometry: Geometry): number {
  return Math.max(history.next, firstOfBlock(geometry, history.blocks.count));
}

/** Returns a state in the form of the API. */
export function stateOf(epoch: number, { sequence, time, root, next }: Omit<NamedState, "config">): ReplicaState {
  return { sequence, epoch, time: new Date(time), length: next, root: root === 0 ? null : root };
}

function geometryFrom(sequence: number, config: string, blockBytes: number): Geometry {
  try {
    return geometryOf(Uint8Array.fromHex(config), blockBytes);
  } catch (error) {
    throw new Misfit(
      logKey(sequence),
      `its config is invalid: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function checker(sequence: number): (holds: boolean, what: string) => void {
  return (holds, what) => {
    if (!holds) throw new Misfit(logKey(sequence), what);
  };
}
