/** Runs the fuzzers in a process of their own, for what they look for might end it: `bun test/crash/fuzz/main.ts FOLDER short|full SEED`. */

import { join } from "node:path";
import { Random } from "../../support/random.ts";
import { fuzzFooters } from "./footers.ts";
import { headerBits, headerCells, judgeAll, prefixes, splices } from "./foreign.ts";
import { closedFile, killedFile } from "./subjects.ts";

const [folder = ".", form = "short", seedText = "1"] = process.argv.slice(2);
const full = form === "full";
const random = new Random(Number(seedText));
const closed = closedFile(join(folder, "closed.cellar"));
const killed = killedFile(join(folder, "killed.cellar"));
const spoiled = join(folder, "spoiled.cellar");

const figures = {
  footers: fuzzFooters(full ? 100_000 : 3_000, random),
  "header bits, closed": judgeAll(spoiled, closed, headerBits(closed, full ? 1 : 31)),
  "header bits, killed": judgeAll(spoiled, killed, headerBits(killed, full ? 1 : 31)),
  "header cells, closed": judgeAll(spoiled, closed, headerCells(closed)),
  "header cells, killed": judgeAll(spoiled, killed, headerCells(killed)),
  prefixes: judgeAll(spoiled, killed, prefixes(killed, 4096, full ? 1 : 127)),
  "splices, closed": judgeAll(spoiled, closed, splices(closed, full ? 5_000 : 40, random)),
  "splices, killed": judgeAll(spoiled, killed, splices(killed, full ? 5_000 : 60, random)),
};
process.stdout.write(`${JSON.stringify(figures)}\n`);
