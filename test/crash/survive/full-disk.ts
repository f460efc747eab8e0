/**
 * (d) Full disks: of every size, filled to the last block, by the writer and by others; file size limits. No signal,
 * a typed error, nothing changed by the call that did not fit, and the same writer goes on when there is space again.
 */

import { existsSync } from "node:fs";
import { Ballast, Disk, type Mount, mountMemory } from "./disk.ts";
import type { Step, VictimOrders } from "./events.ts";
import { Expected } from "./expected.ts";
import type { Figures } from "./figures.ts";
import { Inspector } from "./inspector.ts";
import { SteppedWriter } from "./lives.ts";
import { Random } from "../../support/random.ts";
import { run, Workplace } from "./workplace.ts";

const PAGE_BYTES = 4096;
const SMALLEST_BLOCK_BYTES = 1024;
/** Room for a blob of any kind, with what the file system wants for itself. */
const ENOUGH_BYTES = 8 * PAGE_BYTES;
const NEED_SPACE = ["open", "fill", "writeSmall"];
const cellSizes = [32, 32, 7, 100, 4096];
const steps = [undefined, 1024, 1024, 4096, 100_000] as const;

export interface FullMemoryOptions {
  /** The sizes of the file system, in pages. */
  readonly pages: readonly number[];
  readonly seed: number;
}

/** A file system in memory, of each size. */
export async function fullMemory({ pages, seed }: FullMemoryOptions): Promise<Figures> {
  using workplace = new Workplace();
  await using scenes = new Scenes(workplace, seed);
  for (const count of pages) {
    await scenes.full(`tmpfs of ${count} pages`, () => {
      const mount = mountMemory(workplace, count * PAGE_BYTES);
      return { mount, [Symbol.dispose]: () => mount.unmount() };
    });
  }
  return scenes.figures("full tmpfs");
}

/** A small ext4, with blocks of each size. */
export async function fullExt4({ runs, seed }: { readonly runs: number; readonly seed: number }): Promise<Figures> {
  using workplace = new Workplace();
  await using scenes = new Scenes(workplace, seed);
  for (let i = 0; i < runs; i++) {
    const blockBytes = [1024, 2048, 4096][i % 3] ?? 4096;
    const sizeBytes = (2 + (i % 5)) * 2 ** 20;
    await scenes.full(`ext4 of ${sizeBytes} bytes, blocks of ${blockBytes}`, () => {
      // Without a journal, which would be most of so small a disk.
      const options = ["-b", String(blockBytes), "-O", "^has_journal"];
      const disk = new Disk(workplace, workplace.path("disk.img"), "ext4", sizeBytes, ...options);
      return { mount: disk.mount, [Symbol.dispose]: () => disk.release() };
    });
  }
  return scenes.figures("full ext4");
}

/** A limit of the file's size, which the kernel enforces by a signal. */
export async function fileSizeLimit({
  runs,
  seed,
}: {
  readonly runs: number;
  readonly seed: number;
}): Promise<Figures> {
  using workplace = new Workplace();
  await using scenes = new Scenes(workplace, seed);
  for (let i = 0; i < runs; i++) await scenes.limited(i * 3000);
  return scenes.figures("file size limit");
}

interface Scene extends Disposable {
  readonly mount: Mount;
}

/** How space comes and goes. */
interface Space {
  /** Takes everything but about so many bytes. */
  readonly takeAll: (butBytes: number) => void;
  /** Answers how many bytes have become free. */
  readonly give: () => number;
  /** How much is written where nothing ever gets full. */
  readonly enoughBytes?: number;
}

class Scenes implements AsyncDisposable {
  readonly #seed: number;
  readonly #random: Random;
  readonly #workplace: Workplace;
  readonly #inspector: Inspector;
  readonly #stepped: SteppedWriter;
  readonly #storages: Expected[] = [];
  readonly #tally = { notCreated: 0, refusals: 0, filledByOthers: 0, wentOn: 0 };

  constructor(workplace: Workplace, seed: number) {
    this.#workplace = workplace;
    this.#seed = seed;
    this.#random = new Random(seed);
    this.#inspector = new Inspector(workplace);
    this.#stepped = new SteppedWriter(workplace);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stepped[Symbol.asyncDispose]();
    await this.#inspector[Symbol.asyncDispose]();
  }

  figures(scenario: string): Figures {
    const { notCreated, refusals, filledByOthers, wentOn } = this.#tally;
    const values = {
      disks: this.#storages.length,
      "too small for a new storage": notCreated,
      "writes refused": refusals,
      "filled by somebody else": filledByOthers,
      "went on when there was space": wentOn,
      "blobs verified": this.#inspector.counts.blobs,
    };
    return { scenario, seed: this.#seed, values, violations: this.#storages.flatMap(({ violations }) => violations) };
  }

  /** A writer on a file system that gets full. */
  async full(name: string, make: () => Scene): Promise<void> {
    using scene = make();
    const ballast = new Ballast(scene.mount.folder);
    // Some of the space is somebody else's, who gives it back later.
    if (this.#random.chance(0.7)) ballast.fill(this.#random.below(60_000));
    const space = { takeAll: (butBytes: number) => ballast.fillBut(butBytes), give: () => ballast.free() };
    await this.#play(name, scene.mount.path("storage.cellar"), space);
  }

  /** A writer with a limit. */
  async limited(limitBytes: number): Promise<void> {
    const moreBytes = 500_000;
    const limit = (bytes: number | "unlimited"): void => {
      run("prlimit", "--pid", String(this.#stepped.pid), `--fsize=${bytes}:`);
    };
    limit(limitBytes);
    const give = (): number => {
      limit(limitBytes + moreBytes);
      return moreBytes;
    };
    const space = { takeAll: limit, give, enoughBytes: 200_000 };
    await this.#play(`file size limit of ${limitBytes} bytes`, this.#workplace.path(), space);
    limit("unlimited");
  }

  async #play(name: string, path: string, space: Space): Promise<void> {
    const expected = new Expected();
    this.#storages.push(expected);
    await this.#stepped.begin(this.#orders(path, space.enoughBytes), expected);
    await this.#fillAndGoOn(path, expected, space);
    expected.annotate(name);
  }

  async #fillAndGoOn(path: string, expected: Expected, space: Space): Promise<void> {
    if ((await this.#do("open")) > 0) {
      this.#tally.notCreated++;
      if (existsSync(path)) expected.violations.push("a creation that was refused left a file");
      space.give();
      if ((await this.#do("open")) > 0) return;
    }
    // Somebody else takes what is left, while the writer still has something reserved.
    await this.#do("writeSmall", "setRoot", "commit");
    if (this.#random.chance(0.5)) {
      space.takeAll(0);
      this.#tally.filledByOthers++;
    }
    this.#tally.refusals += await this.#do("fill", "setRoot", "commit", "flushSync");
    await this.#inspector.read(path, expected, "flushes");
    const freedBytes = space.give();
    const before = expected.nextNumber;
    await this.#do("fill", "readBack", "setRoot", "flush", "settle");
    if (expected.nextNumber > before) this.#tally.wentOn++;
    else if (freedBytes > ENOUGH_BYTES)
      expected.violations.push(`with ${freedBytes} bytes freed the writer does not go on`);
    // Truncated, the file is long and has no blocks; those that are left do not fill its pages.
    await this.#do("truncate");
    space.takeAll(this.#random.below(8) * SMALLEST_BLOCK_BYTES);
    await this.#do("fill", "setRoot", "commit", "flushSync");
    space.give();
    await this.#do("fill", "setRoot", "close");
    await this.#inspector.read(path, expected, "flushes");
    // The full disk opens for its next writer, too.
    await this.#do("open", "readBack", "writeSmall", "commit", "close");
    await this.#inspector.read(path, expected, "commits");
  }

  /** Does the steps. Only what needs space may be refused, and only for want of it; answers how often it was. */
  async #do(...steps: readonly Step[]): Promise<number> {
    const { refused, expected } = await this.#stepped.do(...steps);
    for (const { call, code } of refused) {
      if (code === "DISK_FULL" && NEED_SPACE.includes(call)) continue;
      expected.violations.push(`${call} was refused with ${code}`);
    }
    return refused.length;
  }

  #orders(path: string, fillBytes: number | undefined): VictimOrders {
    const resizeStepBytes = this.#random.pick(steps);
    return {
      path,
      seed: this.#random.seed(),
      firstNumber: 1,
      bytesPerCell: this.#random.pick(cellSizes),
      maxBlobBytes: this.#random.pick([500, 5000, 100_000]),
      maxStorageBytes: 2 ** 30,
      ...(fillBytes === undefined ? {} : { fillBytes }),
      ...(resizeStepBytes === undefined ? {} : { resizeStepBytes }),
    };
  }
}
