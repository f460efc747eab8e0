/** Goes through a recorded life event by event, and crashes it after each: the power fails, or the process is killed. */

import { FILE, HEADER } from "../../../src/format/layout.ts";
import { Disk } from "./disk.ts";
import { Examiner, type Outcome } from "./examine.ts";
import { compose, Images } from "./images.ts";
import { type BoundsOfCrash, boundsAfter, type CrashKind, judge, stateSeen } from "./judge.ts";
import { Life } from "./life.ts";
import { itemAt } from "./random.ts";
import { applyToMemory, type LogEntry } from "./recording-region.ts";
import type { Count, Recorded, Run } from "./run.ts";

/** Crashes the life at every event. `depth` is 1 for the second crash, after which nothing is recovered any more. */
export async function explore(recorded: Recorded, run: Run, depth: 0 | 1 = 0): Promise<void> {
  await new Explorer(recorded, run, depth).exploreAll();
}

/** A crash that is to be recovered from. */
interface Crash {
  readonly image: Uint8Array;
  readonly disk: Disk;
  readonly bounds: BoundsOfCrash;
  readonly where: string;
}

/** After a kill: what the disk may hold. */
type KilledDisk = () => Disk;

class Explorer {
  readonly #recorded: Recorded;
  readonly #run: Run;
  readonly #depth: 0 | 1;
  readonly #count: Count;
  readonly #examiner: Examiner;
  readonly #disk: Disk;
  readonly #memory: Uint8Array;
  #sizeBytes: number;
  #bounds: BoundsOfCrash | null;
  #at = 0;
  readonly #outcomes = new Map<string, Outcome>();
  /** Kinds of recovery that there have been. */
  readonly #kinds = new Set<string>();
  readonly #crashes: Crash[] = [];

  constructor(recorded: Recorded, run: Run, depth: 0 | 1) {
    this.#recorded = recorded;
    this.#run = run;
    this.#depth = depth;
    this.#count = run.counts[depth];
    this.#examiner = new Examiner(run.bench, recorded.history, recorded.stepBytes);
    this.#disk = recorded.disk.clone();
    this.#memory = new Uint8Array(largestSize(recorded));
    this.#memory.set(recorded.image);
    this.#sizeBytes = recorded.image.length;
    this.#bounds = recorded.bounds;
    run.bench.canDeallocate = recorded.canDeallocate;
  }

  async exploreAll(): Promise<void> {
    for (const [at, entry] of this.#recorded.log.entries()) {
      this.#at = at;
      this.#crashAt(entry);
      for (const crash of this.#crashes.splice(0)) await this.#recover(crash);
      if (this.#hasEnough()) return;
    }
  }

  #crashAt(entry: LogEntry): void {
    const { instant } = this.#disk;
    if (entry.kind === "store") this.#killInside(entry.offset, entry.bytes);
    this.#sizeBytes = applyToMemory(this.#memory, this.#sizeBytes, entry);
    this.#disk.apply(entry);
    this.#bounds = boundsAfter(this.#bounds, entry, this.#recorded.history);
    // These put nothing into memory or onto the disk that was not there before, and ask for nothing new.
    if (entry.kind === "begins" || entry.kind === "syncStarts") return;
    this.#kill(() => this.#disk.clone());
    if (entry.kind !== "returns") this.#cutPower(entry.kind === "store" ? instant : undefined);
  }

  /** The power fails: each image of the disk. */
  #cutPower(since?: number): void {
    if (this.#bounds === null) return;
    const { effort, random, scratch } = this.#run;
    this.#count.crashPoints++;
    for (const image of new Images(this.#disk, since).within(effort.imagesPerPoint[this.#depth], random)) {
      if (image.enumerated) this.#count.enumerated++;
      else this.#count.sampled++;
      this.#crash(compose(this.#disk, image, scratch), this.#bounds, null);
      if (this.#hasEnough()) return;
    }
  }

  /** The process is killed after a word of a store, but not the last. */
  #killInside(offset: number, bytes: Uint8Array): void {
    for (let end = 4; end < bytes.length; end += 4) {
      const word = bytes.subarray(end - 4, end);
      if (Buffer.compare(word, this.#memory.subarray(offset + end - 4, offset + end)) === 0) continue;
      this.#memory.set(word, offset + end - 4);
      if (!this.#run.random.oneIn(this.#run.effort.killWordOneIn[this.#depth])) continue;
      this.#kill(() => {
        const disk = this.#disk.clone();
        disk.apply({ kind: "store", offset, bytes: bytes.subarray(0, end) });
        return disk;
      });
    }
  }

  /** The process is killed: what is in memory stays. */
  #kill(disk: KilledDisk): void {
    if (this.#bounds === null) return;
    this.#count.kills++;
    this.#crash(this.#memory.subarray(0, this.#sizeBytes), this.#bounds, disk);
  }

  #crash(image: Uint8Array, bounds: BoundsOfCrash, killed: KilledDisk | null): void {
    const kind: CrashKind = killed === null ? "power cut" : "kill";
    const key = `${image.length} ${Bun.hash(image)}`;
    const known = this.#outcomes.get(key);
    const outcome = known ?? this.#examiner.examine(image);
    const fault = judge(outcome, this.#recorded.history, bounds[kind], kind);
    if (fault !== null) this.#run.violations.push({ ...fault, where: this.#where(kind) });
    if (known !== undefined) return;
    this.#outcomes.set(key, outcome);
    this.#count.opened++;
    if (fault !== null || !this.#isToBeRecovered(image, outcome, kind)) return;
    const copy = image.slice();
    const recoveryBounds = boundsOfRecovery(outcome, bounds, kind);
    this.#crashes.push({
      image: copy,
      disk: killed?.() ?? new Disk(copy),
      bounds: recoveryBounds,
      where: this.#where(kind),
    });
  }

  #isToBeRecovered(image: Uint8Array, { recovery }: Outcome, crash: CrashKind): boolean {
    if (this.#depth === 1 || recovery === null) return false;
    const kind = [
      crash,
      recovery.state,
      recovery.ignored,
      recovery.tornCopies,
      recovery.skippedCells > 0,
      ...comparedHeaders(image),
    ].join();
    const { newKind, any } = this.#run.effort.recoverOneIn;
    const oneIn = this.#kinds.has(kind) ? Math.min(any, this.#recorded.recoverOneIn ?? any) : newKind;
    this.#kinds.add(kind);
    return this.#run.random.oneIn(oneIn);
  }

  /** Opens what the crash left, goes on with the work that was lost, and crashes that at every event. */
  async #recover({ image, disk, bounds, where }: Crash): Promise<void> {
    const { recorder, effort, violations } = this.#run;
    const { stepBytes, steps } = this.#recorded;
    const name = `${where}, recovered`;
    const history = this.#recorded.history.after(bounds.kill.begun);
    const done = itemAt(history.states, bounds.kill.committed).steps;
    recorder.load(image);
    try {
      const life = Life.open({ region: recorder, history, stepBytes, salt: 1 }, done);
      await life.run(steps.slice(done, done + effort.stepsAgain));
    } catch (error) {
      violations.push({ check: "recovered life", detail: String(error), where: name });
      return;
    }
    await explore({ ...this.#recorded, name, image, disk, log: recorder.log, history, bounds }, this.#run, 1);
  }

  #where(kind: CrashKind): string {
    const { name, log } = this.#recorded;
    return `${name}, ${kind} after event ${this.#at} (${itemAt(log, this.#at).kind})`;
  }

  #hasEnough(): boolean {
    return this.#run.violations.length >= this.#run.effort.maxViolations;
  }
}

/** What a crash in the recovery must leave: what opening has found, it finds again. */
function boundsOfRecovery(outcome: Outcome, bounds: BoundsOfCrash, crash: CrashKind): BoundsOfCrash {
  const { begun, shownNext } = bounds.kill;
  const committed = stateSeen(outcome, "writer", begun);
  // Of states that look alike, readers see the one that is not after the writer's.
  const flushed = stateSeen(outcome, "flush reader", committed);
  const shown = stateSeen(outcome, "commit reader", committed);
  const kill = { begun, flushed, shown, committed, shownNext };
  // After a power cut all of it is on the disk, and nobody has read it yet. After a kill less of it may be there.
  if (crash === "kill") return { "power cut": bounds["power cut"], kill };
  return { "power cut": kill, kill: { ...kill, shownNext: 0 } };
}

/** How the header copies differ, torn or not: which is of a longer storage, or has another root. */
function comparedHeaders(image: Uint8Array): number[] {
  const view = new DataView(image.buffer, image.byteOffset);
  const [disk1, ...others] = [FILE.disk1, FILE.disk2, FILE.process1, FILE.process2].map(({ offset }) => ({
    root: view.getUint32(offset + HEADER.root.offset, true),
    next: view.getUint32(offset + HEADER.next.offset, true),
  }));
  return others.map(({ root, next }) => Math.sign(next - (disk1?.next ?? 0)) * 2 || Number(root !== disk1?.root));
}

function largestSize({ image, log }: Recorded): number {
  return log.reduce((most, entry) => (entry.kind === "grow" ? Math.max(most, entry.sizeBytes) : most), image.length);
}
