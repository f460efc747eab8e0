/** What a row of the benchmark is: one workload, the contestants that do it, and the targets it is held against. */

export type Unit = "ms" | "µs" | "ns" | "MiB";
export type Peer = "lmdb" | "classic-level";

/** What one run of one contestant found out. */
export interface Measured {
  /** In the row's unit; less is better. */
  readonly value: number;
  /** Of the bytes that were stored and came back: every contestant of a row that tells one must tell the same. */
  readonly digest?: string;
  /** Numbers told besides. */
  readonly notes?: Readonly<Record<string, number>>;
}

export interface Contestant<Sizes> {
  /** The package that must be installed for it. */
  readonly peer?: Peer;
  /** Does the work once, with fresh files in `folder`, which the caller removes. The process is its own. */
  run(sizes: Sizes, folder: string): Measured | Promise<Measured>;
}

/** The median of a contestant's values, or of one of its notes; NaN if there is none. */
export type Medians = (contestant: string, note?: string) => number;

interface TargetBase {
  /** What is compared, and with what. */
  readonly says: string;
  readonly of: (median: Medians) => number;
  /** `×` for a ratio. */
  readonly unit: Unit | "×" | "%" | "pages";
}
export type Target = TargetBase & ({ readonly atLeast: number } | { readonly atMost: number });

interface Description {
  /** For `--only`. */
  readonly name: string;
  readonly unit: Unit;
  readonly targets: readonly Target[];
}

interface WorkloadSpec<Sizes> extends Description {
  readonly full: Sizes;
  readonly quick: Sizes;
  readonly title: (sizes: Sizes) => string;
  readonly contestants: Readonly<Record<string, Contestant<Sizes>>>;
}

/** A row, whatever its sizes are made of. */
export interface Workload extends Description {
  readonly title: (quick: boolean) => string;
  readonly contestants: readonly { readonly name: string; readonly peer: Peer | undefined }[];
  run(contestant: string, quick: boolean, folder: string): Promise<Measured>;
}

export function workload<Sizes>(spec: WorkloadSpec<Sizes>): Workload {
  const { name, unit, targets } = spec;
  const sizesOf = (quick: boolean): Sizes => (quick ? spec.quick : spec.full);
  return {
    name,
    unit,
    targets,
    title: (quick) => spec.title(sizesOf(quick)),
    contestants: Object.entries(spec.contestants).map(([name, { peer }]) => ({ name, peer })),
    async run(contestant, quick, folder) {
      const found = spec.contestants[contestant];
      if (found === undefined) throw new Error(`${name} has no contestant ${contestant}`);
      return found.run(sizesOf(quick), folder);
    },
  };
}

/** "1,000,000". */
export function told(count: number): string {
  return count.toLocaleString("en-US");
}
