/**
 * What is explored: configurations of the rules as they are built, each of which must be sound, and of rules of which one
 * was taken away, each of which must be found to be broken.
 */

import type { Configuration } from "./log-model.ts";

/** Two sessions on one file, a full record at least every second state, one lost or late request, one prune. */
const two: Omit<Configuration, "name"> = {
  S: 2,
  N: 6,
  F: 2,
  files: [0, 0],
  flushes: 3,
  faults: 1,
  prunes: 1,
  // The rules of src/replicate.
  mismatch: "again",
  pvCheck: true,
  identity: true,
  openLate: true,
  blocksCnt: true,
  staticStates: "def",
  halving: "def",
};
/** Two machines, each with a file; the second one's may be restored from the replica. */
const machines: Omit<Configuration, "name"> = { ...two, files: [0, 1], copyAt: true };
const truncating: Omit<Configuration, "name"> = { ...two, F: 3, truncs: 1, dropEp: true };

/** Steps after which a stray opening is on its way into a gap. */
const stray: readonly string[] = [
  "flush",
  "X lists",
  "X GET log/1: 404",
  "X PUT log/1 (opening): 200",
  'X PUT log/2 (full "a" epoch 1 of X): 200',
  "flush",
  "Y lists",
  "Y GET log/2",
  "Y GET log/3: 404",
  "Y PUT log/3 (opening): time-out",
  "X PUT block",
  'X PUT log/3 (state "ab" epoch 1 of X): 200',
  "flush",
  'X PUT log/4 (state "abc" epoch 1 of X): 200',
];
const strayed: Omit<Configuration, "name"> = { ...two, openLate: false, script: [...stray], F: 3, flushes: 5 };

export const sound: readonly Configuration[] = [
  { ...two, name: "two sessions on one file" },
  { ...two, name: "two lost or late requests", N: 5, flushes: 2, faults: 2 },
  { ...two, name: "three sessions", files: [0, 0, 0], N: 5, flushes: 2 },
  { ...two, name: "two prunes, which forget", prunes: 2, forget: true },
  { ...two, name: "a session that is killed", kills: 1 },
  { ...two, name: "a prune by GET and DELETE, newest first", prune2: true, desc: true },
  { ...two, name: "a restore beside prune", restore: 1, F: 3, N: 5 },
  {
    ...two,
    name: "a restore beside a prune that forgets",
    restore: 1,
    files: [0],
    prunes: 2,
    forget: true,
    flushes: 4,
  },
  { ...strayed, name: "a restore over a stray opening", restore: 1 },
  { ...strayed, name: "a session that reads over a stray opening", files: [0, 0, 0], flushes: 4 },
  { ...two, name: "clocks that differ", off: [0, 2], prunes: 2, forget: true },
  { ...strayed, name: "clocks that differ, and a stray opening", off: [0, 3] },
  { ...two, name: "a follower", F: 3, flushes: 4, follow: "check" },
  { ...truncating, name: "a truncation, a late request, old epochs pruned" },
  { ...truncating, name: "a truncation, a kill, old epochs pruned", kills: 1, faults: 0 },
  {
    ...truncating,
    name: "a truncation, blocks records, two prunes, one killed",
    files: [0],
    kills: 1,
    prunes: 2,
    bl: true,
    faults: 0,
    N: 7,
    flushes: 4,
    pruneCrash: true,
  },
  { ...two, name: "two truncations with blocks records", F: 3, truncs: 2, prunes: 0, faults: 0, kills: 1, bl: true },
  { ...machines, name: "two machines" },
  { ...machines, name: "two machines, truncations", F: 3, truncs: 1, prunes: 0, faults: 0 },
  { ...machines, name: "an equal copy with nothing to add", N: 5, idleFence: true },
  {
    ...machines,
    name: "a copy after blocks past its state were named",
    bl: true,
    kills: 1,
    flushes: 4,
    faults: 1,
    F: 3,
  },
  { ...machines, name: "the same, with a truncation", bl: true, truncs: 1, dropEp: true, faults: 0, F: 3, flushes: 4 },
];

/** Each with the rule that it lacks. */
export const broken: readonly Configuration[] = [
  { ...two, name: "no listing after a 404", relist: false, faults: 0, openLate: false, pvCheck: false },
  { ...two, name: "prune deletes openings", pruneOpen: true },
  { ...truncating, name: "no full record before an epoch", files: [0], faults: 0, dropEp: false, preFull: false },
  { ...machines, name: "a session opens with nothing to add", N: 5, idleFence: true, openLate: false },
  {
    ...machines,
    name: "a higher count of any file begins an epoch",
    F: 3,
    truncs: 1,
    prunes: 0,
    faults: 0,
    identity: false,
  },
  { ...strayed, name: "what does not fit is corrupt at once", restore: 1, mismatch: "corrupt", pvCheck: false },
  {
    ...strayed,
    name: "a follower that checks nothing",
    script: [...stray.slice(0, 5), "the follower starts", ...stray.slice(5)],
    follow: "naive",
    pvCheck: false,
  },
  { ...two, name: "states are all state records and all lists", staticStates: "union", faults: 0, files: [0] },
  { ...two, name: "halving over what keys there are", halving: "naive", files: [0], faults: 0, flushes: 4 },
  {
    ...machines,
    name: "blocks are named anew where no cell was compared",
    bl: true,
    truncs: 1,
    prunes: 0,
    faults: 0,
    F: 3,
    flushes: 5,
    script: [
      "flush: one cell more at X",
      "X lists",
      "X GET log/1: 404",
      "X PUT log/1 (opening): 200",
      "X PUT log/2 (full",
      "X's file is truncated",
      "flush: one cell more at X",
      "flush: one cell more at X",
      "X PUT block/2-0",
      "X PUT log/3 (blocks",
    ],
    rollback: "unproven",
  },
];
