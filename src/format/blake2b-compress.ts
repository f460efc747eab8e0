/**
 * The compression of BLAKE2b (RFC 7693, section 3.2) for a message of one block. JavaScript has no fast 64-bit
 * integers, so each word n of the state is two 32-bit halves, `l` n the low one and `h` n the high one.
 *
 * The eight mixes of a round are written out, with the state in variables: this takes half the time of a function that
 * mixes four words of an array, because compilers inline short functions only.
 */

/** The initialization vector (section 2.6), low halves first. */
const IV: Int32Array = Int32Array.of(
  ...[0xf3bcc908, 0x6a09e667, 0x84caa73b, 0xbb67ae85, 0xfe94f82b, 0x3c6ef372, 0x5f1d36f1, 0xa54ff53a],
  ...[0xade682d1, 0x510e527f, 0x2b3e6c1f, 0x9b05688c, 0xfb41bd6b, 0x1f83d9ab, 0x137e2179, 0x5be0cd19],
);

/**
 * Compresses the block `message`, of which `lengthBytes` are message, and stores the first 12 bytes of the hash.
 * @param parameters the first word of the parameter block, low half
 * @param places the positions of the words of each mix in the message, counted in 32-bit halves: 16 for each round
 */
export function compress(
  message: Int32Array,
  lengthBytes: number,
  parameters: number,
  places: Uint8Array,
  hash: Int32Array,
): void {
  let l0 = word(IV, 0) ^ parameters;
  let h0 = word(IV, 1);
  let l1 = word(IV, 2);
  let h1 = word(IV, 3);
  let l2 = word(IV, 4);
  let h2 = word(IV, 5);
  let l3 = word(IV, 6);
  let h3 = word(IV, 7);
  let l4 = word(IV, 8);
  let h4 = word(IV, 9);
  let l5 = word(IV, 10);
  let h5 = word(IV, 11);
  let l6 = word(IV, 12);
  let h6 = word(IV, 13);
  let l7 = word(IV, 14);
  let h7 = word(IV, 15);
  let l8 = word(IV, 0);
  let h8 = word(IV, 1);
  let l9 = word(IV, 2);
  let h9 = word(IV, 3);
  let l10 = word(IV, 4);
  let h10 = word(IV, 5);
  let l11 = word(IV, 6);
  let h11 = word(IV, 7);
  let l12 = word(IV, 8) ^ lengthBytes;
  let h12 = word(IV, 9);
  let l13 = word(IV, 10);
  let h13 = word(IV, 11);
  let l14 = ~word(IV, 12);
  let h14 = ~word(IV, 13);
  let l15 = word(IV, 14);
  let h15 = word(IV, 15);
  let [i, sum, low, high] = [0, 0, 0, 0];
  for (let step = 0; step < places.length; step += 16) {
    // G of words 0, 4, 8 and 12
    i = word(places, step);
    sum = (l4 + word(message, i)) | 0;
    l0 = (l0 + sum) | 0;
    h0 = (h0 + h4 + word(message, i + 1) + carry(sum, l4) + carry(l0, sum)) | 0;
    low = l12 ^ l0;
    l12 = h12 ^ h0;
    h12 = low;
    l8 = (l8 + l12) | 0;
    h8 = (h8 + h12 + carry(l8, l12)) | 0;
    low = l4 ^ l8;
    high = h4 ^ h8;
    l4 = (low >>> 24) | (high << 8);
    h4 = (high >>> 24) | (low << 8);
    i = word(places, step + 1);
    sum = (l4 + word(message, i)) | 0;
    l0 = (l0 + sum) | 0;
    h0 = (h0 + h4 + word(message, i + 1) + carry(sum, l4) + carry(l0, sum)) | 0;
    low = l12 ^ l0;
    high = h12 ^ h0;
    l12 = (low >>> 16) | (high << 16);
    h12 = (high >>> 16) | (low << 16);
    l8 = (l8 + l12) | 0;
    h8 = (h8 + h12 + carry(l8, l12)) | 0;
    low = l4 ^ l8;
    high = h4 ^ h8;
    l4 = (low << 1) | (high >>> 31);
    h4 = (high << 1) | (low >>> 31);
    // G of words 1, 5, 9 and 13
    i = word(places, step + 2);
    sum = (l5 + word(message, i)) | 0;
    l1 = (l1 + sum) | 0;
    h1 = (h1 + h5 + word(message, i + 1) + carry(sum, l5) + carry(l1, sum)) | 0;
    low = l13 ^ l1;
    l13 = h13 ^ h1;
    h13 = low;
    l9 = (l9 + l13) | 0;
    h9 = (h9 + h13 + carry(l9, l13)) | 0;
    low = l5 ^ l9;
    high = h5 ^ h9;
    l5 = (low >>> 24) | (high << 8);
    h5 = (high >>> 24) | (low << 8);
    i = word(places, step + 3);
    sum = (l5 + word(message, i)) | 0;
    l1 = (l1 + sum) | 0;
    h1 = (h1 + h5 + word(message, i + 1) + carry(sum, l5) + carry(l1, sum)) | 0;
    low = l13 ^ l1;
    high = h13 ^ h1;
    l13 = (low >>> 16) | (high << 16);
    h13 = (high >>> 16) | (low << 16);
    l9 = (l9 + l13) | 0;
    h9 = (h9 + h13 + carry(l9, l13)) | 0;
    low = l5 ^ l9;
    high = h5 ^ h9;
    l5 = (low << 1) | (high >>> 31);
    h5 = (high << 1) | (low >>> 31);
    // G of words 2, 6, 10 and 14
    i = word(places, step + 4);
    sum = (l6 + word(message, i)) | 0;
    l2 = (l2 + sum) | 0;
    h2 = (h2 + h6 + word(message, i + 1) + carry(sum, l6) + carry(l2, sum)) | 0;
    low = l14 ^ l2;
    l14 = h14 ^ h2;
    h14 = low;
    l10 = (l10 + l14) | 0;
    h10 = (h10 + h14 + carry(l10, l14)) | 0;
    low = l6 ^ l10;
    high = h6 ^ h10;
    l6 = (low >>> 24) | (high << 8);
    h6 = (high >>> 24) | (low << 8);
    i = word(places, step + 5);
    sum = (l6 + word(message, i)) | 0;
    l2 = (l2 + sum) | 0;
    h2 = (h2 + h6 + word(message, i + 1) + carry(sum, l6) + carry(l2, sum)) | 0;
    low = l14 ^ l2;
    high = h14 ^ h2;
    l14 = (low >>> 16) | (high << 16);
    h14 = (high >>> 16) | (low << 16);
    l10 = (l10 + l14) | 0;
    h10 = (h10 + h14 + carry(l10, l14)) | 0;
    low = l6 ^ l10;
    high = h6 ^ h10;
    l6 = (low << 1) | (high >>> 31);
    h6 = (high << 1) | (low >>> 31);
    // G of words 3, 7, 11 and 15
    i = word(places, step + 6);
    sum = (l7 + word(message, i)) | 0;
    l3 = (l3 + sum) | 0;
    h3 = (h3 + h7 + word(message, i + 1) + carry(sum, l7) + carry(l3, sum)) | 0;
    low = l15 ^ l3;
    l15 = h15 ^ h3;
    h15 = low;
    l11 = (l11 + l15) | 0;
    h11 = (h11 + h15 + carry(l11, l15)) | 0;
    low = l7 ^ l11;
    high = h7 ^ h11;
    l7 = (low >>> 24) | (high << 8);
    h7 = (high >>> 24) | (low << 8);
    i = word(places, step + 7);
    sum = (l7 + word(message, i)) | 0;
    l3 = (l3 + sum) | 0;
    h3 = (h3 + h7 + word(message, i + 1) + carry(sum, l7) + carry(l3, sum)) | 0;
    low = l15 ^ l3;
    high = h15 ^ h3;
    l15 = (low >>> 16) | (high << 16);
    h15 = (high >>> 16) | (low << 16);
    l11 = (l11 + l15) | 0;
    h11 = (h11 + h15 + carry(l11, l15)) | 0;
    low = l7 ^ l11;
    high = h7 ^ h11;
    l7 = (low << 1) | (high >>> 31);
    h7 = (high << 1) | (low >>> 31);
    // G of words 0, 5, 10 and 15
    i = word(places, step + 8);
    sum = (l5 + word(message, i)) | 0;
    l0 = (l0 + sum) | 0;
    h0 = (h0 + h5 + word(message, i + 1) + carry(sum, l5) + carry(l0, sum)) | 0;
    low = l15 ^ l0;
    l15 = h15 ^ h0;
    h15 = low;
    l10 = (l10 + l15) | 0;
    h10 = (h10 + h15 + carry(l10, l15)) | 0;
    low = l5 ^ l10;
    high = h5 ^ h10;
    l5 = (low >>> 24) | (high << 8);
    h5 = (high >>> 24) | (low << 8);
    i = word(places, step + 9);
    sum = (l5 + word(message, i)) | 0;
    l0 = (l0 + sum) | 0;
    h0 = (h0 + h5 + word(message, i + 1) + carry(sum, l5) + carry(l0, sum)) | 0;
    low = l15 ^ l0;
    high = h15 ^ h0;
    l15 = (low >>> 16) | (high << 16);
    h15 = (high >>> 16) | (low << 16);
    l10 = (l10 + l15) | 0;
    h10 = (h10 + h15 + carry(l10, l15)) | 0;
    low = l5 ^ l10;
    high = h5 ^ h10;
    l5 = (low << 1) | (high >>> 31);
    h5 = (high << 1) | (low >>> 31);
    // G of words 1, 6, 11 and 12
    i = word(places, step + 10);
    sum = (l6 + word(message, i)) | 0;
    l1 = (l1 + sum) | 0;
    h1 = (h1 + h6 + word(message, i + 1) + carry(sum, l6) + carry(l1, sum)) | 0;
    low = l12 ^ l1;
    l12 = h12 ^ h1;
    h12 = low;
    l11 = (l11 + l12) | 0;
    h11 = (h11 + h12 + carry(l11, l12)) | 0;
    low = l6 ^ l11;
    high = h6 ^ h11;
    l6 = (low >>> 24) | (high << 8);
    h6 = (high >>> 24) | (low << 8);
    i = word(places, step + 11);
    sum = (l6 + word(message, i)) | 0;
    l1 = (l1 + sum) | 0;
    h1 = (h1 + h6 + word(message, i + 1) + carry(sum, l6) + carry(l1, sum)) | 0;
    low = l12 ^ l1;
    high = h12 ^ h1;
    l12 = (low >>> 16) | (high << 16);
    h12 = (high >>> 16) | (low << 16);
    l11 = (l11 + l12) | 0;
    h11 = (h11 + h12 + carry(l11, l12)) | 0;
    low = l6 ^ l11;
    high = h6 ^ h11;
    l6 = (low << 1) | (high >>> 31);
    h6 = (high << 1) | (low >>> 31);
    // G of words 2, 7, 8 and 13
    i = word(places, step + 12);
    sum = (l7 + word(message, i)) | 0;
    l2 = (l2 + sum) | 0;
    h2 = (h2 + h7 + word(message, i + 1) + carry(sum, l7) + carry(l2, sum)) | 0;
    low = l13 ^ l2;
    l13 = h13 ^ h2;
    h13 = low;
    l8 = (l8 + l13) | 0;
    h8 = (h8 + h13 + carry(l8, l13)) | 0;
    low = l7 ^ l8;
    high = h7 ^ h8;
    l7 = (low >>> 24) | (high << 8);
    h7 = (high >>> 24) | (low << 8);
    i = word(places, step + 13);
    sum = (l7 + word(message, i)) | 0;
    l2 = (l2 + sum) | 0;
    h2 = (h2 + h7 + word(message, i + 1) + carry(sum, l7) + carry(l2, sum)) | 0;
    low = l13 ^ l2;
    high = h13 ^ h2;
    l13 = (low >>> 16) | (high << 16);
    h13 = (high >>> 16) | (low << 16);
    l8 = (l8 + l13) | 0;
    h8 = (h8 + h13 + carry(l8, l13)) | 0;
    low = l7 ^ l8;
    high = h7 ^ h8;
    l7 = (low << 1) | (high >>> 31);
    h7 = (high << 1) | (low >>> 31);
    // G of words 3, 4, 9 and 14
    i = word(places, step + 14);
    sum = (l4 + word(message, i)) | 0;
    l3 = (l3 + sum) | 0;
    h3 = (h3 + h4 + word(message, i + 1) + carry(sum, l4) + carry(l3, sum)) | 0;
    low = l14 ^ l3;
    l14 = h14 ^ h3;
    h14 = low;
    l9 = (l9 + l14) | 0;
    h9 = (h9 + h14 + carry(l9, l14)) | 0;
    low = l4 ^ l9;
    high = h4 ^ h9;
    l4 = (low >>> 24) | (high << 8);
    h4 = (high >>> 24) | (low << 8);
    i = word(places, step + 15);
    sum = (l4 + word(message, i)) | 0;
    l3 = (l3 + sum) | 0;
    h3 = (h3 + h4 + word(message, i + 1) + carry(sum, l4) + carry(l3, sum)) | 0;
    low = l14 ^ l3;
    high = h14 ^ h3;
    l14 = (low >>> 16) | (high << 16);
    h14 = (high >>> 16) | (low << 16);
    l9 = (l9 + l14) | 0;
    h9 = (h9 + h14 + carry(l9, l14)) | 0;
    low = l4 ^ l9;
    high = h4 ^ h9;
    l4 = (low << 1) | (high >>> 31);
    h4 = (high << 1) | (low >>> 31);
  }
  hash[0] = word(IV, 0) ^ parameters ^ l0 ^ l8;
  hash[1] = word(IV, 1) ^ h0 ^ h8;
  hash[2] = word(IV, 2) ^ l1 ^ l9;
}

// The indices are always in range.
function word(words: Int32Array | Uint8Array, i: number): number {
  return words[i] ?? 0;
}

/** The carry of a sum of two low halves, one of which was `part`. A condition would be a branch, mispredicted often. */
function carry(sum: number, part: number): number {
  return Number(sum >>> 0 < part >>> 0);
}
