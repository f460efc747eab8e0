/** Spoils chunk footers in memory: sizes, pointers, cycles. Every read is right or refused, in bounded steps. */

import { StorageWriter } from "../../../src/index.ts";
import { chunkCells } from "../../../src/format/chunk.ts";
import type { Random } from "../../support/random.ts";
import { decode } from "../../support/decoder.ts";
import { sameBlob } from "./verdict.ts";

export interface FooterFigures {
  readonly cases: number;
  readonly refused: number;
  readonly accepted: number;
  readonly longestReadMs: number;
}

const CELL_BYTES = 32;

/** Each case spoils one to eight footers, reads every blob that they may concern, and mends them again. */
export function fuzzFooters(cases: number, random: Random): FooterFigures {
  using writer = StorageWriter.inMemory({ bytesPerCell: CELL_BYTES });
  const lasts = [0, 5, 26, 27, 58, 90, 200, 1000, 65534, 65535].map((size) =>
    writer.write(new Uint8Array(size).fill(size)),
  );
  const big = writer.write(new Uint8Array(200_000).fill(9));
  const chain = [big - chunkCells(200_000 - 3 * 65535, CELL_BYTES)];
  for (let i = 0; i < 2; i++) chain.push((chain.at(-1) ?? 0) - chunkCells(65535, CELL_BYTES));
  const ends = [...lasts, big, ...chain];
  // The whole storage, header area included, as the decoder wants it.
  const header = headerArea(writer.length);
  const image = new Uint8Array(writer.byteLength);
  image.set(header);
  const cells = writer.bytes(writer.startIndex, writer.byteLength - writer.startIndex * CELL_BYTES);
  image.set(cells, writer.startIndex * CELL_BYTES);
  const file = decode(image);

  let refused = 0;
  let accepted = 0;
  let longestReadMs = 0;
  for (let done = 0; done < cases; done++) {
    const spoiled = spoil(random, ends, writer.length);
    const before = spoiled.map(({ last }) => footerOf(cells, last).slice());
    for (const { last, size, previous } of spoiled) {
      for (const bytes of [footerOf(cells, last), footerOf(image, last + writer.startIndex)]) {
        const view = new DataView(bytes.buffer, bytes.byteOffset, 6);
        view.setUint16(0, size, true);
        view.setUint32(2, previous, true);
      }
    }
    for (const index of new Set([big, ...spoiled.map(({ last }) => last + writer.startIndex)])) {
      const start = performance.now();
      if (sameBlob(writer, file, index)) accepted++;
      else refused++;
      longestReadMs = Math.max(longestReadMs, performance.now() - start);
    }
    spoiled.forEach(({ last }, i) => {
      footerOf(cells, last).set(before[i] ?? new Uint8Array(6));
      footerOf(image, last + writer.startIndex).set(before[i] ?? new Uint8Array(6));
    });
  }
  return { cases, refused, accepted, longestReadMs };
}

interface Spoiled {
  /** Counted from the first cell for data. */
  readonly last: number;
  readonly size: number;
  readonly previous: number;
}

function spoil(random: Random, ends: readonly number[], length: number): Spoiled[] {
  const start = 8;
  const pointer = (own: number): number =>
    random.pick([
      0,
      1,
      start - 1,
      start,
      own,
      own - 1,
      own + 1,
      length - 1,
      length,
      length + 1,
      2 ** 31,
      2 ** 32 - 1,
      random.below(length),
      random.pick(ends),
    ]);
  const size = (): number => random.pick([0, 1, 25, 26, 27, 58, 65534, 65535, random.below(65536)]);
  const count = random.between(1, 8);
  const picked = random.sample(ends, count);
  // A ring: each points to the next, the last to the first.
  const ring = random.chance(0.3);
  return picked.map((own, i) => {
    const previous = ring ? (picked[(i + 1) % picked.length] ?? own) : pointer(own);
    return { last: own - start, size: size(), previous: Math.max(0, previous) };
  });
}

function footerOf(bytes: Uint8Array, cell: number): Uint8Array {
  const end = (cell + 1) * CELL_BYTES;
  return bytes.subarray(end - 6, end);
}

/** A config that the decoder accepts; its headers are not looked at. */
function headerArea(length: number): Uint8Array {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  view.setUint32(20, CELL_BYTES, true);
  view.setUint32(24, length, true);
  return bytes;
}
