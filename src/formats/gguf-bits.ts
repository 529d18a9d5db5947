// How ggml spreads the bits of its weights over bytes, and how they are gathered. All readers take 16-bit words: a block's bytes are an
// even number, so that it begins at one. All steps are on whole words: a weight at a time would take several times as long.

/** Two 16-bit words as one of 32. */
function wordAt(source: Uint16Array, at: number): number {
  return source[at]! | (source[at + 1]! << 16);
}

/**
 * `half` bytes (a multiple of 4) that hold one weight each in their low four bits, and `half` more, which follow these, in their high
 * four. Into `out`: four weights a word, the lowest bits first.
 */
export function gatherNibbles(source: Uint16Array, at: number, half: number, out: Uint16Array, to: number): void {
  const words = half >> 2;
  for (let i = 0; i < words; i++) {
    const word = wordAt(source, at + 2 * i);
    // Swap the middle two of the four nibbles in each 16 bits: then each byte is of one half.
    const paired = (word & 0xf00ff00f) | ((word & 0x00f000f0) << 4) | ((word >>> 4) & 0x00f000f0);
    out[to + i] = (paired & 0xff) | ((paired >>> 8) & 0xff00);
    out[to + words + i] = ((paired >>> 8) & 0xff) | ((paired >>> 16) & 0xff00);
  }
}

/**
 * 32 bytes that hold one weight each in bits 0 and 1, the 32 that follow these in bits 2 and 3, and so on: 128 weights of two bits. Into
 * `out`: four weights a byte, the lowest bits first.
 */
export function gatherPairs(source: Uint16Array, at: number, out: Uint8Array, to: number): void {
  for (let i = 0; i < 8; i++) {
    let word = wordAt(source, at + 2 * i);
    // Transpose the 4 × 4 pairs of bits: first inside blocks of 2 × 2, then these blocks.
    const inner = (word ^ (word >>> 6)) & 0x00cc00cc;
    word ^= inner ^ (inner << 6);
    const outer = (word ^ (word >>> 12)) & 0x0000f0f0;
    word ^= outer ^ (outer << 12);
    out[to + i] = word;
    out[to + 8 + i] = word >>> 8;
    out[to + 16 + i] = word >>> 16;
    out[to + 24 + i] = word >>> 24;
  }
}

/** Transposes the bits of four bytes in blocks of 4 × 4: half of what 8 × 8 bits take. */
function transposeHalf(word: number): number {
  const inner = (word ^ (word >>> 7)) & 0x00aa00aa;
  const pairs = word ^ inner ^ (inner << 7);
  const outer = (pairs ^ (pairs >>> 14)) & 0x0000cccc;
  return pairs ^ outer ^ (outer << 14);
}

/**
 * 32 bytes that hold one weight each in bit 0, the 32 that follow these in bit 1, and so on: 256 weights of one bit. Into `out`: eight
 * weights a byte, the lowest bit first.
 */
export function gatherBits(source: Uint16Array, at: number, out: Uint8Array, to: number): void {
  for (let i = 0; i < 4; i++) {
    const low = transposeHalf(wordAt(source, at + 4 * i));
    const high = transposeHalf(wordAt(source, at + 4 * i + 2));
    const swap = (low ^ (high << 4)) & 0xf0f0f0f0;
    const first = low ^ swap; // bits 0 to 3 of the eight bytes
    const last = high ^ (swap >>> 4);
    for (let bit = 0; bit < 4; bit++) {
      out[to + 4 * bit + i] = first >>> (8 * bit);
      out[to + 16 + 4 * bit + i] = last >>> (8 * bit);
    }
  }
}

/** 16 bits of each of two words in turn, byte by byte: those of `a` in the low bytes. */
function interleave(a: number, b: number): number {
  return (a & 0xff) | ((b & 0xff) << 8) | ((a & 0xff00) << 8) | ((b & 0xff00) << 16);
}

/** The eight scales and eight minima of six bits that Q4_K and Q5_K hold in 12 bytes. Into four words: scale and minimum in turn, a byte each. */
export function gatherScalesAndMinima(source: Uint16Array, at: number, out: Uint32Array, to: number): void {
  const scales = wordAt(source, at);
  const minima = wordAt(source, at + 2);
  const rest = wordAt(source, at + 4);
  const scales0 = scales & 0x3f3f3f3f;
  const minima0 = minima & 0x3f3f3f3f;
  const scales4 = (rest & 0x0f0f0f0f) | ((scales >>> 2) & 0x30303030);
  const minima4 = ((rest >>> 4) & 0x0f0f0f0f) | ((minima >>> 2) & 0x30303030);
  out[to] = interleave(scales0, minima0);
  out[to + 1] = interleave(scales0 >>> 16, minima0 >>> 16);
  out[to + 2] = interleave(scales4, minima4);
  out[to + 3] = interleave(scales4 >>> 16, minima4 >>> 16);
}

/** The 16 scales of six bits that Q3_K holds in 12 bytes. Into four words, a byte each. */
export function gatherScales16(source: Uint16Array, at: number, out: Uint32Array, to: number): void {
  const first = wordAt(source, at);
  const second = wordAt(source, at + 2);
  const high = wordAt(source, at + 4);
  out[to] = (first & 0x0f0f0f0f) | ((high & 0x03030303) << 4);
  out[to + 1] = (second & 0x0f0f0f0f) | ((high << 2) & 0x30303030);
  out[to + 2] = ((first >>> 4) & 0x0f0f0f0f) | (high & 0x30303030);
  out[to + 3] = ((second >>> 4) & 0x0f0f0f0f) | ((high >>> 2) & 0x30303030);
}

/** The eight scales of six bits of IQ4_XS: `high` has two bits of each, two words from `at` on the other four. Into two words, a byte each. */
export function gatherScales8(source: Uint16Array, at: number, high: number, out: Uint32Array, to: number): void {
  for (let i = 0; i < 2; i++) {
    const low = source[at + i]!;
    const upper = high >>> (8 * i);
    out[to + i] =
      (low & 0x0f) |
      ((low & 0xf0) << 4) |
      ((low & 0xf00) << 8) |
      ((low & 0xf000) << 12) |
      ((upper & 0x03) << 4) |
      ((upper & 0x0c) << 10) |
      ((upper & 0x30) << 16) |
      ((upper & 0xc0) << 22);
  }
}

/** So many 16-bit words, as they are. */
export function copyWords(source: Uint16Array, at: number, count: number, out: Uint16Array, to: number): void {
  for (let i = 0; i < count; i++) out[to + i] = source[at + i]!;
}
