/** Whether what was seen after a crash is what the guarantees say, given what the application had been told by then. */

import type { Fault, Outcome, Seen, Viewer } from "./examine.ts";
import type { History } from "./history.ts";
import { itemAt } from "./random.ts";
import type { LogEntry } from "./recording-region.ts";

export type CrashKind = "power cut" | "kill";

/** What a crash at a moment must leave; states by their order. */
export interface Bounds {
  /** The latest state that was begun: nothing after it can be seen. */
  readonly begun: number;
  /** The least that a reader of flushes sees. */
  readonly flushed: number;
  /** The least that a reader of commits sees: it goes by the process-sync header alone. */
  readonly shown: number;
  /** The least that a writer sees. */
  readonly committed: number;
  /** After a kill: readers that live on may know the cells below this one. */
  readonly shownNext: number;
}

export type BoundsOfCrash = Readonly<Record<CrashKind, Bounds>>;

/** The bounds after an event. */
export function boundsAfter(bounds: BoundsOfCrash | null, entry: LogEntry, history: History): BoundsOfCrash | null {
  if (entry.kind === "linked") {
    const atFirst = { begun: 0, flushed: 0, shown: 0, committed: 0, shownNext: itemAt(history.states, 0).next };
    return { "power cut": atFirst, kill: atFirst };
  }
  if (bounds === null) return null;
  return {
    "power cut": afterEvent(bounds["power cut"], entry, history, false),
    kill: afterEvent(bounds.kill, entry, history, true),
  };
}

function afterEvent(bounds: Bounds, entry: LogEntry, history: History, kill: boolean): Bounds {
  const { flushed, shown, committed, shownNext } = bounds;
  switch (entry.kind) {
    case "begins":
      return {
        ...bounds,
        begun: entry.order,
        shownNext: Math.min(shownNext, itemAt(history.states, entry.order).next),
      };
    case "returns":
      // A power cut may take it away again.
      if (!kill) return bounds;
      return {
        ...bounds,
        shown: entry.provable ? Math.max(shown, entry.order) : shown,
        committed: entry.provable ? Math.max(committed, entry.order) : committed,
        shownNext: itemAt(history.states, entry.order).next,
      };
    case "unproven":
      return { ...bounds, shown: flushed, committed: flushed };
    case "durable":
      return {
        ...bounds,
        flushed: Math.max(flushed, entry.order),
        shown: Math.max(shown, entry.order),
        committed: Math.max(committed, entry.order),
      };
    default:
      return bounds;
  }
}

/** What is wrong with the outcome of a crash, or null. */
export function judge(outcome: Outcome, history: History, bounds: Bounds, crash: CrashKind): Fault | null {
  const [fault] = outcome.faults;
  if (fault !== undefined) return fault;
  for (const seen of outcome.seen) {
    const wrong = judgeSeen(seen, bounds);
    if (wrong !== null) return wrong;
  }
  const versions = history.versions.slice(itemAt(history.states, bounds.flushed).versions - 1);
  if (!versions.includes(outcome.version)) {
    return { check: "version", detail: `${outcome.version}, expected one of ${versions.join()}` };
  }
  const next = seenBy(outcome, "writer").next + (outcome.recovery?.skippedCells ?? 0);
  if (crash === "kill" && next < bounds.shownNext) {
    return { check: "shown cells", detail: `next ${next}, readers know cells up to ${bounds.shownNext}` };
  }
  return null;
}

/** The latest of the states that the viewer may take what it sees for. */
export function stateSeen(outcome: Outcome, viewer: Viewer, begun: number): number {
  const latest = seenBy(outcome, viewer).whole.findLast((order) => order <= begun);
  if (latest === undefined) throw new Error(`the ${viewer} sees no known state`);
  return latest;
}

function judgeSeen(seen: Seen, bounds: Bounds): Fault | null {
  const what = `${seen.viewer} sees root ${seen.root}, next ${seen.next}`;
  const isBegun = (order: number): boolean => order <= bounds.begun;
  if (!seen.named.some(isBegun)) return { check: "unknown state", detail: what };
  const latest = seen.whole.findLast(isBegun);
  if (latest === undefined) return { check: "cells differ", detail: `${what}, as state ${seen.named.join()}` };
  if (latest < bounds.flushed) {
    return { check: "flush lost", detail: `${what}: state ${latest}, when ${bounds.flushed} had been acknowledged` };
  }
  const least = { "flush reader": bounds.flushed, "commit reader": bounds.shown, writer: bounds.committed }[
    seen.viewer
  ];
  if (latest < least) return { check: "commit lost", detail: `${what}: state ${latest}, when ${least} had returned` };
  return null;
}

function seenBy(outcome: Outcome, viewer: Viewer): Seen {
  const seen = outcome.seen.find((candidate) => candidate.viewer === viewer);
  if (seen === undefined) throw new Error(`the ${viewer} sees nothing`);
  return seen;
}
