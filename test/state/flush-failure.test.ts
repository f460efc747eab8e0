/** A sync that fails is the last one: from then on nothing is claimed, and no disk-sync header is stored. */

import { afterEach, describe, expect, mock, spyOn, test } from "bun:test";
import { StorageError } from "../../src/error.ts";
import { StorageWriter } from "../../src/index.ts";
import { FILE } from "../../src/format/layout.ts";
import { FileRegion } from "../../src/region/file.ts";
import { reason, rejected } from "../support/outcomes.ts";
import { diskError } from "../support/process-stub-region.ts";
import { releaseAll, type Stubbed, stubbed } from "../support/process-stub-store.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder();

afterEach(() => mock.restore());

const steps = ["commit", "flush", "flushSync", "truncate", "turn"] as const;
type Step = (typeof steps)[number];
const scripts = steps.flatMap((a) => steps.flatMap((b) => steps.map((c): Step[] => ["flush", a, b, c])));
const failed = expect.objectContaining({ code: "FAILED", cause: diskError, errno: 5, syscall: "msync" });

function diskCopies(headers: Uint8Array): Uint8Array {
  return headers.subarray(FILE.disk1.offset, FILE.disk2.offset + FILE.disk2.sizeBytes);
}

interface Performed {
  /** What each step threw, or undefined. */
  readonly outcomes: unknown[];
  /** Which flushes were acknowledged after a sync had failed. */
  readonly late: readonly number[];
}

async function perform({ region, publisher, header }: Stubbed, script: readonly Step[]): Promise<Performed> {
  const outcomes: Promise<unknown>[] = [];
  const late: number[] = [];
  for (const [i, step] of script.entries()) {
    if (step === "turn") {
      region.release();
      await new Promise<void>((resolve) => setImmediate(resolve));
    } else {
      // A call that throws becomes a promise that rejects, as a flush's is.
      const outcome = (async (): Promise<unknown> => publisher[step](header(i)))();
      outcomes.push(
        outcome.then(
          () => void (step === "flush" && publisher.failed && late.push(i)),
          (error: unknown) => error,
        ),
      );
    }
  }
  await releaseAll(region, outcomes);
  return { outcomes: await Promise.all(outcomes), late };
}

/** Whatever is asked of a store whose sync has failed. */
async function expectRefusals({ publisher, header }: Stubbed): Promise<void> {
  expect(publisher.failed).toBe(true);
  for (const action of ["commit", "flushSync", "truncate"] as const)
    expect(() => publisher[action](header(9))).toThrow(failed);
  expect(await publisher.flush(header(9)).catch((error: unknown) => error)).toEqual(failed);
}

describe.each([false, true])("with syncs that return late: %p", (gated) => {
  test("whichever sync fails, nothing is acknowledged after it, and no header is stored", async () => {
    let failures = 0;
    for (const script of scripts) {
      for (let failAt = 1; ; failAt++) {
        const store = stubbed();
        const { region, publisher } = store;
        Object.assign(region, { gated, failAt });
        const { outcomes, late } = await perform(store, script);
        if (!publisher.failed) break;
        failures++;
        const errors = outcomes.filter((outcome) => outcome !== undefined);
        expect({ script, failAt, errors }).toEqual({ script, failAt, errors: errors.map(() => failed) });
        expect(errors.length).toBeGreaterThan(0);
        // Syncs that return at once fail before the caller of the flush before them hears of it.
        if (gated) expect({ script, failAt, late }).toEqual({ script, failAt, late: [] });
        await expectRefusals(store);
        const stored = region.log.slice(region.log.indexOf("failed")).filter((name) => name.startsWith("disk"));
        expect({ script, failAt, stored }).toEqual({ script, failAt, stored: [] });
        expect(diskCopies(region.headers())).toEqual(diskCopies(region.headersAtFailure));
      }
    }
    // Each script has a flush of two syncs at the least.
    expect(failures).toBeGreaterThanOrEqual(2 * scripts.length);
  });

  test("a flush that waits for the one that fails is rejected too", async () => {
    const { region, publisher, header } = stubbed();
    Object.assign(region, { gated, failAt: 1 });
    const flushes = [1, 2, 3].map((cells) => publisher.flush(header(cells)).catch((error: unknown) => error));
    await releaseAll(region, flushes);
    expect(await Promise.all(flushes)).toEqual([failed, failed, failed]);
    expect(publisher.durable).not.toEqual(header(1));
  });
});

test("a failed writer says FAILED, whatever its disk has no room for, and writes nothing of what is staged", async () => {
  const writer = StorageWriter.create(file());
  spyOn(FileRegion.prototype, "syncLater").mockRejectedValue(diskError);
  const flush = writer.flush();
  writer.root = writer.write(new Uint8Array(60_000).fill(7));
  expect(await reason(flush)).toEqual(failed);
  const write = spyOn(FileRegion.prototype, "write").mockImplementation(() => {
    throw new StorageError("DISK_FULL", "told to fail");
  });
  expect(() => writer.commit()).toThrow(failed);
  expect(() => writer.flushSync()).toThrow(failed);
  expect(await reason(writer.flush())).toEqual(failed);
  expect(write).not.toHaveBeenCalled();
  writer.close();
  expect(await reason(writer.flush())).toEqual(rejected("CLOSED"));
});
