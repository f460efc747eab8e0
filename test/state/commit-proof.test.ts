/**
 * Every commit proves itself: whatever was written, filled, changed in place and flushed before, the file as it is
 * when a commit has returned opens at that commit. So a kill at that moment loses nothing.
 */

import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { StorageError } from "../../src/error.ts";
import { inspect } from "../../src/offline/inspect.ts";
import { type StorageState, StorageWriter } from "../../src/index.ts";
import { useFolder } from "../support/folder.ts";
import { Random, seedFromEnvironment } from "../support/random.ts";

const fresh = useFolder({ inMemory: true });
const seed = seedFromEnvironment();
const OPERATIONS = 1500;

/** The state that a writer would find if this one were killed now. */
function stateAfterKill(path: string): StorageState & { readonly lost: boolean } {
  const fd = openSync(path, "r");
  try {
    const { opening } = inspect(fd, path);
    if (opening instanceof StorageError) throw opening;
    const { next, root } = opening.header;
    return { length: next, root: root === 0 ? null : root, lost: opening.recovery.state === "resumedAtFlush" };
  } finally {
    closeSync(fd);
  }
}

class Operator implements AsyncDisposable {
  readonly #random: Random;
  readonly #writer: StorageWriter;
  #flushes: Promise<StorageState>[] = [];
  #committed: number;
  /** Flushes that have not returned. One that is asked for then commits when it begins. */
  #running = 0;

  constructor(random: Random, bytesPerCell: number) {
    this.#random = random;
    this.#writer = StorageWriter.create(fresh(), { bytesPerCell });
    this.#committed = this.#writer.startIndex;
  }

  async step(): Promise<string> {
    const random = this.#random;
    const writer = this.#writer;
    const kind = random.below(100);
    if (kind < 20) return `write ${writer.write(new Uint8Array(random.below(200)).fill(kind))}`;
    if (kind < 22) return `write ${writer.write(new Uint8Array(random.below(300_000)).fill(kind))}`;
    if (kind < 35) return `allocate ${writer.allocate(random.between(1, 3))}`;
    if (kind < 60) return this.#change();
    if (kind < 65) return this.#changeByView();
    if (kind < 80) return this.#published("commit", () => writer.commit());
    if (kind < 92) return this.#published("flush", () => this.#flush());
    if (kind < 97) {
      await this.#flushes.shift();
      return "a flush returns";
    }
    if (kind < 99) return this.#published("flushSync", () => writer.flushSync());
    return this.#published("truncate", () => writer.truncate());
  }

  /** A field of a cell near the end, where commits and flushes begin and end. It may reach over some cells. */
  #change(): string {
    const { startIndex, length, config } = this.#writer;
    if (length === startIndex) return "nothing to change";
    const index = Math.max(startIndex, length - 1 - this.#random.below(12));
    const mostBytes = (length - index) * config.bytesPerCell;
    const kind = this.#random.below(4);
    const lengthBytes = 2 ** kind;
    if (mostBytes < lengthBytes) return "no room";
    const offset = this.#random.below(Math.min(mostBytes - lengthBytes, 2 * config.bytesPerCell) + 1);
    const value = this.#random.below(256);
    if (kind === 0) this.#writer.setU8(index, offset, value);
    if (kind === 1) this.#writer.setU16(index, offset, value);
    if (kind === 2) this.#writer.setU32(index, offset, value);
    if (kind === 3) this.#writer.setU64(index, offset, BigInt(value));
    return `setU${8 * lengthBytes} ${index} + ${offset}`;
  }

  /** Of a cell that no commit covers yet: of others the library cannot know. */
  #changeByView(): string {
    const index = this.#writer.length - 1;
    if (index < this.#committed) return "nothing to change";
    this.#writer.cell(index).fill(this.#random.below(256));
    return `fill ${index}`;
  }

  #published(name: string, publish: () => void): string {
    const { length, startIndex } = this.#writer;
    // With the same root and length, nothing but a change in place tells that there is something to commit.
    const waits = name === "flush" && this.#running > 0;
    const moves = length > startIndex && name !== "truncate" && this.#random.chance(0.5);
    if (moves) this.#writer.root = this.#random.between(startIndex, length - 1);
    publish();
    this.#committed = this.#writer.length;
    if (waits) return `${name} that waits`;
    expect(stateAfterKill(this.#writer.path)).toEqual({
      length: this.#committed,
      root: this.#writer.root,
      lost: false,
    });
    return name;
  }

  #flush(): void {
    this.#running++;
    this.#flushes.push(this.#writer.flush().finally(() => this.#running--));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#flushes);
    this.#writer.close();
  }
}

test.each([4, 5, 32, 1000])(`in cells of %d bytes (seed ${seed})`, async (bytesPerCell) => {
  await using operator = new Operator(new Random(seed), bytesPerCell);
  const last: string[] = [];
  for (let i = 0; i < OPERATIONS; i++) {
    try {
      last.push(await operator.step());
    } catch (error) {
      throw new Error(`after ${last.slice(-12).join(", ")}`, { cause: error });
    }
  }
});

test("a change in place of cells that were committed while a flush ran is committed by the next flush", async () => {
  using writer = StorageWriter.create(fresh());
  writer.root = writer.allocate();
  const running = writer.flush();
  writer.root = writer.allocate();
  writer.commit();
  await running;
  writer.setU32(writer.root, 4, 2);
  const next = writer.flush();
  expect(stateAfterKill(writer.path)).toEqual({ length: writer.length, root: writer.root, lost: false });
  await next;
});

test("a change in place of cells that a flush has covered, and the last record too, is committed by the next flush", async () => {
  using writer = StorageWriter.create(fresh());
  const first = writer.allocate();
  writer.root = first;
  const running = writer.flush();
  writer.root = writer.allocate();
  writer.commit();
  await running;
  writer.setU32(first, 4, 2);
  const next = writer.flush();
  expect(stateAfterKill(writer.path)).toEqual({ length: writer.length, root: writer.root, lost: false });
  await next;
});
