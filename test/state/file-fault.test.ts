/** What a writer does when its file is gone, cut or overwritten: nothing is acknowledged that cannot be found again. */

import { describe, expect, test } from "bun:test";
import type { FileFault } from "../../src/region/region.ts";
import { codeOf } from "../support/errors.ts";
import { reason, rejected } from "../support/outcomes.ts";
import { releaseAll, type Stubbed, stubbed } from "../support/process-stub-store.ts";

const CODES: Readonly<Record<FileFault, string>> = {
  gone: "FILE_GONE",
  cut: "FILE_CHANGED",
  overwritten: "FILE_CHANGED",
};
const faults = Object.keys(CODES) as FileFault[];
const changes = faults.filter((fault) => fault !== "gone");

/** Lets one asynchronous sync return. */
async function release({ region }: Stubbed): Promise<void> {
  expect(region.release()).toBe(true);
  await new Promise<void>((resolve) => setImmediate(resolve));
}

test.each(faults)("%s before a synchronous flush: nothing is synced", (fault) => {
  const { region, publisher, header } = stubbed();
  region.fault = fault;
  expect(codeOf(() => (publisher.checkFile(), publisher.flushSync(header(1))))).toBe(CODES[fault]);
  expect(region.log.filter((name) => name === "sync" || name.startsWith("disk"))).toEqual([]);
  expect(publisher.durable).not.toEqual(header(1));
});

describe.each([1, 2])("during sync %d", (last) => {
  test.each(faults)("of a synchronous flush: %s is not acknowledged", (fault) => {
    const { region, publisher, header } = stubbed();
    const sync = region.sync.bind(region);
    let syncs = 0;
    region.sync = () => {
      sync();
      if (++syncs === last) region.fault = fault;
    };
    const { durable } = publisher;
    expect(codeOf(() => publisher.flushSync(header(1)))).toBe(CODES[fault]);
    // A changed file takes no header after the first sync; one that is gone does.
    const stored = last === 2 || fault === "gone";
    const log = [region.log.includes("disk1"), region.log.includes("disk2")];
    expect([syncs, publisher.durable, ...log]).toEqual([stored ? 2 : 1, durable, stored, false]);
  });

  test.each(faults)("of an asynchronous flush: %s is not acknowledged", async (fault) => {
    const stub = stubbed();
    const { region, publisher, header } = stub;
    region.gated = true;
    const { durable } = publisher;
    const flush = reason(publisher.flush(header(1)));
    const shared = reason(publisher.flush(header(2)));
    if (last === 2) await release(stub);
    region.fault = fault;
    await releaseAll(region, [flush, shared]);
    expect([await flush, await shared]).toEqual([rejected(CODES[fault]), rejected(CODES[fault])]);
    const stored = last === 2 || fault === "gone";
    const log = [region.log.includes("disk1"), region.log.includes("disk2")];
    expect([publisher.durable, ...log]).toEqual([durable, stored, false]);
  });
});

test.each(changes)("%s: everything is refused from then on, and nothing is stored", async (fault) => {
  const { region, publisher, header } = stubbed();
  const refused: unknown[] = [];
  publisher.whenFileChanged((error) => refused.push(error));
  region.fault = fault;
  publisher.inspectFile();
  region.clearLog();
  region.fault = null;
  for (const name of ["commit", "flushSync", "truncate"] as const)
    expect([name, codeOf(() => publisher[name](header(1)))]).toEqual([name, "FILE_CHANGED"]);
  expect(await reason(publisher.flush(header(1)))).toEqual(rejected("FILE_CHANGED"));
  expect([codeOf(() => publisher.checkFailure()), refused, region.log]).toEqual([
    "FILE_CHANGED",
    [rejected("FILE_CHANGED")],
    [],
  ]);
});

test("gone: commits go on, flushes and truncations do not, and a file that is there again is as before", async () => {
  const { region, publisher, header } = stubbed();
  region.fault = "gone";
  publisher.checkFile();
  publisher.commit(header(1));
  expect(publisher.committed).toEqual(header(1));
  expect(codeOf(() => publisher.truncate(header(0)))).toBe("FILE_GONE");
  expect([publisher.committed, publisher.failed]).toEqual([header(1), false]);
  expect(await reason(publisher.flush(header(2)))).toEqual(rejected("FILE_GONE"));
  region.fault = null;
  publisher.checkFile();
  expect(publisher.flushSync(header(3))).toEqual(header(3));
});
