// How ggml spreads the bits of its weights over bytes, and how they are gathered. A block may begin at any byte. All steps are on words of
// 32 bits, whose sign means nothing: a weight at a time would take several times as long.

/** Eight nibbles in turn of two: those of the first in the low 16 bits, those of the second in the high ones. */
function apart(word: number): number {
  const inner = (word ^ (word >>> 4)) & 0x00f000f0;
  const pairs = word ^ inner ^ (inner << 4);
  const outer = (pairs ^ (pairs >>> 8)) & 0x0000ff00;
  return pairs ^ outer ^ (outer << 8);
}

/**
 * `half` bytes (a multiple of 8) that hold one weight each in their low four bits, and `half` more, which follow these, in their high
 * four. Into `out`: eight weights a word, the lowest bits first.
 */
export function gatherNibbles(source: DataView, at: number, half: number, out: Int32Array, to: number): void {
  const words = half >> 3;
  for (let i = 0; i < words; i++) {
    const first = source.getInt32(at + 8 * i, true);
    const second = source.getInt32(at + 8 * i + 4, true);
    out[to + i] = apart((first & 0x0f0f0f0f) | ((second & 0x0f0f0f0f) << 4));
    out[to + words + i] = apart(((first >>> 4) & 0x0f0f0f0f) | (second & 0xf0f0f0f0));
  }
}

/** Four bytes of four weights of two bits, as they lie there, as four bytes of weights that follow each other. */
function pairsApart(word: number): number {
  // Transpose the 4 × 4 pairs of bits: first inside blocks of 2 × 2, then these blocks.
  const inner = (word ^ (word >>> 6)) & 0x00cc00cc;
  const swapped = word ^ inner ^ (inner << 6);
  const outer = (swapped ^ (swapped >>> 12)) & 0x0000f0f0;
  return swapped ^ outer ^ (outer << 12);
}

/**
 * 32 bytes that hold one weight each in bits 0 and 1, the 32 that follow these in bits 2 and 3, and so on: 128 weights of two bits. Into
 * `out`: 16 weights a word, the lowest bits first.
 */
export function gatherPairs(source: DataView, at: number, out: Int32Array, to: number): void {
  for (let i = 0; i < 2; i++) {
    const from = at + 16 * i;
    const a = pairsApart(source.getInt32(from, true));
    const b = pairsApart(source.getInt32(from + 4, true));
    const c = pairsApart(source.getInt32(from + 8, true));
    const d = pairsApart(source.getInt32(from + 12, true));
    // Byte k of each of the four is of the k-th 32 weights.
    const even = (a & 0x00ff00ff) | ((b & 0x00ff00ff) << 8);
    const odd = ((a >>> 8) & 0x00ff00ff) | (b & 0xff00ff00);
    const evenNext = (c & 0x00ff00ff) | ((d & 0x00ff00ff) << 8);
    const oddNext = ((c >>> 8) & 0x00ff00ff) | (d & 0xff00ff00);
    out[to + i] = (even & 0xffff) | (evenNext << 16);
    out[to + 2 + i] = (odd & 0xffff) | (oddNext << 16);
    out[to + 4 + i] = (even >>> 16) | (evenNext & 0xffff0000);
    out[to + 6 + i] = (odd >>> 16) | (oddNext & 0xffff0000);
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
export function gatherBits(source: DataView, at: number, out: Uint8Array, to: number): void {
  for (let i = 0; i < 4; i++) {
    const low = transposeHalf(source.getInt32(at + 8 * i, true));
    const high = transposeHalf(source.getInt32(at + 8 * i + 4, true));
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
export function gatherScalesAndMinima(source: DataView, at: number, out: Int32Array, to: number): void {
  const scales = source.getInt32(at, true);
  const minima = source.getInt32(at + 4, true);
  const rest = source.getInt32(at + 8, true);
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
export function gatherScales16(source: DataView, at: number, out: Int32Array, to: number): void {
  const first = source.getInt32(at, true);
  const second = source.getInt32(at + 4, true);
  const high = source.getInt32(at + 8, true);
  out[to] = (first & 0x0f0f0f0f) | ((high & 0x03030303) << 4);
  out[to + 1] = (second & 0x0f0f0f0f) | ((high << 2) & 0x30303030);
  out[to + 2] = ((first >>> 4) & 0x0f0f0f0f) | (high & 0x30303030);
  out[to + 3] = ((second >>> 4) & 0x0f0f0f0f) | ((high >>> 2) & 0x30303030);
}

/** The eight scales of six bits of IQ4_XS: 16 bits from `at` on have two of each, 32 behind them the other four. Into two words, a byte each. */
export function gatherScales8(source: DataView, at: number, out: Int32Array, to: number): void {
  const high = source.getUint16(at, true);
  for (let i = 0; i < 2; i++) {
    const low = source.getUint16(at + 2 + 2 * i, true);
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

/** So many words, as they are. */
export function copyWords(source: DataView, at: number, count: number, out: Int32Array, to: number): void {
  for (let i = 0; i < count; i++) out[to + i] = source.getInt32(at + 4 * i, true);
}
