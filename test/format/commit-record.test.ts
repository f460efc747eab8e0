/** What a commit record says about truncations, and about the order of records: row by row. */

import { expect, test } from "bun:test";
import { type CommitRecord, isLater, keepsCells, truncationsOf } from "../../src/format/commit-record.ts";

const MAX_U32 = 2 ** 32 - 1;
const newest = (next: number, truncations: number): CommitRecord[] => {
  return [{ base: 8, next, root: 0, cellsCrc: 0, sequence: 3, truncations, baseRoot: 0 }];
};

test.each([
  ["done", 10, 50, 5],
  ["done, and another length", 10, 200, 5],
  ["under way, and a longer state: before it", 11, 101, 5],
  ["under way, and the state that it leaves", 11, 100, 6],
  ["under way, and a shorter state, whose cells it leaves", 11, 99, 6],
  ["the first, under way", 1, 101, 0],
  ["the last before the count begins again", MAX_U32, 100, 2 ** 31],
])("truncations before a state, the newest %s: count %i, length %i: %i", (_what, counted, next, expected) => {
  expect(truncationsOf(newest(100, counted), next)).toBe(expected);
  expect(truncationsOf([], next)).toBe(null);
});

test.each([
  [5, 8, false],
  [5, 9, true],
  [5, 10, true],
  [5, 11, true],
  [5, 12, false],
  [0, MAX_U32, true],
  [0, MAX_U32 - 1, false],
  [2 ** 31, 0, true],
  [2 ** 31, 2, false],
  [null, 1, true],
  [null, 2, false],
])("a state that %p truncations came before has its cells at count %i: %p", (truncations, counted, expected) => {
  expect(keepsCells(newest(100, counted), truncations)).toBe(expected);
});

test("a state has its cells in a file without records only if there was none when it was read", () => {
  expect([keepsCells([], null), keepsCells([], 0)]).toEqual([true, false]);
});

test.each([
  [2, 1, true],
  [1, 1, false],
  [1, 2, false],
  [0, MAX_U32, true],
  [MAX_U32, 0, false],
])("sequence %i is later than %i: %p", (a, b, expected) => {
  expect(isLater(a, b)).toBe(expected);
});
