/** Flushes never overlap: the headers of the later one could be replaced by those of the one before. */

import { expect, spyOn, test } from "bun:test";
import type { Header } from "../../src/format/header.ts";
import { decodeArea, diskCopies } from "../../src/format/area.ts";
import { releaseAll, stubbed } from "../support/process-stub-store.ts";

test.each(["flushSync", "truncate"] as const)(
  "flushes that are asked for at any moment while those end that %s has overtaken run one at a time",
  async (name) => {
    const MICROTASKS = 30;
    const { region, publisher, header } = stubbed();
    region.gated = true;
    let [pending, mostPending, acknowledged] = [0, 0, 0];
    const older: Header[] = [];
    const see = (seen: Header | null): void => void (seen && seen.next < acknowledged && older.push(seen));
    const acknowledge = (state: Header): void => {
      see(state);
      acknowledged = Math.max(acknowledged, state.next);
    };
    const [syncLater, store] = [region.syncLater.bind(region), region.store.bind(region)];
    spyOn(region, "syncLater").mockImplementation(async () => {
      mostPending = Math.max(mostPending, ++pending);
      await syncLater().finally(() => pending--);
    });
    spyOn(region, "store").mockImplementation((...stores) => {
      store(...stores);
      for (const name of diskCopies) see(decodeArea(region.headers()).copy(name));
    });
    const flushes: Promise<void>[] = [];
    const ask = (cells: number): void => void flushes.push(publisher.flush(header(cells)).then(acknowledge));
    ask(1);
    ask(2);
    publisher[name](header(3));
    acknowledge(header(3));
    region.release();
    for (let i = 0; i < MICROTASKS; i++) {
      ask(4 + i);
      await Promise.resolve();
    }
    await releaseAll(region, flushes);
    expect({ mostPending, older, durable: publisher.durable }).toEqual({
      mostPending: 1,
      older: [],
      durable: header(3 + MICROTASKS),
    });
  },
);
