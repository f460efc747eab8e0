/**
 * (h) One writer that grows and truncates, many readers that keep checking; some are stopped for a while, some are
 * killed and replaced, and so is the writer. Nobody sees a torn state, or an older one, and nobody ends by a signal.
 */

import { Expected } from "./expected.ts";
import type { Figures } from "./figures.ts";
import { Inspector } from "./inspector.ts";
import { Readers, startVictim, type VictimProcess } from "./lives.ts";
import { Random } from "../../support/random.ts";
import { Workplace } from "./workplace.ts";

export interface ReadersBesideOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly readers: number;
}

const MAX_PAUSE_MS = 60;

export async function readersBeside({ seconds, seed, readers: count }: ReadersBesideOptions): Promise<Figures> {
  const random = new Random(seed);
  using workplace = new Workplace();
  await using inspector = new Inspector(workplace);
  const scene = new Scene(workplace, random);
  await scene.begin(count);
  const deadline = performance.now() + seconds * 1000;
  while (performance.now() < deadline) await scene.disturb();
  await scene.end(inspector);
  const { expected, readers, tally } = scene;
  const { refreshes, blobs, stale, states } = readers.totals;
  const values = {
    seconds,
    readers: count,
    "readers stopped": tally.readersStopped,
    "readers killed": tally.readersKilled,
    "writers stopped": tally.writersStopped,
    "writers killed": tally.writersKilled,
    "commits acknowledged": expected.commits,
    "flushes acknowledged": expected.flushes,
    truncations: expected.truncations,
    "refreshes of readers": refreshes,
    "states that readers saw": states,
    "blobs that readers verified": blobs,
    "reads that a truncation made stale": stale,
  };
  return {
    scenario: "readers beside a writer",
    seed,
    values,
    violations: [...expected.violations, ...readers.violations],
  };
}

class Scene {
  readonly expected: Expected = new Expected();
  readonly readers: Readers;
  readonly tally = { readersStopped: 0, readersKilled: 0, writersStopped: 0, writersKilled: 0 };
  readonly #workplace: Workplace;
  readonly #random: Random;
  readonly #path: string;
  #writer: VictimProcess;

  constructor(workplace: Workplace, random: Random) {
    this.#workplace = workplace;
    this.#random = random;
    this.#path = workplace.path();
    this.readers = new Readers(workplace);
    this.#writer = this.#startWriter();
  }

  async begin(readers: number): Promise<void> {
    await this.#writer.until("opened");
    await Promise.all(Array.from({ length: readers }, () => this.#startReader()));
  }

  async disturb(): Promise<void> {
    const reader = this.#random.pick(this.readers.running);
    const kind = this.#random.next();
    if (kind < 0.4) {
      this.tally.readersStopped++;
      await this.#pause(reader);
    } else if (kind < 0.5) {
      this.tally.readersKilled++;
      await this.readers.kill(reader);
      await this.#startReader();
    } else if (kind < 0.6) {
      this.tally.writersStopped++;
      await this.#pause(this.#writer);
    } else if (kind < 0.7) await this.#replaceWriter();
    await Bun.sleep(this.#random.next() * MAX_PAUSE_MS);
  }

  async end(inspector: Inspector): Promise<void> {
    await this.#killWriter();
    await this.readers.finish(this.expected);
    await inspector.write(this.#path, this.expected, this.#random.seed());
  }

  async #replaceWriter(): Promise<void> {
    this.tally.writersKilled++;
    await this.#killWriter();
    this.#writer = this.#startWriter();
    await this.#writer.until("opened");
  }

  async #killWriter(): Promise<void> {
    const { code, signal } = await this.#writer.kill();
    if (signal !== "SIGKILL") this.expected.violations.push(`the writer ended by itself: ${signal ?? code}`);
    this.expected.ended("kill");
  }

  #startWriter(): VictimProcess {
    const orders = {
      path: this.#path,
      seed: this.#random.seed(),
      firstNumber: this.expected.nextNumber,
      bytesPerCell: 32,
      // Small steps, so that the file grows all the time; a small storage, so that it is truncated often.
      resizeStepBytes: 4096,
      maxBlobBytes: 20_000,
      maxStorageBytes: 500_000,
    };
    return startVictim(this.#workplace, orders, this.expected);
  }

  async #startReader(): Promise<void> {
    await this.readers.start({ path: this.#path, follow: this.#random.pick(["flushes", "commits"] as const) });
  }

  async #pause(process: { signal(name: NodeJS.Signals): void }): Promise<void> {
    process.signal("SIGSTOP");
    await Bun.sleep(this.#random.next() * MAX_PAUSE_MS);
    process.signal("SIGCONT");
  }
}
