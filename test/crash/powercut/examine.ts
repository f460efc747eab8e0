/**
 * What comes of an image: two readers and a writer open it, and the writer goes on. Only what they see is told here;
 * whether they may see it depends on when the crash was: see `judge.ts`.
 */

import { StorageError } from "../../../src/error.ts";
import { decodeAnnexHead } from "../../../src/format/annex-head.ts";
import { CONFIG, HEADER_AREA_BYTES } from "../../../src/format/layout.ts";
import { Follower } from "../../../src/state/follower.ts";
import type { Follows } from "../../../src/state/visible.ts";
import { type OpenStore, openStore } from "../../../src/store/open.ts";
import type { Recovery } from "../../../src/state/choose-state.ts";
import type { ArrayRegion } from "./array-region.ts";
import { blobAt, type History } from "./history.ts";
import { choicesOf, configIn, writerOver } from "./opening.ts";
import { PAGE_BYTES } from "./recording-region.ts";

export type Viewer = "flush reader" | "commit reader" | "writer";

/** A state that a viewer sees. */
export interface Seen {
  readonly viewer: Viewer;
  readonly root: number;
  readonly next: number;
  /** The orders of the states of this root and length, and of those of them whose every cell is there. */
  readonly named: readonly number[];
  readonly whole: readonly number[];
}

export interface Outcome {
  readonly seen: readonly Seen[];
  /** What is wrong, whenever the crash was. */
  readonly faults: readonly Fault[];
  readonly version: number;
  readonly recovery: Recovery | null;
}

/** The check that failed, and what it found. */
export interface Fault {
  readonly check: string;
  readonly detail: string;
}

type Header = Follower["header"];

const GO_ON_SALT = 1000;
/** The writer of one image in so many goes on; that of the first of a kind always does. */
const GO_ON_ONE_IN = 4;

export class Examiner {
  readonly #bench: ArrayRegion;
  readonly #history: History;
  readonly #stepBytes: number | null;
  /** What readers of flushes make of a header area: they look at nothing else, but at the size. */
  readonly #flushes = new Map<string, Header>();
  readonly #kinds = new Set<string>();
  #images = 0;
  #seen: Seen[] = [];
  #faults: Fault[] = [];

  constructor(bench: ArrayRegion, history: History, stepBytes: number | null) {
    this.#bench = bench;
    this.#history = history;
    this.#stepBytes = stepBytes;
  }

  examine(image: Uint8Array): Outcome {
    this.#bench.load(image);
    this.#seen = [];
    this.#faults = [];
    const area = image.subarray(0, HEADER_AREA_BYTES);
    const version = new DataView(image.buffer, image.byteOffset).getUint32(CONFIG.version.offset, true);
    if (decodeAnnexHead(area)?.isConfigIntact === false) this.#fault("config", "its hash is wrong");
    const key = `${image.length} ${Bun.hash(area)}`;
    this.#attempt("flush reader", () => {
      const known = this.#flushes.get(key);
      if (known === undefined) this.#flushes.set(key, this.#read("flush reader", "flushes"));
      else this.#see("flush reader", known.root, known.next, known.next);
    });
    this.#attempt("commit reader", () => this.#read("commit reader", "commits"));
    const recovery = this.#attempt("writer", () => this.#write()) ?? null;
    return { seen: this.#seen, faults: this.#faults, version, recovery };
  }

  #read(viewer: Viewer, follows: Follows): Header {
    const { header } = new Follower(this.#bench, configIn(this.#bench), follows, false);
    this.#see(viewer, header.root, header.next, header.next);
    return header;
  }

  #write(): Recovery {
    const bench = this.#bench;
    const store = openStore(bench, configIn(bench), choicesOf(this.#stepBytes, GO_ON_SALT));
    const { skippedCells } = store.recovery;
    const { next: length, root } = store.header;
    const found = this.#see("writer", root, length - skippedCells, length);
    if (this.#faults.length > 0) return store.recovery;
    const kind = [root, length, ...Object.values(store.recovery)].join();
    if (!this.#kinds.has(kind) || this.#images++ % GO_ON_ONE_IN === 0) this.#goOn(store, found);
    this.#kinds.add(kind);
    return store.recovery;
  }

  /** The writer writes on and flushes; the next one finds that, and all that was there. */
  #goOn(store: OpenStore, found: Seen): void {
    const bench = this.#bench;
    const { bytesPerCell } = this.#history;
    const writer = writerOver(bench, choicesOf(this.#stepBytes, GO_ON_SALT), store);
    const cells = Math.ceil(PAGE_BYTES / bytesPerCell) + 1;
    const zeros = writer.cells(writer.allocate(cells), cells);
    if (zeros.some((byte) => byte !== 0))
      this.#fault("allocate", `${cells} cells at ${store.header.next} are not zero`);
    zeros.fill(0xee);
    const blob = new Uint8Array(3 * bytesPerCell).fill(0x77);
    const root = writer.write(blob);
    writer.root = root;
    writer.flushSync();
    const again = openStore(bench, configIn(bench), choicesOf(this.#stepBytes, GO_ON_SALT + 1));
    const { state } = again.recovery;
    if (again.header.root !== root || again.header.next !== writer.length || state !== "clean") {
      const told = `root ${again.header.root}, next ${again.header.next}, ${state}`;
      this.#fault("reopened", `${told} after root ${root}, next ${writer.length}`);
    } else if (Buffer.compare(blobAt(bench.memory, root, bytesPerCell), blob) !== 0) {
      this.#fault("reopened", `the blob at ${root} is not what was written`);
    }
    const lost = found.whole.find((order) => !this.#history.holds(order, bench.memory));
    if (lost !== undefined) this.#fault("old cells", `the next writer wrote over cells of state ${lost}`);
  }

  #see(viewer: Viewer, root: number, next: number, length: number): Seen {
    const { sizeBytes } = this.#bench;
    if (length * this.#history.bytesPerCell > sizeBytes) {
      this.#fault("past the end", `the ${viewer} has ${length} cells of a file of ${sizeBytes} bytes`);
    }
    const seen = { viewer, root, next, ...this.#history.find(root, next, this.#bench.memory) };
    this.#seen.push(seen);
    return seen;
  }

  #attempt<T>(viewer: Viewer, action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      this.#fault(`${viewer} refuses`, error instanceof StorageError ? error.code : String(error));
      return undefined;
    }
  }

  #fault(check: string, detail: string): void {
    this.#faults.push({ check, detail });
  }
}
