import { IQ4_LEVELS } from './gguf-dequantize.ts';
import type { BlockType } from './gguf-dequantize.ts';

export type PlaneType = Exclude<BlockType, 'F32' | 'F16' | 'BF16'>;

/** The first bytes of a plane's sections. */
export interface PlaneSections {
  readonly sections: readonly { readonly name: string; readonly offset: number }[];
}

const f32 = Math.fround;
const EIGHT = [0, 1, 2, 3, 4, 5, 6, 7] as const;

/** What a kernel sees: u32 words, and nothing smaller. */
interface PlaneWords {
  /** Eight levels of 4 bits: one word. */
  nibbles(i: number): readonly number[];
  /** Eight of 2 bits: half a word of the section. */
  pairs(section: string, i: number): readonly number[];
  /** Eight of 1 bit: a byte of `high`. */
  bits(i: number): readonly number[];
  /** Byte `i` of a section. */
  byte(section: string, i: number): number;
  /** f32 `i` of the scales. */
  scale(i: number): number;
}

function wordsOf(plane: Uint8Array<ArrayBuffer>, { sections }: PlaneSections): PlaneWords {
  const words = new Uint32Array(plane.buffer, plane.byteOffset, plane.length / 4);
  const floats = new Float32Array(plane.buffer, plane.byteOffset, plane.length / 4);
  const first = (name: string): number => sections.find((section) => section.name === name)!.offset / 4;
  const byte = (section: string, i: number): number => (words[first(section) + (i >> 2)]! >>> (8 * (i & 3))) & 255;
  return {
    nibbles: (i) => EIGHT.map((k) => (words[first('values') + i]! >>> (4 * k)) & 15),
    pairs: (section, i) => EIGHT.map((k) => (words[first(section) + (i >> 1)]! >>> (16 * (i & 1) + 2 * k)) & 3),
    bits: (i) => EIGHT.map((k) => (byte('high', i) >> k) & 1),
    byte,
    scale: (i) => floats[first('scales') + i]!,
  };
}

/** low | high << shift, of each of the eight. */
function joined(low: readonly number[], high: readonly number[], shift: number): readonly number[] {
  return low.map((level, k) => level | (high[k]! << shift));
}

function signed(byte: number): number {
  return (byte << 24) >> 24;
}

/** d * level. */
function times(d: number, levels: readonly number[]): number[] {
  return levels.map((level) => f32(d * level));
}

/** d * level + m, rounded once: what a fused multiply-add gives, and what two roundings give where the product is exact. */
function timesPlus(d: number, levels: readonly number[], m: number): number[] {
  return levels.map((level) => f32(d * level + m));
}

/** Eight of a Q4_K or Q5_K: a part is 32 weights, its scale and minimum lie in half a word. */
function partedPairs(words: PlaneWords, i: number, levels: readonly number[]): number[] {
  const part = i >> 2;
  const d = f32(words.scale(2 * (i >> 5)) * words.byte('parts', 2 * part));
  const m = f32(words.scale(2 * (i >> 5) + 1) * words.byte('parts', 2 * part + 1));
  return timesPlus(d, levels, -m);
}

function minus(levels: readonly number[], zero: number): readonly number[] {
  return levels.map((level) => level - zero);
}

const LOAD: Readonly<Record<PlaneType, (words: PlaneWords, i: number) => number[]>> = {
  Q4_0: (words, i) => times(words.scale(i >> 2), minus(words.nibbles(i), 8)),
  Q4_1: (words, i) => timesPlus(words.scale(2 * (i >> 2)), words.nibbles(i), words.scale(2 * (i >> 2) + 1)),
  Q5_0: (words, i) => times(words.scale(i >> 2), minus(joined(words.nibbles(i), words.bits(i), 4), 16)),
  Q5_1: (words, i) => timesPlus(words.scale(2 * (i >> 2)), joined(words.nibbles(i), words.bits(i), 4), words.scale(2 * (i >> 2) + 1)),
  Q8_0: (words, i) =>
    times(
      words.scale(i >> 2),
      EIGHT.map((k) => signed(words.byte('values', 8 * i + k))),
    ),
  Q2_K: (words, i) => {
    const part = words.byte('parts', i >> 1);
    const d = f32(words.scale(2 * (i >> 5)) * (part & 15));
    return timesPlus(d, words.pairs('values', i), -f32(words.scale(2 * (i >> 5) + 1) * (part >> 4)));
  },
  Q3_K: (words, i) => {
    const d = f32(words.scale(i >> 5) * (words.byte('parts', i >> 1) - 32));
    return times(d, minus(joined(words.pairs('values', i), words.bits(i), 2), 4));
  },
  Q4_K: (words, i) => partedPairs(words, i, words.nibbles(i)),
  Q5_K: (words, i) => partedPairs(words, i, joined(words.nibbles(i), words.bits(i), 4)),
  Q6_K: (words, i) => {
    const d = f32(words.scale(i >> 5) * signed(words.byte('parts', i >> 1)));
    return times(d, minus(joined(words.nibbles(i), words.pairs('high', i), 4), 32));
  },
  IQ4_NL: (words, i) =>
    times(
      words.scale(i >> 2),
      words.nibbles(i).map((level) => IQ4_LEVELS[level]!),
    ),
  IQ4_XS: (words, i) => {
    const d = f32(words.scale(i >> 5) * (words.byte('parts', i >> 2) - 32));
    return times(
      d,
      words.nibbles(i).map((level) => IQ4_LEVELS[level]!),
    );
  },
};

/**
 * Weights 8 i to 8 i + 7 of a plane, counted over its rows one after the other. A plane of `layout` holds, section behind section, each at
 * a whole word: low bits of all weights, high bits, integers that scale parts of a block, f32 scales.
 */
export function loadEight(plane: Uint8Array<ArrayBuffer>, type: PlaneType, layout: PlaneSections, i: number): number[] {
  return LOAD[type](wordsOf(plane, layout), i);
}
