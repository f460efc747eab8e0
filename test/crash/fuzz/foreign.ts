/** Spoils whole files: prefixes, splices, single bits of the header area, cells zeroed, set, swapped, made older. */

import type { Random } from "../../support/random.ts";
import { judge } from "./verdict.ts";
import type { Subject } from "./subjects.ts";

export interface ForeignFigures {
  readonly cases: number;
  readonly opened: number;
  readonly refused: number;
}

/** Judges each image; the first that is judged wrongly throws, with its name. */
export function judgeAll(
  path: string,
  subject: Subject,
  images: Iterable<readonly [name: string, bytes: Uint8Array]>,
): ForeignFigures {
  let opened = 0;
  let cases = 0;
  for (const [name, bytes] of images) {
    cases++;
    try {
      if (judge(path, bytes, subject.blobs).opened) opened++;
    } catch (cause) {
      throw new Error(`${name}: ${String(cause)}`, { cause });
    }
  }
  return { cases, opened, refused: cases - opened };
}

/** Every single bit of bytes 0 to 255. */
export function* headerBits({ bytes }: Subject, step = 1): Generator<readonly [string, Uint8Array]> {
  for (let bit = 0; bit < 256 * 8; bit += step) {
    const image = bytes.slice();
    image[bit >> 3] = (image[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    // The version may be anything, and no hash covers it.
    yield [`bit ${bit & 7} of byte ${bit >> 3}`, image];
  }
}

/** Every 32 bytes of the header area zeroed, set, swapped with every other. */
export function* headerCells({ bytes }: Subject): Generator<readonly [string, Uint8Array]> {
  const cell = (i: number): Uint8Array => bytes.slice(i * 32, i * 32 + 32);
  for (let i = 0; i < 8; i++) {
    yield [`cell ${i} zeroed`, changed(bytes, (image) => image.fill(0, i * 32, i * 32 + 32))];
    yield [`cell ${i} set`, changed(bytes, (image) => image.fill(0xff, i * 32, i * 32 + 32))];
    for (let j = i + 1; j < 8; j++) {
      yield [
        `cells ${i} and ${j} swapped`,
        changed(bytes, (image) => {
          image.set(cell(j), i * 32);
          image.set(cell(i), j * 32);
        }),
      ];
    }
  }
}

/** Prefixes of every length from 0 to `longest`. */
export function* prefixes({ bytes }: Subject, longest: number, step = 1): Generator<readonly [string, Uint8Array]> {
  for (let length = 0; length <= Math.min(longest, bytes.length); length += step)
    yield [`prefix of ${length}`, bytes.slice(0, length)];
}

/** Pieces of the file, of other programs' files and of noise, put over one another. */
export function* splices({ bytes }: Subject, count: number, random: Random): Generator<readonly [string, Uint8Array]> {
  const formats = [
    Buffer.from("\x7fELF\x02\x01\x01"),
    Buffer.from("SQLite format 3\0"),
    Buffer.from("%PDF-1.7\n"),
    Buffer.alloc(512),
    Buffer.alloc(512, 0xff),
  ];
  for (let i = 0; i < count; i++) {
    const image = bytes.slice(0, random.chance(0.3) ? random.below(bytes.length) : bytes.length);
    for (let piece = random.between(1, 4); piece > 0; piece--) {
      // Most of them into the header area, where they matter.
      const at = random.below(random.chance(0.8) ? 256 : Math.max(1, image.length));
      const noise = Uint8Array.from({ length: random.between(1, 64) }, () => random.below(256));
      const source = random.pick<Uint8Array>([
        noise,
        bytes.slice(random.below(256), 256 + random.below(64)),
        random.pick(formats),
      ]);
      image.set(source.subarray(0, Math.max(0, image.length - at)), Math.min(at, image.length));
    }
    yield [`splice ${i}`, image];
  }
}

function changed(bytes: Uint8Array, change: (image: Uint8Array) => void): Uint8Array {
  const image = bytes.slice();
  change(image);
  return image;
}
