/** What applications do with a storage, as steps that can be done again after a crash. */

import { FILE, FOOTER_BYTES } from "../../../src/format/layout.ts";
import type { Life, Step } from "./life.ts";

export interface Workload {
  readonly name: string;
  readonly steps: readonly Step[];
  /** Bytes by which the file grows; default as the library's. */
  readonly stepBytes?: number;
  /** For file systems that cannot deallocate. */
  readonly canDeallocate?: false;
  /** Of short lives: one image in so many is recovered, and crashed again within that. */
  readonly recoverOneIn?: number;
}

const write =
  (sizeBytes: number): Step =>
  (life) =>
    life.write(sizeBytes);
const allocate =
  (count: number): Step =>
  (life) =>
    life.allocate(count);
const root =
  (blob: number | null): Step =>
  (life) =>
    life.root(blob);
const version =
  (value: number): Step =>
  (life) =>
    life.version(value);
const changeInPlace =
  (blob: number): Step =>
  (life) =>
    life.changeInPlace(blob);
const damage =
  (offset: number): Step =>
  (life) =>
    life.damage(offset);
const commit: Step = (life: Life) => life.commit();
const flush: Step = (life: Life) => life.flush();
const flushLater: Step = (life: Life) => life.flushLater();
const syncReturns: Step = (life: Life) => life.syncReturns();
const truncate: Step = (life: Life) => life.truncate();
const reopen: Step = (life: Life) => life.reopen();
const close: Step = (life: Life) => life.close();

const manyCommits = Array.from({ length: 12 }, (_, i) => [write(40 + 90 * i), commit]).flat();

export const workloads: readonly Workload[] = [
  { name: "create", steps: [] },
  { name: "create, flush", steps: [flush] },
  {
    name: "write, commit, flush, three times",
    steps: [1, 2, 3].flatMap((i) => [write(700 * i), commit, write(4000), flush]),
  },
  {
    name: "two commits, then a flush",
    steps: [write(60), flush, write(60), commit, write(5000), commit, flush],
    recoverOneIn: 100,
  },
  {
    name: "commits of one length, then a flush",
    steps: [write(60), flush, write(60), commit, root(0), commit, root(null), commit, flush],
    recoverOneIn: 100,
  },
  { name: "flush with nothing new", steps: [write(500), flush, flush, commit, flush] },
  {
    name: "root alone",
    steps: [write(60), write(5000), flush, root(0), commit, flush, root(null), commit, root(1), flush],
  },
  {
    name: "growth in steps",
    steps: [write(3000), commit, write(6000), flush, write(9000), commit, write(5000), flush],
    stepBytes: 4096,
  },
  { name: "blob of four chunks", steps: [write(100), flush, write(3 * 65535 + 9), commit, flush, write(30), flush] },
  {
    // In cells of 32 bytes: 119 cells up to the last of page 0; then that one, all of page 1, and the first of page 2.
    name: "a commit whose first and last cell are alone in their pages",
    steps: [write(119 * 32 - FOOTER_BYTES), flush, write(130 * 32 - FOOTER_BYTES), commit, flush],
  },
  { name: "cells filled through a view", steps: [allocate(20), commit, allocate(150), flush, allocate(3), commit] },
  { name: "many commits", steps: [...manyCommits, flush, write(20), commit] },
  {
    name: "truncate",
    steps: [write(6000), flush, write(3000), commit, truncate, allocate(30), flush],
    canDeallocate: false,
  },
  {
    name: "truncate, write the same again",
    steps: [write(5000), flush, truncate, write(5000), commit, write(900), flush],
  },
  {
    name: "truncate twice",
    steps: [write(5000), flush, truncate, write(5000), commit, flush, truncate, write(300), commit],
  },
  { name: "version", steps: [write(100), version(7), commit, flush, version(8), version(9), write(10), flush] },
  {
    name: "changes in place",
    steps: [
      write(5000),
      flush,
      write(900),
      commit,
      changeInPlace(1),
      write(50),
      commit,
      flush,
      changeInPlace(0),
      commit,
      flush,
    ],
  },
  {
    name: "flush later, with commits meanwhile",
    steps: [write(5000), flushLater, write(600), commit, syncReturns, write(5000), commit, syncReturns, commit, flush],
  },
  {
    name: "flushes that share a sync",
    steps: [
      write(900),
      flushLater,
      write(5000),
      flushLater,
      write(70),
      flushLater,
      syncReturns,
      syncReturns,
      syncReturns,
    ],
  },
  {
    name: "flush overtaken by flushSync",
    steps: [
      write(900),
      flushLater,
      write(5000),
      flush,
      syncReturns,
      write(70),
      flushLater,
      syncReturns,
      write(80),
      flush,
      syncReturns,
      write(9),
      flush,
    ],
  },
  {
    name: "flush overtaken by truncate",
    steps: [
      write(5000),
      flushLater,
      truncate,
      write(5000),
      flushLater,
      syncReturns,
      write(9),
      commit,
      truncate,
      syncReturns,
      write(90),
      flush,
      write(9),
      flush,
    ],
  },
  { name: "close", steps: [write(5000), close] },
  {
    name: "close during a flush, open again",
    steps: [write(5000), flushLater, syncReturns, write(70), close, reopen, write(80), flush],
  },
  {
    name: "killed and opened again",
    steps: [write(5000), commit, reopen, write(900), commit, write(70), flushLater, syncReturns, reopen, flush],
  },
  {
    name: "a damaged copy 1",
    steps: [write(900), flush, write(5000), commit, damage(FILE.disk1.offset), reopen, write(50), flush],
  },
  {
    name: "a damaged copy 2",
    steps: [write(900), flush, write(5000), commit, damage(FILE.disk2.offset), reopen, write(50), flush],
  },
];
