/** The supervisor's side of the checker: what a crash left is held against what was promised. */

import type { Child, Message } from "../../support/child.ts";
import type { Blob } from "./blobs.ts";
import { type Expected, type Found, keyOf, type State } from "./expected.ts";
import { endChild, startChild } from "./spawned.ts";
import type { Workplace } from "./workplace.ts";

/** What was looked at, for the figures. */
export interface Counts {
  /** Storages opened. */
  opened: number;
  /** Blobs that were promised, and read back byte for byte. */
  blobs: number;
  /** Openings that resumed at a commit, at a flush, or found a clean file. */
  resumedAtCommit: number;
  resumedAtFlush: number;
  clean: number;
}

export class Inspector implements AsyncDisposable {
  readonly counts: Counts = { opened: 0, blobs: 0, resumedAtCommit: 0, resumedAtFlush: 0, clean: 0 };
  readonly #child: Child;
  readonly #workplace: Workplace;

  constructor(workplace: Workplace) {
    this.#child = startChild(workplace, "checker.ts");
    this.#workplace = workplace;
  }

  /** A reader opens at a state that was promised, and every blob of it is right. Changes nothing. */
  async read(path: string, expected: Expected, follow: "flushes" | "commits"): Promise<void> {
    const found = await this.#open({ do: "read", path, follow }, `reader of ${follow}`, expected);
    if (found === null) return;
    const states = follow === "flushes" ? expected.flushCandidates() : expected.candidates();
    const state = states.find((candidate) => keyOf(candidate) === keyOf(found)) ?? null;
    await this.#check(state, found, expected, `reader of ${follow}`);
    await this.#child.ask({ do: "close" });
  }

  /** A writer does, and goes on. Afterwards that is the state, durable. */
  async write(path: string, expected: Expected, seed: number): Promise<void> {
    const found = await this.#open({ do: "write", path }, "writer", expected);
    if (found === null) return;
    // Before anything was acknowledged there is a new storage, if any.
    const isNew = found.root === null && found.length === found.startIndex;
    const state = expected.exists
      ? expected.find(found)
      : isNew
        ? { root: null, length: found.length, blobs: [] }
        : null;
    await this.#check(state, found, expected, "writer");
    const before = (state?.blobs ?? []).filter(({ index }) => index < found.length);
    const firstNumber = expected.nextNumber;
    const reply = await this.#child.ask({ do: "goOn", seed, firstNumber });
    const { root, length, blobs, bad, error } = reply as unknown as State & { bad: number[]; error?: string };
    if (error !== undefined) {
      expected.violations.push(`the writer cannot go on: ${error} ${String(reply["message"])}`);
      expected.settle({ ...found, blobs: before });
    } else {
      if (bad.length > 0) expected.violations.push(`blobs that were just written read wrong: ${bad.join()}`);
      expected.settle({ root, length, blobs: [...before, ...blobs] });
      expected.numbersUsed(firstNumber + blobs.length);
    }
    const closed = await this.#child.ask({ do: "close" });
    if (closed["error"] !== undefined) expected.violations.push(`close: ${JSON.stringify(closed)}`);
  }

  /** The state that was settled is still there: nothing that the last writer claimed is lost. */
  async again(path: string, expected: Expected): Promise<void> {
    await this.read(path, expected, "flushes");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endChild(this.#workplace, this.#child);
  }

  async #open(command: Message, who: string, expected: Expected): Promise<(Found & { startIndex: number }) | null> {
    const reply = await this.#child.ask(command);
    this.counts.opened++;
    if (reply["error"] !== undefined) {
      expected.violations.push(`${who}: refused: ${String(reply["message"])}`);
      return null;
    }
    const recovery = reply["recovery"];
    if (recovery === "resumedAtCommit" || recovery === "resumedAtFlush" || recovery === "clean")
      this.counts[recovery]++;
    return reply as unknown as Found & { startIndex: number };
  }

  async #check(state: State | null, found: Found, expected: Expected, who: string): Promise<void> {
    if (state === null) {
      expected.violations.push(`${who}: opened at ${keyOf(found)}, expected ${expected.describe()}`);
      return;
    }
    const blobs: Blob[] = state.blobs.filter(({ index }) => index < state.length);
    const { bad, rootIsRight, error } = await this.#child.ask({ do: "check", blobs });
    if (error !== undefined) expected.violations.push(`${who}: check: ${String(error)}`);
    else if ((bad as string[]).length > 0) expected.violations.push(`${who}: blobs lost or wrong: ${String(bad)}`);
    if (rootIsRight === false) expected.violations.push(`${who}: the root ${String(found.root)} is no blob`);
    this.counts.blobs += blobs.length;
  }
}
