/** Victims and readers as the supervisor sees them: started with orders, their reports taken into the books. */

import type { Child } from "../../support/child.ts";
import type { ReaderEvent, ReaderOrders, Step, VictimEvent, VictimOrders } from "./events.ts";
import { Expected, keyOf } from "./expected.ts";
import { type End, endChild, script, Spawned, startChild, withinTime } from "./spawned.ts";
import { attach, type Trace } from "./strace.ts";
import type { Workplace } from "./workplace.ts";

export type Refused = Extract<VictimEvent, { event: "refused" }>;
export type VictimProcess = Spawned<VictimEvent>;

/** Starts a victim. What it reports is taken into the books. `dying`: a signal of its own is no finding. */
export function startVictim(
  workplace: Workplace,
  orders: VictimOrders,
  expected: Expected,
  dying = false,
): VictimProcess {
  return new Spawned(workplace, script("victim.ts", orders), (event: VictimEvent) => expected.take(event), dying);
}

/** A whole life under strace. */
export async function liveTraced(
  workplace: Workplace,
  orders: VictimOrders,
  expected: Expected,
  trace: Trace,
): Promise<End> {
  const victim = startVictim(workplace, { ...orders, waits: true }, expected);
  if (!(await victim.until("waiting"))) return victim.end();
  const tracer = await attach(workplace, victim.pid, trace);
  await victim.release();
  const end = await victim.end();
  await withinTime(tracer.ended, `the strace of ${victim.pid} does not end`);
  return end;
}

/** A writer in another process, that the supervisor leads step by step. */
export class SteppedWriter implements AsyncDisposable {
  readonly #child: Child;
  readonly #workplace: Workplace;
  #expected: Expected = new Expected();

  constructor(workplace: Workplace) {
    this.#child = startChild(workplace, "stepped-writer.ts");
    this.#workplace = workplace;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Begins a life, with books of its own. */
  async begin(orders: VictimOrders, expected: Expected): Promise<void> {
    this.#expected = expected;
    await this.#child.ask({ orders });
  }

  /** Does the steps one after the other; answers what was refused. */
  async do(...steps: readonly Step[]): Promise<{ readonly refused: readonly Refused[]; readonly expected: Expected }> {
    const refused: Refused[] = [];
    for (const step of steps) {
      const events = (await this.#child.ask({ step }))["events"] as VictimEvent[];
      for (const event of events) {
        this.#expected.take(event);
        if (event.event === "refused") refused.push(event);
      }
    }
    return { refused, expected: this.#expected };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await endChild(this.#workplace, this.#child);
  }
}

/** Readers that stay alive, each replaced when it was killed. */
export class Readers {
  readonly violations: string[] = [];
  readonly totals = { refreshes: 0, blobs: 0, stale: 0, states: 0 };
  readonly #workplace: Workplace;
  readonly #saw = new Set<string>();
  readonly #running: Spawned<ReaderEvent>[] = [];

  constructor(workplace: Workplace) {
    this.#workplace = workplace;
  }

  get running(): readonly Spawned<ReaderEvent>[] {
    return this.#running;
  }

  /** Starts one, and waits until it has opened the file. */
  async start(orders: ReaderOrders): Promise<void> {
    const reader = new Spawned(this.#workplace, script("reading.ts", orders), (event: ReaderEvent) =>
      this.#take(event),
    );
    this.#running.push(reader);
    if (!(await reader.until("opened"))) this.violations.push("a reader could not open the file");
  }

  async kill(reader: Spawned<ReaderEvent>): Promise<void> {
    this.#running.splice(this.#running.indexOf(reader), 1);
    const { code, signal } = await reader.kill();
    if (signal !== "SIGKILL") this.violations.push(`a reader ended with ${signal ?? code}`);
  }

  /** Ends them all. What they saw must have been published. */
  async finish(expected: Expected): Promise<void> {
    for (const reader of this.#running) reader.signal("SIGTERM");
    const ends: End[] = await Promise.all(this.#running.splice(0).map((reader) => reader.end()));
    for (const { code, signal } of ends) {
      if (code !== 0) this.violations.push(`a reader ended with ${signal ?? code}`);
    }
    for (const state of this.#saw) {
      if (!expected.seen.has(state)) this.violations.push(`a reader saw ${state}, which was never published`);
    }
    this.totals.states += this.#saw.size;
    this.#saw.clear();
  }

  #take(event: ReaderEvent): void {
    if (event.event === "saw") this.#saw.add(keyOf(event));
    else if (event.event === "wrong") this.violations.push(event.what);
    else if (event.event === "done") {
      this.totals.refreshes += event.refreshes;
      this.totals.blobs += event.blobs;
      this.totals.stale += event.stale;
    }
  }
}
