/**
 * A session of one writer of the log. Records are created conditionally at the next free number, so only one of several
 * sessions continues. A session that finds another session's record at its next number is fenced.
 */

import { hostname } from "node:os";
import { StorageError } from "../error.ts";
import type { History } from "./history.ts";
import { logKey } from "./keys.ts";
import type { Log } from "./log.ts";
import { decodeLine } from "./object.ts";
import {
  type FileIdentity,
  type LogRecord,
  MAX_HOST_CHARACTERS,
  type OpeningRecord,
  type RecordHead,
} from "./record.ts";
import { decodeRecordLine, encodeRecord } from "./record-codec.ts";

/** The log differs from what this session has read: read it again, compare the file again, and open again. */
export class Reopen extends Error {
  override readonly name = "Reopen";
}

type OmitEach<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
/** The fields of a record that the caller gives; the rest of its head follows from the log. */
export type RecordBody = OmitEach<
  Exclude<LogRecord, OpeningRecord>,
  "replica" | "session" | "host" | "pid" | "sequence" | "time" | "full" | "previous"
>;

const SESSION_BYTES = 16;
const host: string = hostname().slice(0, MAX_HOST_CHARACTERS);

export class Session {
  readonly #log: Log;
  readonly history: History;
  readonly #id: string = crypto.getRandomValues(new Uint8Array(SESSION_BYTES)).toHex();
  #isOpen = false;

  constructor(log: Log, history: History) {
    this.#log = log;
    this.history = history;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Opens the log, which fences every session before it. Call it only after the file was compared with the replica, and
   * only to add something: a copy that is started elsewhere must not stop the healthy primary.
   * @throws Reopen another record came between, or the log is longer than it was read
   */
  async open(file: FileIdentity, truncations: number): Promise<void> {
    const { history } = this;
    const record: OpeningRecord = {
      ...this.#head("opening"),
      kind: "opening",
      epoch: history.epoch,
      file,
      truncations,
    };
    const object = await encodeRecord(record);
    if ((await this.#put(record.sequence, object)) !== null) throw new Reopen();
    // `prune` may have deleted the record with this number. This opening is then in a gap, and ignored.
    if ((await this.#log.newest()) !== record.sequence) throw new Reopen();
    await history.apply({ record, hash: decodeLine("opening", object).hash, sizeBytes: object.length });
    this.#isOpen = true;
  }

  /**
   * Adds a record, and returns when it is stored. Do not call it again before that.
   * @throws FENCED another session has taken over; Reopen that session was a process of this host that has ended
   */
  async append(body: RecordBody): Promise<LogRecord> {
    const record = { ...this.#head(body.kind), ...body } as LogRecord;
    const object = await encodeRecord(record);
    const other = await this.#put(record.sequence, object);
    if (other !== null) throw await this.#fencedBy(record.sequence, other);
    await this.history.apply({ record, hash: decodeLine(body.kind, object).hash, sizeBytes: object.length });
    return record;
  }

  #head(kind: RecordHead["kind"]): Omit<RecordHead, "kind" | "epoch" | "file" | "truncations"> {
    const { sequence, time, full, hash } = this.history;
    return {
      replica: this.#log.replica.id,
      session: this.#id,
      host,
      pid: process.pid,
      sequence: sequence + 1,
      time: Math.max(Date.now(), time),
      full: kind === "full" ? sequence + 1 : full,
      previous: hash,
    };
  }

  /** Creates a record. Returns null if it is stored, else the object that exists under its key. */
  async #put(sequence: number, object: Uint8Array): Promise<Uint8Array | null> {
    const key = logKey(sequence);
    for (;;) {
      if ((await this.#log.store.put(key, object, { ifAbsent: true })) === "created") return null;
      const there = await this.#log.store.get(key);
      // The same bytes are there: the answer of an earlier try was lost.
      if (there !== null && Buffer.compare(there, object) === 0) return null;
      if (there !== null) return there;
      // Another put of the same key was running and has failed, or `prune` has deleted the object.
      if ((await this.#log.newest()) >= sequence) throw new Reopen();
    }
  }

  async #fencedBy(sequence: number, object: Uint8Array): Promise<Error> {
    const key = logKey(sequence);
    const other = decodeRecordLine(key, sequence, object);
    if (other.host === host && other.pid !== process.pid && !isAlive(other.pid)) return new Reopen();
    const next = await this.#log.line(sequence + 1);
    const since = next !== null && next.kind !== "opening" ? "has written to it since" : "has written nothing yet";
    const at = new Date(other.time).toISOString();
    const message = `${this.#log.url}: process ${other.pid} on ${other.host} opened the replica at ${at}, and ${since}: replicate from one machine only; start again to take the replica back`;
    return new StorageError("FENCED", message, { path: this.#log.url });
  }
}

/** Tells whether a process of this host is alive. */
function isAlive(pid: number): boolean {
  if (pid < 1) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: the process is alive, but of another user.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
