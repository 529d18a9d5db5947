import type { FloatDtype } from '../../src/formats/half.ts';
import type { WeightType } from '../../src/kernels/libraries.ts';
import { dequantize, type QuantizedType } from '../reference/dequantize.ts';
import { bits, rounded, stored, uniform, type Floats, type Words } from './kernel-harness.ts';

/** Numbers in a row of activations or weights. */
export const padded = (width: number): number => Math.ceil(width / 32) * 32;

const DTYPES: Readonly<Record<Exclude<WeightType, QuantizedType>, FloatDtype>> = { f32: 'F32', f16: 'F16', bf16: 'BF16' };
export const WEIGHT_TYPES: readonly WeightType[] = ['f32', 'f16', 'bf16', 'q8', 'q4', 'q4_1'];

/** A plane of weights in the words that kernels read. */
export interface TestPlane {
  readonly words: Words;
  /** What the words stand for: (rows, padded(width)). */
  readonly values: Floats;
  /** In words of eight weights: the kernels' constant. */
  readonly scalesAt: number;
}

/** (rows, padded(width)), its padding zeros as weight loading leaves it. */
export function matrix(rows: number, width: number, size: number, seed: number): Floats {
  const values = uniform(seed)(rows * width, size);
  const out = new Float32Array(rows * padded(width));
  for (let row = 0; row < rows; row++) out.set(values.subarray(row * width, (row + 1) * width), row * padded(width));
  return out;
}

/** Weights of at most about `size` in rows of `padded(width)`, behind them rows of zeros up to a multiple of 4. */
export function planeOf(type: WeightType, rows: number, width: number, size: number, seed: number): TestPlane {
  const all = Math.ceil(rows / 4) * 4;
  if (type === 'q8' || type === 'q4' || type === 'q4_1') return quantized(type, rows, all, padded(width), size, seed);
  const values = new Float32Array(all * padded(width));
  values.set(rounded(matrix(rows, width, size, seed), DTYPES[type]));
  return { words: stored(values, DTYPES[type]), values, scalesAt: 0 };
}

/** Random levels, the lowest and the highest among them, and of each block another scale, one of them 0 and some negative. */
function quantized(type: QuantizedType, rows: number, all: number, width: number, size: number, seed: number): TestPlane {
  const random = uniform(seed);
  const perWord = type === 'q8' ? 4 : 8;
  const levels = Uint32Array.from({ length: (all * width) / perWord }, () => 0);
  levels.set(Uint32Array.from(random((rows * width) / perWord, 2 ** 31), (number) => number + 2 ** 31));
  const blocks = (rows * width) / 32;
  const most = { q8: 128, q4: 8, q4_1: 15 }[type];
  // so few bits that level * scale is exact, as q4_1 asks
  const scales = rounded(random(blocks, size / most), 'BF16');
  scales[Math.min(1, blocks - 1)] = 0;
  const minima = random(blocks, size);
  const held = type === 'q4_1' ? Array.from(scales, (scale, i) => [scale, minima[i]!]).flat() : [...scales];
  const words = new Uint32Array(levels.length + ((all * width) / 32) * (type === 'q4_1' ? 2 : 1));
  words.set(levels);
  words.set(bits(Float32Array.from(held)), levels.length);
  return { words, values: dequantize(type, words, all, width), scalesAt: (all * width) / 8 };
}
