/** A seeded generator: every random test prints its seed, and takes one (env SEED). */

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to but not 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to `limit - 1`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(values: readonly T[]): T {
    if (values.length === 0) throw new RangeError("nothing to pick from");
    return values[this.below(values.length)] as T;
  }

  /** `count` of the values, in their order; all of them if there are no more. */
  sample<T>(values: readonly T[], count: number): T[] {
    const rest = [...values];
    while (rest.length > count) rest.splice(this.below(rest.length), 1);
    return rest;
  }

  /** `count` of the values, of every kind about as many; all of them if there are no more. */
  spread<T>(values: readonly T[], kindOf: (value: T) => string, count: number): T[] {
    const kinds = [...Map.groupBy(values, kindOf).values()].map((kind) => this.#shuffle(kind));
    const inTurn = kinds.flatMap((kind) => kind.map((value, turn) => ({ value, turn, order: this.next() })));
    inTurn.sort((a, b) => a.turn - b.turn || a.order - b.order);
    return inTurn.slice(0, count).map(({ value }) => value);
  }

  #shuffle<T>(values: readonly T[]): T[] {
    const ordered = values.map((value) => ({ value, order: this.next() }));
    return ordered.sort((a, b) => a.order - b.order).map(({ value }) => value);
  }

  /** A seed for a generator of its own. */
  seed(): number {
    return this.below(2 ** 32);
  }
}

/** The seed from the environment, or a new one. */
export function seedFromEnvironment(): number {
  const text = process.env["SEED"];
  return text === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(text);
}
