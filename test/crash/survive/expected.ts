/**
 * What must be true, kept by the supervisor from what the victim reported before it was ended. A state is a root, a
 * length and the blobs below it. `published` are the states that a crash may leave: from the last acknowledged flush
 * on, in their order.
 */

import type { Blob } from "./blobs.ts";
import type { Publishing, VictimEvent } from "./events.ts";

export interface State {
  readonly root: number | null;
  readonly length: number;
  /** The blobs of the storage since it was last empty; those below `length` belong to the state. */
  readonly blobs: readonly Blob[];
}

/** What an opening showed. */
export interface Found {
  readonly root: number | null;
  readonly length: number;
  readonly skippedCells?: number;
  /** `recovery.state` of a writer. */
  readonly recovery?: string;
}

type Opened = Extract<VictimEvent, { event: "opened" }>;

interface Published {
  readonly state: State;
  readonly kind: Publishing["kind"];
  /** The call returned: other processes see it. */
  sure: boolean;
}

/** How the last victim ended, which decides what may be lost. */
export type Ending = "kill" | "powerCut";

export class Expected {
  /** Broken promises, in words. */
  readonly violations: string[] = [];
  /** Every state that any process may ever have seen, as `keyOf`. */
  readonly seen: Set<string> = new Set();
  /** What was acknowledged. */
  commits = 0;
  flushes = 0;
  truncations = 0;
  refusals = 0;
  #published: Published[] = [];
  #pending: Published | null = null;
  #blobs: Blob[] = [];
  #lastNumber = 0;
  #closeController: Ending = "kill";
  #failedSince = false;
  #hasPower = true;
  /** Whether the victim has told what it opened at. */
  #isOpen = false;
  /** A victim was ended while it opened: it may have recovered a commit, and flushed it, without a word. */
  #mayBeRecovered = false;
  #annotated = 0;

  /** The number for the next victim's first blob. */
  get nextNumber(): number {
    return this.#lastNumber + 1;
  }

  /** Blobs up to this number are taken. */
  numbersUsed(next: number): void {
    this.#lastNumber = Math.max(this.#lastNumber, next - 1);
  }

  /** Whether anything was ever acknowledged: then the file must exist. */
  get exists(): boolean {
    return this.#published.length > 0;
  }

  take(event: VictimEvent): void {
    switch (event.event) {
      case "opened":
        this.#opened(event);
        break;
      case "wrote":
        this.#lastNumber = event.number;
        this.#blobs.push(event);
        break;
      case "publishing":
        this.#publishing(event);
        break;
      case "published":
        this.#acknowledge();
        break;
      case "asked":
        this.#leaveOpen();
        break;
      case "flushed":
        this.#flushed(event.root, event.length);
        break;
      case "refused":
        this.refusals++;
        this.#failedSince ||= event.code === "FAILED";
        this.#refused(event.length);
        break;
      case "untyped":
        this.violations.push(`${event.call} threw no StorageError: ${event.error}`);
        break;
      case "wrong":
        if (this.#hasPower) this.violations.push(event.what);
        break;
      case "closed":
      case "waiting":
      case "hanging":
        break;
    }
  }

  /**
   * The file system is about to be shut down under the victim, which a power cut would have ended. It lives on for a
   * moment, with pages that the kernel has dropped: what it reads proves nothing. What it acknowledges must hold.
   */
  powerGoes(): void {
    this.#hasPower = false;
  }

  /** The victim is gone: numbers go on, what was in flight may or may not have happened. */
  ended(ending: Ending): void {
    this.#closeController = ending;
    this.#failedSince = false;
    this.#hasPower = true;
    this.#mayBeRecovered ||= !this.#isOpen;
    this.#isOpen = false;
    if (this.#pending !== null) this.#published.push(this.#pending);
    this.#pending = null;
  }

  /** Says of the violations since the last call where they were met. */
  annotate(where: string): void {
    const fresh = this.violations.splice(this.#annotated);
    this.violations.push(...fresh.map((violation) => `${violation} [${where}]`));
    this.#annotated = this.violations.length;
  }

  /** The states that opening may find, the latest first. */
  candidates(): readonly State[] {
    const latestFirst = [...this.#published].reverse();
    if (this.#closeController === "powerCut") return latestFirst.map(({ state }) => state);
    const sure = latestFirst.findIndex((published) => published.sure);
    return latestFirst.slice(0, sure + 1).map(({ state }) => state);
  }

  /** The states that a flush may have made durable, the latest first. */
  flushCandidates(): readonly State[] {
    if (this.#mayBeRecovered) return this.#published.map(({ state }) => state).reverse();
    // A truncation may flush the last commit first, so that a crash in its midst loses none.
    const flushes = this.#published.filter(({ kind }, i, all) => {
      return i === 0 || kind !== "commit" || all[i + 1]?.kind === "truncate";
    });
    return flushes.map(({ state }) => state).reverse();
  }

  /** From now on this is the state, durable. */
  settle(state: State): void {
    this.#published = [{ state, kind: "flush", sure: true }];
    this.#blobs = state.blobs.filter((blob) => blob.index < state.length);
    this.#closeController = "kill";
    this.#mayBeRecovered = false;
    this.seen.add(keyOf(state));
  }

  #opened(opened: Opened): void {
    this.#failedSince = false;
    this.#isOpen = true;
    const { root, length } = opened;
    if (!this.exists) {
      if (root !== null || length !== opened.startIndex) this.violations.push(`a new storage has ${keyOf(opened)}`);
      this.settle({ root, length, blobs: [] });
      return;
    }
    const state = this.find(opened);
    if (state === null) this.violations.push(`opened at ${keyOf(opened)}, expected ${this.describe()}`);
    this.settle(state ?? { root, length, blobs: [] });
  }

  /**
   * The state that was found. After a power cut a writer may come back to a flush, or to an earlier commit that is
   * proven, and skip the cells of commits that cannot be proven; after a kill it may not.
   */
  find({ root, length, skippedCells = 0, recovery }: Found): State | null {
    if (skippedCells === 0) return this.candidates().find((state) => keyOf(state) === keyOf({ root, length })) ?? null;
    if (this.#closeController === "kill" || !this.candidates().some((state) => state.length === length)) return null;
    const kept = keyOf({ root, length: length - skippedCells });
    const candidates = recovery === "resumedAtCommit" ? this.candidates() : this.flushCandidates();
    const found = candidates.find((state) => keyOf(state) === kept);
    return found === undefined
      ? null
      : { root, length, blobs: found.blobs.filter(({ index }) => index < found.length) };
  }

  describe(): string {
    return this.candidates().map(keyOf).join(" or ");
  }

  #publishing(event: Publishing): void {
    const blobs = event.kind === "truncate" ? [] : this.#blobs;
    const state = { root: event.root, length: event.length, blobs };
    this.#pending = { state, kind: event.kind, sure: false };
    this.seen.add(keyOf(state));
  }

  #acknowledge(): void {
    if (this.#pending === null) return;
    const { state, kind } = this.#pending;
    this.#published.push({ state, kind, sure: true });
    this.#pending = null;
    if (kind === "truncate") {
      this.#blobs = [];
      this.truncations++;
    } else if (kind === "commit") this.commits++;
  }

  #flushed(root: number | null, length: number): void {
    const flushed = keyOf({ root, length });
    if (this.#pending !== null && keyOf(this.#pending.state) === flushed) this.#acknowledge();
    // The first that it may be: of two that look the same, the claim is the weaker one.
    const at = this.#published.findIndex(({ state, kind }, i) => {
      return (i === 0 || kind !== "commit") && keyOf(state) === flushed;
    });
    if (at === -1) this.violations.push(`flushed ${flushed}, which was not asked for`);
    else {
      this.#published.splice(0, at);
      // A flush that waited for another one was only asked for when its call returned.
      for (const published of this.#published.slice(0, 1)) published.sure = true;
    }
    if (this.#failedSince) this.violations.push(`flushed ${flushed} after FAILED`);
    this.flushes++;
  }

  /** A flush waits for another one to commit. */
  #leaveOpen(): void {
    if (this.#pending !== null) this.#published.push(this.#pending);
    this.#pending = null;
  }

  /** A call that publishes was refused: it may have come as far as the header. */
  #refused(length: number): void {
    if (this.#pending === null) return;
    const { state, kind } = this.#pending;
    this.#published.push(this.#pending);
    this.#pending = null;
    if (kind === "truncate" && state.length === length) this.#blobs = [];
  }
}

/** Root and length, to compare and to print. */
export function keyOf({ root, length }: Found): string {
  return `root ${root ?? "none"}, length ${length}`;
}
