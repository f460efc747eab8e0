/** The one-block BLAKE2b of the headers, held against the implementation of `@noble/hashes`. */

import { expect, test } from "bun:test";
import { blake2b } from "@noble/hashes/blake2.js";
import fc from "fast-check";
import { blake2bOneBlock } from "../../src/format/blake2b.ts";

/** SEED repeats a run; fast-check prints the seed of one that fails. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

test("is what @noble/hashes says, whatever the bytes, in one part or two", () => {
  const property = fc.property(fc.uint8Array({ maxLength: 128 }), fc.nat({ max: 128 }), (bytes, cut) => {
    const expected = Buffer.from(blake2b(bytes, { dkLen: 12 })).toString("hex");
    expect(blake2bOneBlock(bytes).toHex()).toBe(expected);
    expect(blake2bOneBlock(bytes.subarray(0, cut), bytes.subarray(cut)).toHex()).toBe(expected);
  });
  fc.assert(property, { seed, numRuns: 5000 });
});

test("has an answer for every length of a block", () => {
  for (let lengthBytes = 0; lengthBytes <= 128; lengthBytes++) {
    const bytes = new Uint8Array(lengthBytes).fill(0xff);
    expect(blake2bOneBlock(bytes)).toEqual(Uint8Array.from(blake2b(bytes, { dkLen: 12 })));
  }
});

test("of 8 zero bytes is the value that the original writes", () => {
  expect(blake2bOneBlock(new Uint8Array(8)).toHex()).toBe("10bc4a33204cfd5e078948dd");
});

test("answers stay as they are when the next is computed", () => {
  const first = blake2bOneBlock(Uint8Array.of(1));
  const hex = first.toHex();
  blake2bOneBlock(Uint8Array.of(2));
  expect(first.toHex()).toBe(hex);
});

test("refuses what does not fit in one block", () => {
  expect(() => blake2bOneBlock(new Uint8Array(129))).toThrow(RangeError);
  expect(() => blake2bOneBlock(new Uint8Array(100), new Uint8Array(29))).toThrow(RangeError);
});
