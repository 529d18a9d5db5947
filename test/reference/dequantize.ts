/** Quantised types by their definitions. Each block of 32 numbers of a row has a scale of its own. */
export type QuantizedType = 'q8' | 'q4' | 'q4_1';

/**
 * A plane's words as f32 numbers (rows, width), width a multiple of 32. The levels of all rows come first, then the scales of all rows:
 * q8: level * scale, a level is a signed byte, four to a word, the lowest byte first.
 * q4: (level - 8) * scale, eight levels to a word, the lowest bits first.
 * q4_1: level * scale + minimum, the levels as q4's; scale and minimum of a block lie next to each other.
 */
export function dequantize(type: QuantizedType, words: Uint32Array, rows: number, width: number): Float32Array<ArrayBuffer> {
  const perWord = type === 'q8' ? 4 : 8;
  const scalesAt = (rows * width) / perWord;
  const scales = new Float32Array(words.slice(scalesAt).buffer);
  const out = new Float32Array(rows * width);
  for (let i = 0; i < out.length; i++) {
    const word = words[Math.floor(i / perWord)]!;
    const block = Math.floor(i / 32);
    if (type === 'q8') {
      out[i] = ((word << (24 - 8 * (i % 4))) >> 24) * scales[block]!;
      continue;
    }
    const level = (word >>> (4 * (i % 8))) & 15;
    out[i] = type === 'q4' ? (level - 8) * scales[block]! : Math.fround(level * scales[2 * block]!) + scales[2 * block + 1]!;
  }
  return out;
}
