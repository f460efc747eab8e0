/** Reads the log in the store, and finds its end while writers and `prune` change it. */

import { StorageError } from "../error.ts";
import { emptyHistory, type History } from "./history.ts";
import { LOG_PREFIX, logKey, REPLICA_KEY, sequenceOf } from "./keys.ts";
import { decodeLine, encodeLine, LINE_BYTES, Misfit } from "./object.ts";
import type { NamedState, RecordLine, Stored } from "./record.ts";
import { decodeNamedStates, decodeRecord, decodeRecordLine, statesEnd } from "./record-codec.ts";
import { checkFencing } from "./store/fencing.ts";
import type { ObjectStore } from "./store/store.ts";

/** The size of a block's cells. The object `replica` stores it, so that new replicas may have another size. */
export const BLOCK_BYTES: number = 16 * 1024 * 1024;
const FORMAT = 1;
const ID_BYTES = 16;
/** A smaller block could not hold the largest cell; four larger blocks could take too much memory. */
const MIN_BLOCK_BYTES = 65536;
const MAX_BLOCK_BYTES = 64 * 1024 * 1024;
/** Concurrent requests when many records are read. */
const FETCHES = 8;
/** Enough for the states of most full records; the others take two requests. */
const STATES_BYTES: number = 128 * 1024;

/** The values in the object `replica`. */
export interface Replica {
  /** 16 random bytes in hex. */
  readonly id: string;
  readonly blockBytes: number;
}

/** The object `replica` of a new replica. */
export function encodeReplica({ id, blockBytes }: Replica): Uint8Array<ArrayBuffer> {
  return encodeLine({ kind: "replica", format: FORMAT, replica: id, blockBytes }, []);
}

/** @throws Misfit damaged; UNSUPPORTED a newer version of the format */
export function decodeReplica(object: Uint8Array, url: string): Replica {
  const { fields, sizeBytes } = decodeLine(REPLICA_KEY, object);
  const { kind, format, replica: id, blockBytes } = fields;
  if (kind !== "replica" || sizeBytes !== object.length)
    throw new Misfit(REPLICA_KEY, "it is not the object of a replica");
  if (format !== FORMAT) {
    const message = `${url}: the replica has format ${String(format)}, this version reads format ${FORMAT}: use a newer Cellar`;
    throw new StorageError("UNSUPPORTED", message, { path: url });
  }
  const isSize = typeof blockBytes === "number" && Number.isInteger(blockBytes);
  const isSizeValid = isSize && blockBytes >= MIN_BLOCK_BYTES && blockBytes <= MAX_BLOCK_BYTES;
  if (typeof id !== "string" || !/^[0-9a-f]{32}$/.test(id) || !isSizeValid) {
    throw new Misfit(REPLICA_KEY, "a field of its line is missing, or has a wrong type");
  }
  return { id, blockBytes };
}

/** @throws NOT_A_REPLICA; REPLICA_CORRUPT; as the store throws */
export async function openLog(store: ObjectStore, signal?: AbortSignal): Promise<Log> {
  return rereading(store.url, async () => {
    const object = await store.get(REPLICA_KEY, options(signal));
    if (object !== null) return new Log(store, decodeReplica(object, store.url));
    const message = `${store.url}: there is no replica here: check the address, or create one with cellar replicate`;
    throw new StorageError("NOT_A_REPLICA", message, { path: store.url });
  });
}

/**
 * Runs `attempt`, and repeats it after each new Misfit: writers or `prune` may have changed the log meanwhile.
 * @throws REPLICA_CORRUPT the same Misfit came twice
 */
export async function rereading<T>(url: string, attempt: () => Promise<T>): Promise<T> {
  const seen = new Set<string>();
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      if (seen.has(error.message)) {
        const message = `${url}: ${error.message}: the object is damaged or missing: run cellar replica verify`;
        throw new StorageError("REPLICA_CORRUPT", message, { path: `${url}/${error.key}`, cause: error });
      }
      seen.add(error.message);
    }
  }
}

/**
 * Opens the log for writing. Creates it if there is none. First tests whether the store fences.
 * @throws FENCING_UNSUPPORTED; REPLICA_CORRUPT; UNSUPPORTED a newer format; as the store throws
 */
export async function createLog(store: ObjectStore, blockBytes: number = BLOCK_BYTES): Promise<Log> {
  const id = crypto.getRandomValues(new Uint8Array(ID_BYTES)).toHex();
  const object = await checkFencing(store, REPLICA_KEY, encodeReplica({ id, blockBytes }));
  return rereading(store.url, async () => new Log(store, decodeReplica(object, store.url)));
}

export class Log {
  readonly store: ObjectStore;
  readonly replica: Replica;

  constructor(store: ObjectStore, replica: Replica) {
    this.store = store;
    this.replica = replica;
  }

  get url(): string {
    return this.store.url;
  }

  /** The newest record's sequence, 0 if there is none. */
  async newest(signal?: AbortSignal): Promise<number> {
    const [key] = await this.store.list(LOG_PREFIX, { ...options(signal), most: 1 });
    return key === undefined ? 0 : requireSequence(key);
  }

  /** Lists the sequences of existing records up to `sequence`, newest first, with a limit. */
  async upTo(sequence: number, most: number, signal?: AbortSignal): Promise<number[]> {
    const keys = await this.store.list(LOG_PREFIX, { ...options(signal), after: logKey(sequence + 1), most });
    return keys.map(requireSequence);
  }

  /** Reads a record; null if it does not exist. @throws Misfit */
  async get(sequence: number, signal?: AbortSignal): Promise<Stored | null> {
    const key = logKey(sequence);
    const object = await this.store.get(key, options(signal));
    return object === null ? null : decodeRecord(key, sequence, object);
  }

  /** Reads the line of a record; null if it does not exist. @throws Misfit */
  async line(sequence: number, signal?: AbortSignal): Promise<(RecordLine & { readonly hash: string }) | null> {
    const key = logKey(sequence);
    const object = await this.store.get(key, { ...options(signal), firstBytes: LINE_BYTES });
    return object === null ? null : decodeRecordLine(key, sequence, object);
  }

  /** Reads the line of a full record, and the states that it names; null if it does not exist. @throws Misfit */
  async fullStates(
    sequence: number,
    signal?: AbortSignal,
  ): Promise<{ readonly line: RecordLine; readonly states: NamedState[] } | null> {
    const key = logKey(sequence);
    let object = await this.store.get(key, { ...options(signal), firstBytes: STATES_BYTES });
    if (object === null) return null;
    const line = decodeRecordLine(key, sequence, object);
    const neededBytes = statesEnd(key, object);
    if (neededBytes > STATES_BYTES) object = await this.store.get(key, { ...options(signal), firstBytes: neededBytes });
    if (object === null) return null;
    return { line, states: line.kind === "full" ? await decodeNamedStates(key, object) : [] };
  }

  /**
   * Yields records in order, fetched several at a time. Ends before the first one that does not exist. @throws Misfit
   */
  async *from(first: number, last: number, signal?: AbortSignal): AsyncGenerator<Stored, void> {
    for (let sequence = first; sequence <= last; sequence += FETCHES) {
      const count = Math.min(FETCHES, last - sequence + 1);
      const fetched = await Promise.all(Array.from({ length: count }, (_, i) => this.get(sequence + i, signal)));
      for (const stored of fetched) {
        if (stored === null) return;
        yield stored;
      }
    }
  }

  /**
   * Reads the newest full record, and all records after it.
   * @throws REPLICA_CORRUPT; as the store throws
   */
  async readToEnd(signal?: AbortSignal): Promise<History> {
    return rereading(this.url, async () => {
      const newest = await this.newest(signal);
      const history = await this.readTo(newest, signal);
      await this.readOn(history, signal);
      return history;
    });
  }

  /** Reads records until one is missing, then lists the log to confirm its end. @throws Misfit read the log again */
  async readOn(history: History, signal?: AbortSignal): Promise<void> {
    for (let stored = await this.get(history.sequence + 1, signal); stored !== null;) {
      await history.apply(stored);
      stored = await this.get(history.sequence + 1, signal);
    }
    // `prune` may have deleted the record with this number. A record put here would then be in a gap.
    const newest = await this.newest(signal);
    if (newest !== history.sequence) {
      throw new Misfit(logKey(history.sequence + 1), `it is missing, although record ${newest} is the newest`);
    }
  }

  /** Reads the history up to an existing record. @throws Misfit */
  async readTo(sequence: number, signal?: AbortSignal): Promise<History> {
    const history = emptyHistory(this.replica.id, this.replica.blockBytes);
    if (sequence === 0) return history;
    const line = await this.line(sequence, signal);
    if (line === null) throw new Misfit(logKey(sequence), "it was listed, but is missing");
    const first = Math.max(1, line.full);
    for await (const stored of this.from(first, sequence, signal)) await history.apply(stored);
    if (history.sequence !== sequence) {
      const missing = history.sequence === 0 ? first : history.sequence + 1;
      throw new Misfit(logKey(missing), `it is missing, and record ${sequence} needs it`);
    }
    return history;
  }
}

/** Leaves `signal` out if it is undefined, which an exact optional property does not accept. */
function options(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function requireSequence(key: string): number {
  const sequence = sequenceOf(key);
  if (sequence === null) throw new Misfit(key, "it is not the key of a record");
  return sequence;
}
