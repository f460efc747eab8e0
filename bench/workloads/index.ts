/** Every row, in the order of the table. */

import type { Workload } from "../workload.ts";
import { commit, refresh } from "./commit.ts";
import { durable, flushes } from "./durable.ts";
import { lag } from "./lag.ts";
import { farOut, opening } from "./large-files.ts";
import { memory, startup } from "./process.ts";
import { readLarge, sumLarge } from "./read-large.ts";
import { readCopies, readViews } from "./read-small.ts";
import { eventLoop, longestWrite } from "./smooth.ts";
import { treeWalk } from "./tree-walk.ts";
import { writeLarge } from "./write-large.ts";
import { writeSmall } from "./write-small.ts";

export const workloads: readonly Workload[] = [
  writeSmall,
  readViews,
  readCopies,
  treeWalk,
  writeLarge,
  readLarge,
  sumLarge,
  commit,
  refresh,
  durable,
  flushes,
  eventLoop,
  longestWrite,
  opening,
  farOut,
  lag,
  memory,
  startup,
];
