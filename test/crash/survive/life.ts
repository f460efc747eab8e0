/**
 * The life of a writer that is going to be killed, or whose calls fail, step by step. It reports what it is about to
 * publish, and what was acknowledged; it keeps no books that anybody relies on.
 */

import { StorageError, StorageReader, type StorageState, StorageWriter } from "../../../src/index.ts";
import { type Blob, contentOf, isContent, NAMED_BYTES, specOf } from "./blobs.ts";
import type { Step, VictimEvent, VictimOrders } from "./events.ts";
import { Random } from "../../support/random.ts";

const MAX_PENDING_FLUSHES = 4;
const MICROTASKS = 16;

export class Life {
  readonly #orders: VictimOrders;
  readonly #report: (event: VictimEvent) => void;
  readonly #random: Random;
  #writer: StorageWriter | null = null;
  #number: number;
  #blobs: Blob[] = [];
  #named: Blob | null = null;
  #pending: Promise<unknown>[] = [];
  /** Flushes that have not returned. */
  #running = 0;
  /** The writer has refused with FAILED. */
  #failed = false;

  constructor(orders: VictimOrders, report: (event: VictimEvent) => void) {
    this.#orders = orders;
    this.#report = report;
    this.#random = new Random(orders.seed);
    this.#number = orders.firstNumber;
  }

  /** The bytes of the storage that is open; null if none is. */
  get byteLength(): number | null {
    return this.#writer?.byteLength ?? null;
  }

  /** A refused call is reported, and life goes on. */
  async step(step: Step): Promise<void> {
    if (this.#writer === null && step !== "open") return;
    await this.#attempt(step, () => this.#do(step));
  }

  /** False if the call was refused. */
  async #attempt(call: string, action: () => void | Promise<void>): Promise<boolean> {
    try {
      await action();
      return true;
    } catch (error) {
      this.#refused(call, error);
      return false;
    }
  }

  #refused(call: string, error: unknown): void {
    if (!(error instanceof StorageError)) return this.#report({ event: "untyped", call, error: describe(error) });
    const { code, syscall = null } = error;
    this.#failed ||= code === "FAILED";
    const { root = null, length = 0 } = this.#writer?.closed === false ? this.#writer : {};
    this.#report({ event: "refused", call, code, syscall, root, length });
  }

  async #do(step: Step): Promise<void> {
    if (step === "open") return this.#open();
    const writer = this.#writer;
    if (writer === null) return;
    switch (step) {
      case "writeSmall":
        return this.#write(writer, this.#random.below(200));
      case "writeLarge":
        return this.#write(writer, this.#random.below(this.#orders.maxBlobBytes));
      case "fill":
        return this.#fill(writer);
      case "allocate":
        return this.#allocate(writer);
      case "setRoot":
        writer.root = this.#named?.index ?? null;
        return;
      case "clearRoot":
        writer.root = null;
        return;
      case "commit":
        return this.#publish(writer, "commit", () => writer.commit());
      case "flushSync":
        return this.#flushSync(writer);
      case "flush":
        return this.#flush(writer);
      case "settle":
        return this.#drain();
      case "truncate":
        return this.#truncate(writer);
      case "readBack":
        return this.#readBack(writer);
      case "reader":
        return this.#reader(writer);
      case "close":
        return this.#close(writer);
      case "hang":
        this.#report({ event: "hanging" });
        return new Promise(() => setInterval(() => undefined, 60_000));
    }
  }

  #open(): void {
    const { path, bytesPerCell, resizeStepBytes } = this.#orders;
    const step = resizeStepBytes === undefined ? {} : { resizeStepBytes };
    const writer = StorageWriter.openOrCreate(path, { bytesPerCell, ...step, lockTimeoutMs: 5000 });
    this.#writer = writer;
    this.#failed = false;
    const { root, length, startIndex, recovery } = writer;
    const { state, skippedCells } = recovery;
    this.#report({ event: "opened", root, length, startIndex, recovery: state, skippedCells });
    this.#blobs = [];
    this.#named = root === null ? null : this.#find(writer, root);
  }

  #find(writer: StorageWriter, index: number): Blob | null {
    const spec = specOf(writer.read(index));
    if (spec === null) this.#wrong(`the root at ${index} is no blob that was written`);
    return spec && { ...spec, index };
  }

  #write(writer: StorageWriter, sizeBytes: number): void {
    const { index: previousIndex = 0, number: previousNumber = 0 } = this.#named ?? {};
    const spec = { number: this.#number, sizeBytes, previousIndex, previousNumber };
    const before = writer.length;
    const blob = { ...spec, index: this.#unchangedIfThrown(writer, () => writer.write(contentOf(spec))) };
    if (blob.index < before || blob.index !== writer.length - 1) {
      this.#wrong(`blob ${blob.number} at ${blob.index}, length ${before} to ${writer.length}`);
    }
    this.#number++;
    this.#blobs.push(blob);
    if (sizeBytes >= NAMED_BYTES) this.#named = blob;
    this.#report({ event: "wrote", ...blob });
  }

  async #fill(writer: StorageWriter): Promise<void> {
    const { maxBlobBytes, fillBytes = Infinity } = this.#orders;
    const enough = writer.byteLength + fillBytes;
    for (let mostBytes = maxBlobBytes; mostBytes > 0 && writer.byteLength < enough;) {
      const fits = await this.#attempt("fill", () => this.#write(writer, this.#random.below(mostBytes)));
      if (!fits) mostBytes = Math.floor(mostBytes / 2);
      else if (this.#random.chance(0.1)) this.#publish(writer, "commit", () => writer.commit());
    }
  }

  /** Cells that no blob covers: they must be zero, whatever a killed writer left there. */
  #allocate(writer: StorageWriter): void {
    const count = this.#random.between(1, 40);
    const first = this.#unchangedIfThrown(writer, () => writer.allocate(count));
    const bytes = writer.cells(first, count);
    if (bytes.some((byte) => byte !== 0)) this.#wrong(`cells ${first} + ${count} are not zero`);
    bytes.fill(0xa5);
  }

  #flushSync(writer: StorageWriter): void {
    this.#flushed(this.#publish(writer, "flush", () => writer.flushSync()));
  }

  async #flush(writer: StorageWriter): Promise<void> {
    if (this.#pending.length >= MAX_PENDING_FLUSHES) await this.#drain();
    this.#report({ event: "publishing", kind: "flush", root: writer.root, length: writer.length });
    const commitsNow = this.#running === 0;
    this.#running++;
    const flush = async (): Promise<void> => this.#flushed(await writer.flush().finally(() => this.#running--));
    this.#pending.push(this.#attempt("flush", flush));
    // A flush that begins at once has committed when the call returns; its refusal is told by a microtask. One that waits
    // for another commits when it begins.
    for (let turn = 0; turn < MICROTASKS; turn++) await Promise.resolve();
    this.#report({ event: commitsNow ? "published" : "asked" });
  }

  async #drain(): Promise<void> {
    await Promise.all(this.#pending);
    this.#pending = [];
  }

  #truncate(writer: StorageWriter): void {
    this.#report({ event: "publishing", kind: "truncate", root: null, length: writer.startIndex });
    writer.truncate();
    this.#blobs = [];
    this.#named = null;
    this.#report({ event: "published" });
    this.#flushed({ root: null, length: writer.startIndex });
  }

  #readBack(writer: StorageWriter): void {
    if (this.#blobs.length === 0) return;
    const blob = this.#random.pick(this.#blobs);
    if (!isContent(writer.read(blob.index), blob)) this.#wrong(`blob ${blob.number} reads wrong`);
  }

  #reader(writer: StorageWriter): void {
    const { path } = this.#orders;
    using reader = StorageReader.open(path, { follow: "commits" });
    this.#publish(writer, "commit", () => writer.commit());
    reader.refresh();
    if (reader.root === writer.root && reader.length === writer.length) return;
    this.#wrong(`a reader shows length ${reader.length}, its writer committed ${writer.length}`);
  }

  async #close(writer: StorageWriter): Promise<void> {
    await this.#drain();
    const { root, length } = writer;
    this.#writer = null;
    if (this.#failed) {
      // Refused writers do not flush, and do not throw.
      writer.close();
    } else {
      this.#publish(writer, "flush", () => writer.close());
      this.#flushed({ root, length });
    }
    this.#report({ event: "closed" });
  }

  /** Announces the state that other processes are going to see, and reports the call's return. */
  #publish<T>(writer: StorageWriter, kind: "commit" | "flush", call: () => T): T {
    this.#report({ event: "publishing", kind, root: writer.root, length: writer.length });
    const result = call();
    this.#report({ event: "published" });
    return result;
  }

  #flushed({ root, length }: StorageState): void {
    this.#report({ event: "flushed", root, length });
  }

  #wrong(what: string): void {
    this.#report({ event: "wrong", what });
  }

  /** What is promised of a call that does not fit: the storage is as it was. */
  #unchangedIfThrown<T>(writer: StorageWriter, call: () => T): T {
    const { root, length } = writer;
    try {
      return call();
    } catch (error) {
      if (writer.root !== root || writer.length !== length) this.#wrong("a call that threw changed the state");
      throw error;
    }
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message} ${error.stack ?? ""}` : String(error);
}
