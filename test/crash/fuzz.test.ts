/** The short form of the fuzzers, in a process of their own: what they look for might end it. */

import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { useFolder } from "../support/folder.ts";
import { seedFromEnvironment } from "../support/random.ts";

interface Figures {
  readonly cases: number;
  readonly opened?: number;
  readonly accepted?: number;
  readonly refused: number;
}

const file = useFolder({ inMemory: true, spoiled: true });

test("spoiled footers, header bits, header cells, prefixes and splices: right, or a typed error", () => {
  const seed = seedFromEnvironment();
  const folder = file("fuzz");
  mkdirSync(folder);
  const main = join(import.meta.dir, "fuzz/main.ts");
  const { exitCode, signalCode, stdout, stderr } = Bun.spawnSync([
    process.execPath,
    main,
    folder,
    "short",
    String(seed),
  ]);
  if (exitCode !== 0) throw new Error(`SEED=${seed}: ${signalCode ?? ""} ${stderr.toString()}`);
  const all = JSON.parse(stdout.toString()) as Record<string, Figures>;
  expect(Object.keys(all)).toHaveLength(8);
  for (const [name, { cases, opened, accepted, refused }] of Object.entries(all)) {
    // Both outcomes are met, else nothing was told apart.
    expect({ name, cases: cases > 0, right: (opened ?? accepted ?? 0) > 0, refused: refused > 0 }).toEqual({
      name,
      cases: true,
      right: true,
      refused: true,
    });
  }
});
