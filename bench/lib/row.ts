/**
 * What a row of the benchmark is: one piece of work, the contestants that do it, and the targets.
 *
 * Each contestant lives in a process of its own as long as its row is measured. It does its work in short slices, in
 * turns with the others, so that a machine that gets slower or faster meanwhile changes no ratio.
 */

export type Unit = "ms" | "µs" | "ns" | "MiB" | "%";
/** A package that must be installed for a contestant. */
export type Package = "lmdb" | "classic-level";

/** What a slice measured, in the row's unit; less is better. */
export interface Slice {
  readonly value: number;
  /** Numbers printed besides. Their median over all slices counts. */
  readonly notes?: Readonly<Record<string, number>>;
}

/** What a contestant reports at the end of a run. */
export interface Findings {
  /** Made of the bytes that came back: every contestant of a row that reports one must report the same. */
  readonly digest?: string;
  /** Numbers over all slices, such as a p99. */
  readonly notes?: Readonly<Record<string, number>>;
}

/** A contestant that is ready: its files are there. */
export interface Task {
  slice(): number | Slice | Promise<number | Slice>;
  /** Checks what was done. Not timed. */
  finish?(): Findings | Promise<Findings>;
  close?(): void | Promise<void>;
}

/** Makes a contestant ready, with its files in `folder`, which the caller removes. Not timed. */
export type Start<Sizes> = (sizes: Sizes, folder: string) => Task | Promise<Task>;

/** `cellar`; a `peer`, which a user could take in its place; or a `limit`, which does less than Cellar must. */
export type Kind = "cellar" | "peer" | "limit";

export interface Contestant<Sizes> {
  readonly kind: Kind;
  readonly start: Start<Sizes>;
  readonly needs?: Package;
  /** Of a peer: what follows "is faster because", to the end of the sentence, or of several. */
  readonly why?: string;
}

export function cellar<Sizes>(start: Start<Sizes>): Contestant<Sizes> {
  return { kind: "cellar", start };
}

/** `why` is printed if the peer is faster than Cellar. */
export function peer<Sizes>(why: string, start: Start<Sizes>, needs?: Package): Contestant<Sizes> {
  return { kind: "peer", start, why, ...(needs === undefined ? {} : { needs }) };
}

export function limit<Sizes>(start: Start<Sizes>): Contestant<Sizes> {
  return { kind: "limit", start };
}

/** Thrown by a contestant that needs a method which this version of Cellar does not have. */
export class NotInThisVersion extends Error {
  constructor(what: string) {
    super(`${what}: not in this version`);
  }
}

/** What was measured, for the targets. NaN if a contestant did not run. */
export interface Measures {
  /** The median of a contestant's slices, or of one of its notes. */
  median(contestant: string, note?: string): number;
  /** The median of the ratios a ÷ b, each of two slices of the same round. */
  ratio(a: string, b: string): number;
}

interface TargetBase {
  /** What is compared, and with what. */
  readonly says: string;
  readonly of: (measures: Measures) => number;
  /** `×` for a ratio. */
  readonly unit: Unit | "×" | "kB" | "pages" | "a second";
  /** A sentence that is printed with a miss: what may keep the target from being met. */
  readonly missed: string;
  /** Of a tail, such as a p99: two runs are not expected to agree. */
  readonly isTail?: boolean;
}
export type Target = TargetBase & ({ readonly atLeast: number } | { readonly atMost: number });

/** The commonest target: the time of `a` is at most so many times that of `b`. */
export function atMostTimes(a: string, b: string, atMost: number, missed: string): Target {
  return { says: `${a} ÷ ${b}`, of: ({ ratio }) => ratio(a, b), unit: "×", atMost, missed };
}

interface Description {
  /** For `--only`. */
  readonly name: string;
  readonly unit: Unit;
  readonly targets: readonly Target[];
  /** Slices of each contestant in a run, after one as a warm-up if there are several. A quick run has one slice. */
  readonly rounds: number;
  /** `durable`: needs a disk. `cold`: needs a disk, and files whose pages can be dropped from memory. */
  readonly needs?: "durable" | "cold";
}

interface RowSpec<Sizes> extends Description {
  readonly full: Sizes;
  readonly quick: Sizes;
  readonly title: (sizes: Sizes) => string;
  /** The first one is Cellar, with which the others are compared. */
  readonly contestants: Readonly<Record<string, Contestant<Sizes>>>;
}

/** A row, whatever its sizes are made of. */
export interface Row extends Description {
  readonly title: (quick: boolean) => string;
  readonly contestants: readonly (Omit<Contestant<never>, "start"> & { readonly name: string })[];
  start(contestant: string, quick: boolean, folder: string): Promise<Task>;
}

export function row<Sizes>(spec: RowSpec<Sizes>): Row {
  const sizesOf = (quick: boolean): Sizes => (quick ? spec.quick : spec.full);
  return {
    ...spec,
    title: (quick) => spec.title(sizesOf(quick)),
    contestants: Object.entries(spec.contestants).map(([name, { start: _, ...contestant }]) => ({
      name,
      ...contestant,
    })),
    async start(contestant, quick, folder) {
      const found = spec.contestants[contestant];
      if (found === undefined) throw new Error(`${spec.name} has no contestant ${contestant}`);
      return found.start(sizesOf(quick), folder);
    },
  };
}

/** "1,000,000". */
export function grouped(count: number): string {
  return count.toLocaleString("en-US");
}
