/** What an exploration is of, how much it does, and what it finds. */

import type { ArrayRegion } from "./array-region.ts";
import type { Disk } from "./disk.ts";
import type { Fault } from "./examine.ts";
import type { History } from "./history.ts";
import type { BoundsOfCrash } from "./judge.ts";
import type { Step } from "./life.ts";
import type { Random } from "./random.ts";
import type { LogEntry, RecordingRegion } from "./recording-region.ts";

/** A life from its first event to its last, and what must be known to crash it. */
export interface Recorded {
  readonly name: string;
  /** The file at the start: in memory, and on the disk. */
  readonly image: Uint8Array;
  readonly disk: Disk;
  readonly log: readonly LogEntry[];
  readonly history: History;
  readonly steps: readonly Step[];
  readonly stepBytes: number | null;
  readonly canDeallocate: boolean;
  /** At least one image in so many is recovered. */
  readonly recoverOneIn?: number | undefined;
  /** What a crash at the start must leave; null before the file has its name. */
  readonly bounds: BoundsOfCrash | null;
}

/** How much is done. */
export interface Effort {
  /** Images of a crash point, at the first crash and at the second. */
  readonly imagesPerPoint: readonly [number, number];
  /** One image in so many is recovered, and the recovery crashed: of a new kind of recovery, and of any. */
  readonly recoverOneIn: { readonly newKind: number; readonly any: number };
  /** The process is killed after one word in so many of a store, and always after its last. */
  readonly killWordOneIn: readonly [number, number];
  /** Steps that the recovered application does again. */
  readonly stepsAgain: number;
  readonly maxViolations: number;
}

export interface Count {
  crashPoints: number;
  kills: number;
  enumerated: number;
  sampled: number;
  /** Different images, each opened by two readers and a writer. */
  opened: number;
}

export interface Violation extends Fault {
  readonly where: string;
}

/** What all explorations of a run share. */
export interface Run {
  readonly effort: Effort;
  readonly random: Random;
  readonly bench: ArrayRegion;
  readonly recorder: RecordingRegion;
  /** Where images are put together. */
  readonly scratch: Uint8Array;
  /** At the first crash, and at the second. */
  readonly counts: readonly [Count, Count];
  readonly violations: Violation[];
}
