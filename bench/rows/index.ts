/**
 * Every row, in the order of the table. A new row is a `row(…)` in a file of this folder and a line here: its first
 * contestant is Cellar, its peers each have a sentence for where they are faster, its targets one for a miss.
 */

import type { Row } from "../lib/row.ts";
import { cold100k, cold1m, cold4k, coldSmall } from "./cold.ts";
import { commit, refresh } from "./commit.ts";
import { durable, durable64 } from "./durable.ts";
import { flush } from "./flush.ts";
import { http, http8 } from "./http.ts";
import { lag, readers } from "./lag.ts";
import { farOut, opening } from "./large-files.ts";
import { diskSize, memory, startUp } from "./process.ts";
import { readLarge, sumLarge } from "./read-large.ts";
import { readCopies, readViews } from "./read.ts";
import { replicateFirst, restoreNewest } from "./replication.ts";
import { restored } from "./restored.ts";
import { eventLoop, longestWrite } from "./smooth.ts";
import { treeWalk } from "./tree-walk.ts";
import { watch, watchCost } from "./watch.ts";
import { copyCold, openKilled } from "./whole-files.ts";
import { writeLarge, writeSmall } from "./write.ts";

export const rows: readonly Row[] = [
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
  durable64,
  flush,
  restored,
  coldSmall,
  cold4k,
  cold100k,
  cold1m,
  openKilled,
  copyCold,
  replicateFirst,
  restoreNewest,
  http,
  http8,
  lag,
  readers,
  watch,
  watchCost,
  eventLoop,
  longestWrite,
  opening,
  farOut,
  memory,
  diskSize,
  startUp,
];
