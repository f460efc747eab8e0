/** What the application did, kept outside the storage: every state that it published, in order, with its bytes. */

import { FOOTER_BYTES, MAX_CHUNK_BYTES, startIndexOf } from "../../../src/format/layout.ts";
import { itemAt } from "./random.ts";
import type { Span } from "./recording-region.ts";

export interface State {
  readonly root: number;
  readonly next: number;
  /** The bytes of its cells, but for those that were changed in place later. */
  readonly cells: readonly Span[];
  /** How many versions had been stored into the config. */
  readonly versions: number;
  /** How many of the workload's steps had been begun. */
  readonly steps: number;
}

/** A state as it is published: its cells are in `memory` now. */
interface Published extends Omit<State, "cells"> {
  readonly memory: Uint8Array;
  /** Cells before this one are the state's; those after it may hold anything. */
  readonly wholeTo?: number;
}

export class History {
  readonly bytesPerCell: number;
  /** By order: a state's place is the order in which it was published. */
  readonly states: State[];
  /** The versions stored into the config. */
  readonly versions: number[];

  constructor(bytesPerCell: number, states: readonly State[] = [], versions: readonly number[] = []) {
    this.bytesPerCell = bytesPerCell;
    this.states = [...states];
    this.versions = [...versions];
  }

  /** A history of its own that goes on after the state. */
  after(order: number): History {
    return new History(this.bytesPerCell, this.states.slice(0, order + 1), this.versions);
  }

  /** @returns the state's order */
  publish({ memory, wholeTo, ...state }: Published): number {
    const start = startIndexOf(this.bytesPerCell) * this.bytesPerCell;
    const bytes = memory.slice(start, (wholeTo ?? state.next) * this.bytesPerCell);
    return this.states.push({ ...state, cells: [{ offset: start, bytes }] }) - 1;
  }

  /** A crash left this version: those after it were never stored. Returns how many there are up to it. */
  resumeAtVersion(version: number): number {
    const count = this.versions.indexOf(version) + 1;
    this.versions.length = count;
    return count;
  }

  /** The bytes are changed in place: no state, from the given one on, says any more what they are. */
  forget(from: number, to: number, since = 0): void {
    for (const [order, state] of this.states.entries()) {
      if (order >= since)
        this.states[order] = { ...state, cells: state.cells.flatMap((span) => without(span, from, to)) };
    }
  }

  /** The orders of the states that have this root and this next index, and of those that have these bytes too. */
  find(root: number, next: number, memory: Uint8Array): { readonly named: number[]; readonly whole: number[] } {
    const named = [...this.states.keys()].filter((order) => {
      const state = itemAt(this.states, order);
      return state.root === root && state.next === next;
    });
    return { named, whole: named.filter((order) => this.holds(order, memory)) };
  }

  /** Whether every cell of the state is in memory. */
  holds(order: number, memory: Uint8Array): boolean {
    const live = Buffer.from(memory.buffer, memory.byteOffset, memory.length);
    return itemAt(this.states, order).cells.every(({ offset, bytes }) => {
      return live.compare(bytes, 0, bytes.length, offset, Math.min(live.length, offset + bytes.length)) === 0;
    });
  }
}

/** The blob with this index, read by the format's description and by nothing of the library. */
export function blobAt(memory: Uint8Array, index: number, bytesPerCell: number): Uint8Array {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.length);
  const chunks: Uint8Array[] = [];
  for (let last = index; last !== 0;) {
    const footer = (last + 1) * bytesPerCell - FOOTER_BYTES;
    const sizeBytes = view.getUint16(footer, true);
    const first = last + 1 - Math.ceil((sizeBytes + FOOTER_BYTES) / bytesPerCell);
    const previous = view.getUint32(footer + 2, true);
    if (previous >= first) throw new Error(`the chunk at ${last} points forward to ${previous}`);
    if (last !== index && sizeBytes !== MAX_CHUNK_BYTES) throw new Error(`the chunk at ${last} is not full`);
    chunks.unshift(memory.subarray(first * bytesPerCell, first * bytesPerCell + sizeBytes));
    last = previous;
  }
  return Buffer.concat(chunks);
}

/** What is left of a span outside `[from, to)`. */
function without({ offset, bytes }: Span, from: number, to: number): Span[] {
  const before = bytes.subarray(0, Math.max(0, Math.min(bytes.length, from - offset)));
  const skipped = Math.max(0, Math.min(bytes.length, to - offset));
  const after = bytes.subarray(skipped);
  if (before.length + after.length >= bytes.length) return [{ offset, bytes }];
  return [
    { offset, bytes: before },
    { offset: offset + skipped, bytes: after },
  ].filter((span) => span.bytes.length > 0);
}
