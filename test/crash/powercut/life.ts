/**
 * An application that uses a storage, up to its end or to a crash: the real writer over a recording region.
 * It keeps account of what it writes and of every state that it publishes.
 */

import type { CheckedConfig } from "../../../src/format/config.ts";
import type { Header } from "../../../src/format/header.ts";
import { startIndexOf } from "../../../src/format/layout.ts";
import { createStore } from "../../../src/store/open.ts";
import type { StorageWriter } from "../../../src/writer.ts";
import { choicesOf, openAfterCrash, type Place, writerOver } from "./opening.ts";
import { itemAt } from "./random.ts";
import { Written } from "./written.ts";

/** Something that the application does. */
export type Step = (life: Life) => void | Promise<void>;

export class Life {
  readonly #place: Place;
  readonly #written: Written;
  #writer: StorageWriter;
  #steps: number;
  /** Asynchronous flushes: what was wrong with each, or null. */
  #flushes: Promise<unknown>[] = [];
  /** Flushes that have not returned. */
  #running = 0;
  /** The latest state whose commit has returned. */
  #returned = -1;
  #flushedNext = 0;
  /** Committed cells that were changed in place since the last flush, as places in the file. */
  #changed: (readonly [from: number, to: number])[] = [];

  private constructor(place: Place, writer: StorageWriter, steps: number) {
    this.#place = place;
    this.#written = new Written(place.salt);
    this.#writer = writer;
    this.#steps = steps;
  }

  /** Makes the file in the order of `createWriterFile`: complete before it has its name. */
  static create(place: Place, config: CheckedConfig): Life {
    const { region, history, stepBytes, salt } = place;
    region.reserve(region.sizeBytes);
    history.versions.push(config.version);
    const header = { root: 0, next: startIndexOf(config.bytesPerCell) };
    const order = history.publish({ ...header, versions: 1, steps: 0, memory: region.memory });
    region.mark({ kind: "begins", order });
    const choices = choicesOf(stepBytes, salt);
    const life = new Life(place, writerOver(region, choices, createStore(region, config, choices)), 0);
    life.#done(order);
    region.mark({ kind: "linked" });
    region.mark({ kind: "named" });
    return life;
  }

  /** Opens what a crash left in the region, after so many steps of the workload. */
  static open(place: Place, steps: number): Life {
    const { writer, order } = openAfterCrash(place, steps);
    const life = new Life(place, writer, steps);
    life.#done(order);
    return life;
  }

  /** Does the steps, and lets every sync return that is left then. */
  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      this.#steps++;
      await step(this);
      this.#place.region.observe();
    }
    while (this.#place.region.drain()) await runContinuations();
    for (const error of await Promise.all(this.#flushes)) if (error !== null) throw error;
  }

  /** Writes a blob and makes it the root. */
  write(sizeBytes: number): void {
    const bytes = this.#written.content(sizeBytes);
    const index = this.#writer.write(bytes);
    this.#written.blob(index, bytes);
    this.#writer.root = index;
  }

  /** Allocates cells and fills them through a view. */
  allocate(count: number): void {
    const first = this.#writer.allocate(count);
    const view = this.#writer.cells(first, count);
    if (view.some((byte) => byte !== 0)) throw new Error(`${count} cells allocated at ${first} are not zero`);
    const bytes = this.#written.content(view.length);
    view.set(bytes);
    this.#written.fill(first * this.#place.history.bytesPerCell, bytes);
  }

  /** Makes a blob that was written before the root, or none. */
  root(blob: number | null): void {
    this.#writer.root = blob === null ? null : (this.#written.blobAt(blob)?.index ?? null);
  }

  commit(): void {
    const order = this.#commits();
    this.#writer.commit();
    this.#returns(order);
  }

  flush(): void {
    const order = this.#begins();
    this.#checkAnswer(order, this.#writer.flushSync());
    this.#done(order);
  }

  /** Begins an asynchronous flush; its syncs return by {@link syncReturns}. */
  flushLater(): void {
    const order = this.#begins();
    // One that is asked for while another runs commits when it begins.
    const commitsNow = this.#running === 0;
    this.#running++;
    const flushed = this.#writer.flush().finally(() => this.#running--);
    if (commitsNow) this.#returns(order);
    const acknowledged = flushed.then((state) => {
      // Unless a later commit has overtaken it, which may have been a truncation.
      if (order > this.#returned) this.#returns(order);
      this.#checkAnswer(order, state);
      this.#durable(order);
      return null;
    });
    this.#flushes.push(acknowledged.catch((error: unknown) => error));
  }

  /** Lets the oldest asynchronous sync return, if there is one, and what waits for it go on. */
  async syncReturns(): Promise<void> {
    this.#place.region.drain();
    await runContinuations();
  }

  truncate(): void {
    const { startIndex } = this.#writer;
    const order = this.#begins({ root: 0, next: startIndex });
    this.#writer.truncate();
    this.#written.cut(startIndex, this.#place.history.bytesPerCell);
    this.#done(order);
  }

  version(version: number): void {
    this.#place.history.versions.push(version);
    this.#writer.overrideVersion(version);
  }

  /** Changes a blob's first bytes in place, through a view that the storage does not see. */
  changeInPlace(number: number): void {
    const blob = this.#written.blobAt(number);
    if (blob === null) return;
    const { region, history } = this.#place;
    const view = itemAt(this.#writer.chunks(blob.index), 0).subarray(0, 10);
    const from = view.byteOffset;
    history.forget(from, from + view.length);
    if (from >= this.#flushedNext * history.bytesPerCell) {
      this.#changed.push([from, from + view.length]);
      region.mark({ kind: "unproven" });
    }
    view.forEach((byte, i) => {
      blob.bytes[i] = view[i] = ~byte;
    });
  }

  /** Spoils a header copy at rest, as a bad sector would. */
  damage(offset: number): void {
    const { region } = this.#place;
    region.sync(region.sizeBytes);
    region.store({ offset, bytes: new Uint8Array(32).fill(0xa5) });
    region.sync(region.sizeBytes);
  }

  /** The process is killed, and the next one opens the file. */
  reopen(): void {
    const { region, history } = this.#place;
    region.abandon();
    region.observe();
    this.#flushes = [];
    this.#running = 0;
    const before = itemAt(history.states, history.states.length - 1);
    const { writer, order } = openAfterCrash(this.#place, this.#steps);
    const { root, next } = itemAt(history.states, order);
    if (root !== before.root || next !== before.next) {
      throw new Error(`killed at root ${before.root}, next ${before.next}; opened at root ${root}, next ${next}`);
    }
    this.#writer = writer;
    this.#written.cut(next, history.bytesPerCell);
    this.#done(order);
  }

  close(): void {
    const order = this.#begins();
    this.#writer.close();
    this.#done(order);
  }

  /** A flush begins, and with it a commit. */
  #begins(header?: Header): number {
    if (this.#changed.length > 0) this.#commits(header);
    return this.#publish(header);
  }

  /** A commit begins. Of cells that were changed in place it may prove what they were before. */
  #commits(header?: Header): number {
    const order = this.#publish(header);
    for (const [from, to] of this.#changed) this.#place.history.forget(from, to, order);
    return order;
  }

  #publish(header: Header = { root: this.#writer.root ?? 0, next: this.#writer.length }): number {
    const { history, region } = this.#place;
    // A load brings blobs into memory that are staged. It hands no view out, so that their CRC stays what was taken.
    if (this.#writer.length > this.#writer.startIndex) this.#writer.u8(this.#writer.length - 1, 0);
    this.#written.check(region.memory, history.bytesPerCell);
    const versions = history.versions.length;
    const order = history.publish({ ...header, versions, steps: this.#steps, memory: region.memory });
    region.mark({ kind: "begins", order });
    return order;
  }

  /** Committed. */
  #returns(order: number): void {
    this.#returned = order;
    this.#place.region.mark({ kind: "returns", order, provable: this.#changed.length === 0 });
  }

  /** Committed and durable. */
  #done(order: number): void {
    this.#returns(order);
    this.#durable(order);
  }

  #durable(order: number): void {
    this.#place.region.mark({ kind: "durable", order });
    this.#changed = [];
    this.#flushedNext = itemAt(this.#place.history.states, order).next;
  }

  /** A flush says what it made durable: the state at its call, or a later one. */
  #checkAnswer(order: number, answer: { readonly root: number | null; readonly length: number }): void {
    const later = this.#place.history.states.slice(order);
    if (later.some(({ root, next }) => root === (answer.root ?? 0) && next === answer.length)) return;
    throw new Error(`flush ${order} answered root ${answer.root}, length ${answer.length}: no state since its call`);
  }
}

/** Lets every continuation run that can. */
function runContinuations(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
