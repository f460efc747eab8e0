/** A store over a stub of a region: for what a file does too seldom. */

import { checkConfig } from "../../src/format/config.ts";
import type { Header } from "../../src/format/header.ts";
import { createStore } from "../../src/store/open.ts";
import type { Publisher } from "../../src/state/publisher.ts";
import { StubRegion } from "./process-stub-region.ts";

export interface Stubbed {
  readonly region: StubRegion;
  readonly publisher: Publisher;
  /** The header of a state with so many cells, at most 200, and the first of them as its root. */
  readonly header: (cells: number) => Header;
}

/** A store that is open and durable; its log is empty. */
export function stubbed(): Stubbed {
  const region = new StubRegion();
  const config = checkConfig({ headString: "", version: 1, bytesPerCell: 32, maxIndex: 1000 });
  const {
    publisher,
    header: { next: first },
    space,
  } = createStore(region, config, { writerKey: new Uint8Array(32), stepBytes: null });
  space.ensure(first + 200);
  region.clearLog();
  return { region, publisher, header: (cells) => ({ next: first + cells, root: cells === 0 ? 0 : first }) };
}

/** Lets one sync after the other return, until all have settled. */
export async function releaseAll(region: StubRegion, flushes: readonly Promise<unknown>[]): Promise<void> {
  let settled = false;
  const all = Promise.allSettled(flushes).then(() => {
    settled = true;
  });
  while (!settled) {
    region.release();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  await all;
}
