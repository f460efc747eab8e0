/** Work under a limit: never more at once, in the order of the calls, whatever fails. */

import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { dirname } from "node:path";
import { writeTemporary } from "../../../src/replicate/store/folder-files.ts";
import { Slots } from "../../../src/os/event-loop.ts";
import { useFolder } from "../../support/folder.ts";

const path = useFolder({ inMemory: true });

test.each([1, 2, 4])("%d at once, in the order of the calls, also when some fail", async (count) => {
  const slots = new Slots(count);
  const begun: number[] = [];
  let running = 0;
  let most = 0;
  const work = async (i: number): Promise<number> => {
    begun.push(i);
    most = Math.max(most, ++running);
    await Bun.sleep(i % 3);
    running--;
    if (i % 5 === 0) throw new Error(`work ${i}`);
    return i;
  };
  const numbers = Array.from({ length: 20 }, (_, i) => i);
  const results = await Promise.allSettled(numbers.map((i) => slots.run(() => work(i))));
  expect(begun).toEqual(numbers);
  expect(most).toBe(count);
  expect(results.map((result) => (result.status === "fulfilled" ? result.value : -1))).toEqual(
    numbers.map((i) => (i % 5 === 0 ? -1 : i)),
  );
  // All slots are free again.
  expect(await Promise.all(numbers.slice(1, 5).map((i) => slots.run(() => work(i))))).toEqual([1, 2, 3, 4]);
  expect(most).toBe(count);
});

test("a put that ended while another file was synced leaves no file, and does not sync its own", async () => {
  const folder = dirname(path());
  const before = readdirSync(folder);
  const syncs = new Slots(1);
  const end = new AbortController();
  const { promise: slowSync, resolve } = Promise.withResolvers<void>();
  const first = syncs.run(() => slowSync);
  const put = writeTemporary(folder, new Uint8Array(10), syncs, end.signal);
  put.catch(() => undefined);
  end.abort(new Error("past the deadline"));
  resolve();
  await first;
  await expect(put).rejects.toThrow("past the deadline");
  expect(readdirSync(folder)).toEqual(before);
});
