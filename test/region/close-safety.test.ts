/**
 * After close no view reaches the old memory, and nothing is left behind. All of it in processes of their own, for
 * what goes wrong here ends in a signal.
 */

import { describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { run } from "../support/process-run.ts";
import { useFolder } from "../support/folder.ts";

const file = useFolder();
const program = (name: string): string => join(import.meta.dir, "../support", name);

describe("after close", () => {
  const deadViews = program("process-dead-views.ts");

  test.each(["writer", "reader", "memory"])(
    "no view of a %s holds a byte, not even of the next storage",
    async (kind) => {
      const { alive, ...rest } = await run(deadViews, kind, file());
      expect(rest).toEqual({ wrong: [null], spoiled: 0, mappings: 0 });
      expect(Number(alive)).toBeGreaterThan(80);
    },
  );

  // Which is not allowed. Of a buffer over more than a window nothing is held that would tell: docs/durability.md.
  test.each([
    ["transfer", "buffer.transfer()"],
    ["clone", "structuredClone with transfer"],
  ])("memory that the user took is still there: %s", async (scenario) => {
    expect(await run(deadViews, scenario, file())).toEqual({ empty: 0, again: 0, differing: 0, mapped: true });
  });

  test("an empty view hands out no buffer that the writer needs", async () => {
    expect(await run(deadViews, "emptyView", file())).toEqual({ length: 1 });
  });
});

describe("closing while a job of Bun's has a view", () => {
  const pinnedProgram = program("process-pinned.ts");
  const rounds = 8;

  /** Whether the job has hold of the memory itself, or of a copy, or of none any more when the call has returned. */
  test.each([
    ["zlib.gzip", true],
    ["zlib.deflate", true],
    ["Bun.zstdCompress", true],
    ["fs.write", true],
    ["fs.promises.writeFile", true],
    ["fs.read", true],
    ["crypto.subtle.digest", false],
    ["Worker.postMessage", false],
    ["structuredClone", false],
    ["Response.arrayBuffer", false],
    ["Bun.write", false],
    ["Bun.spawn", false],
    ["Bun.hash", false],
    ["TextDecoder", false],
  ])("%s: its result is right, and the memory is given back", async (job, pins) => {
    const { pinned, ...results } = await run(pinnedProgram, job, file(), "close");
    expect(results).toEqual({ right: rounds, wrong: 0, failed: 0 });
    if (pins) expect(Number(pinned)).toBeGreaterThan(0);
  });

  test("a ReadableStream that has the view: right bytes or an error, and the memory is given back", async () => {
    const { right, wrong, failed } = await run(pinnedProgram, "ReadableStream", file(), "close");
    expect({ wrong, all: Number(right) + Number(failed) }).toEqual({ wrong: 0, all: rounds });
  });
});

describe("nothing is left behind by", () => {
  const leaks = program("process-leaks.ts");

  test.each([
    ["1,000 opens and closes", "opens"],
    ["1,000 storages in memory", "inMemory"],
    ["100 flushes that closing waits for, or does not", "flushes"],
    ["100 growths", "growths"],
    ["1,000 failed opens", "failures"],
  ])("%s", async (_what, scenario) => {
    const folder = file(scenario);
    mkdirSync(folder);
    const { anonymousMiB, addressesGiB, ...more } = await run(leaks, scenario, folder);
    expect(more).toEqual({ fds: 0, mappings: 0 });
    expect(Number(anonymousMiB)).toBeLessThan(16);
    // Each mapping that were left would be 128 GiB of addresses.
    expect(Number(addressesGiB)).toBeLessThan(16);
  });
});
