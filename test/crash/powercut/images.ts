/**
 * The images that a power cut may leave: each unit of the disk at a version of its own, the file at a size of its own.
 *
 * Three models of how page 0 is torn, each part of the next: the page at one instant; each 512-byte sector at its own
 * (the header area is within one); each 64-byte line of the header area at its own. Lines are enumerated after every
 * store and in its middle; their other words are sampled, and so are cells torn within a page.
 */

import { type Disk, HEADER_LINES, LINE_BYTES, newest, type Unit } from "./disk.ts";
import { itemAt, type Random } from "./random.ts";

export interface Image {
  /** Which version of each unit. */
  readonly picks: readonly number[];
  readonly sizeBytes: number;
  /** Found by going through every combination, not by chance. */
  readonly enumerated: boolean;
  /** A page caught in the middle: these bytes instead of the unit's version. */
  readonly torn?: { readonly unit: number; readonly bytes: Uint8Array };
}

/** What is chosen by itself, and what it may be: a unit's versions, or the file's sizes. */
interface Choice {
  readonly unit: number;
  readonly options: readonly number[];
}
type Chosen = readonly [unit: number, option: number];

const SIZE = -1;
const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
const product = (choices: readonly Choice[]): number => choices.reduce((all, { options }) => all * options.length, 1);

export class Images {
  readonly #disk: Disk;
  readonly #since: number;
  readonly #lines: Choice[];
  readonly #cells: Choice[];

  /** @param since if given, only images with something that was stored into the header area after this instant */
  constructor(disk: Disk, since = -1) {
    this.#disk = disk;
    this.#since = since;
    const choices = disk.units.map(({ versions }, unit) => ({ unit, options: range(versions.length) }));
    this.#lines = choices.slice(0, HEADER_LINES).map((line) => this.#wholeAndHalf(line));
    this.#cells = choices.slice(HEADER_LINES);
    this.#cells.push({ unit: SIZE, options: range(disk.sizes.length) });
    this.#cells = this.#cells.filter(({ options }) => options.length > 1);
  }

  /** Every image if there are at most `cap`; else the telling ones, and others by chance. */
  *within(cap: number, random: Random): Generator<Image> {
    const all = [...this.#lines, ...this.#cells];
    if (product(all) <= cap) {
      yield* this.#every(all);
      for (let i = 0; i < cap / 16; i++) yield this.#sample(random);
      return;
    }
    let left = cap;
    for (const cells of [this.#cellsAt(0), this.#cellsAt(1)]) {
      if (product(this.#lines) > left) break;
      yield* this.#every([...this.#lines, ...cells]);
      left -= product(this.#lines);
    }
    for (const lone of this.#loneCells()) {
      if (left <= cap / 4) break;
      yield* this.#every(lone);
      left--;
    }
    for (; left > 0; left--) yield this.#sample(random);
  }

  /** Under the newest header: one page that is old among new ones, and one that is new among old ones. */
  *#loneCells(): Generator<Choice[]> {
    const header = this.#lines.map((line) => endOf(line, 1));
    for (const lone of this.#cells) {
      for (const end of [0, 1] as const) {
        const others = this.#cellsAt(end).filter(({ unit }) => unit !== lone.unit);
        yield [...header, ...others, endOf(lone, end === 0 ? 1 : 0)];
      }
    }
  }

  *#every(choices: readonly Choice[]): Generator<Image> {
    const total = product(choices);
    for (let number = 0; number < total; number++) {
      let rest = number;
      const chosen = choices.map(({ unit, options }): Chosen => {
        const option = itemAt(options, rest % options.length);
        rest = Math.floor(rest / options.length);
        return [unit, option];
      });
      yield this.#image(chosen, true);
    }
  }

  /** Page 0 of one instant, or its lines at any words; other pages old, new or between, at times one that is torn. */
  #sample(random: Random): Image {
    const cells = this.#cells.map(({ unit, options }): Chosen => [unit, oldNewOrAny(options, random)]);
    const image = this.#image([...cells, ...(random.oneIn(2) ? this.#instant(random) : this.#words(random))], false);
    const pages = this.#cells.filter(({ unit }) => unit !== SIZE);
    if (pages.length === 0 || !random.oneIn(3)) return image;
    const { unit } = random.pick(pages);
    return { ...image, torn: { unit, bytes: tornBytes(itemAt(this.#disk.units, unit), random) } };
  }

  #instant(random: Random): Chosen[] {
    const page = this.#disk.units.slice(0, HEADER_LINES + 1);
    const instants = page.flatMap(({ versions }) => versions.map((version) => version.instant));
    const fresh = instants.filter((instant) => instant > this.#since);
    const instant = random.pick(fresh.length === 0 ? instants : fresh);
    return page.map(({ versions }, unit): Chosen => {
      const latest = versions.findLastIndex((version) => version.instant <= instant);
      return [unit, Math.max(0, latest)];
    });
  }

  #words(random: Random): Chosen[] {
    return this.#lines.map(({ unit }): Chosen => [unit, oldNewOrAny(this.#allowed(unit), random)]);
  }

  #image(chosen: Iterable<Chosen>, enumerated: boolean): Image {
    const picks = new Array<number>(this.#disk.units.length).fill(0);
    let size = 0;
    for (const [unit, option] of chosen) {
      if (unit === SIZE) size = option;
      else picks[unit] = option;
    }
    return { picks, sizeBytes: itemAt(this.#disk.sizes, size).sizeBytes, enumerated };
  }

  #wholeAndHalf({ unit }: Choice): Choice {
    const { versions } = itemAt(this.#disk.units, unit);
    return { unit, options: this.#allowed(unit).filter((i) => itemAt(versions, i).kind !== "torn") };
  }

  /** A unit that was stored into since is at one of the versions since. */
  #allowed(unit: number): number[] {
    const { versions } = itemAt(this.#disk.units, unit);
    const fresh = this.#since < 0 ? -1 : versions.findIndex((version) => version.instant > this.#since);
    return range(versions.length).slice(Math.max(0, fresh));
  }

  /** Every page and the size at its oldest (0) or its newest (1). */
  #cellsAt(end: 0 | 1): Choice[] {
    return this.#cells.map((cells) => endOf(cells, end));
  }
}

/** Writes the image into memory, and returns its bytes. */
export function compose(disk: Disk, { picks, sizeBytes, torn }: Image, memory: Uint8Array): Uint8Array {
  for (const [i, { offset, versions }] of disk.units.entries()) {
    if (offset >= sizeBytes) break;
    const bytes = torn?.unit === i ? torn.bytes : itemAt(versions, picks[i] ?? 0).bytes;
    memory.set(offset + bytes.length <= sizeBytes ? bytes : bytes.subarray(0, sizeBytes - offset), offset);
  }
  return memory.subarray(0, sizeBytes);
}

function endOf({ unit, options }: Choice, end: 0 | 1): Choice {
  return { unit, options: [itemAt(options, end === 0 ? 0 : options.length - 1)] };
}

function oldNewOrAny(options: readonly number[], random: Random): number {
  const end = random.below(3);
  return end === 2 ? random.pick(options) : itemAt(options, end === 0 ? 0 : options.length - 1);
}

/** Lines up to one of a version, and after it of another. */
function tornBytes(unit: Unit, random: Random): Uint8Array {
  const bytes = random.pick(unit.versions).bytes.slice();
  const other = random.oneIn(2) ? newest(unit) : random.pick(unit.versions);
  const cut = random.below(bytes.length / LINE_BYTES) * LINE_BYTES;
  bytes.set(other.bytes.subarray(cut), cut);
  return bytes;
}
