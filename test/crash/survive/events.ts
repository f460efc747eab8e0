/** What victims report, one line each, and what they are told to do. */

import type { Blob } from "./blobs.ts";

/** A step of a victim's life. */
export type Step =
  | "writeSmall"
  | "writeLarge"
  /** Writes until it is refused, then smaller blobs until nothing fits; or up to `fillBytes`. */
  | "fill"
  | "allocate"
  | "setRoot"
  | "clearRoot"
  | "commit"
  | "flushSync"
  /** Asks for an asynchronous flush and goes on. */
  | "flush"
  /** Waits for the asynchronous flushes that were asked for. */
  | "settle"
  | "truncate"
  | "readBack"
  /** Opens a reader beside the writer, and compares. */
  | "reader"
  | "close"
  | "open"
  /** Waits to be killed. */
  | "hang";

export interface VictimOrders {
  readonly path: string;
  readonly seed: number;
  /** The number of the first blob: the ones before it were written by earlier victims. */
  readonly firstNumber: number;
  /** The steps, after which the victim closes and ends. None: random ones until it is killed. */
  readonly steps?: readonly Step[];
  readonly bytesPerCell: number;
  readonly resizeStepBytes?: number;
  /** Largest blob. */
  readonly maxBlobBytes: number;
  /** "fill" stops after so many bytes; without, when the disk is full. */
  readonly fillBytes?: number;
  /** Waits for a byte on standard input before it begins. */
  readonly waits?: boolean;
  /** Truncates when the storage has become longer than this. */
  readonly maxStorageBytes: number;
}

/** What is about to be made visible, and by what. */
export interface Publishing {
  readonly event: "publishing";
  readonly kind: "commit" | "flush" | "truncate";
  readonly root: number | null;
  readonly length: number;
}

export type VictimEvent =
  | {
      readonly event: "opened";
      readonly root: number | null;
      readonly length: number;
      readonly startIndex: number;
      /** `recovery.state` and `recovery.skippedCells` of the writer. */
      readonly recovery: string;
      readonly skippedCells: number;
    }
  | ({ readonly event: "wrote" } & Blob)
  | Publishing
  /** The call that publishes, or the part of it that other processes see, has returned. */
  | { readonly event: "published" }
  /** A flush waits for another one, and commits after that. */
  | { readonly event: "asked" }
  /** A flush has returned: this state is durable. */
  | { readonly event: "flushed"; readonly root: number | null; readonly length: number }
  /** A call threw a StorageError; root and length as the writer shows them now. */
  | {
      readonly event: "refused";
      readonly call: string;
      readonly code: string;
      readonly syscall: string | null;
      readonly root: number | null;
      readonly length: number;
    }
  /** A call threw anything else. */
  | { readonly event: "untyped"; readonly call: string; readonly error: string }
  /** A call gave a wrong answer. */
  | { readonly event: "wrong"; readonly what: string }
  | { readonly event: "closed" }
  | { readonly event: "waiting" }
  | { readonly event: "hanging" };

export interface ReaderOrders {
  readonly path: string;
  readonly follow: "flushes" | "commits";
}

/** What a reader that keeps checking reports. */
export type ReaderEvent =
  | { readonly event: "opened" }
  /** A state that it has seen, and whether it goes by flushes. */
  | { readonly event: "saw"; readonly root: number | null; readonly length: number; readonly truncations: number }
  | { readonly event: "wrong"; readonly what: string }
  /** At the end: how often it looked, how many blobs it found right, how many a truncation took from under it. */
  | { readonly event: "done"; readonly refreshes: number; readonly blobs: number; readonly stale: number };
