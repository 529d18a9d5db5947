import type { FloatDtype } from '../../src/formats/half.ts';
import type { FloatType, WeightType } from '../../src/kernels/libraries.ts';
import { repackLayout, repackRows, rowsOfPlane } from '../../src/formats/gguf-repack.ts';
import { dequantize, type QuantizedType } from '../reference/dequantize.ts';
import { BLOCK_SIZES, dequantizeGguf } from '../reference/gguf-dequantize.ts';
import type { PlaneType } from '../reference/gguf-planes.ts';
import { bits, rounded, stored, uniform, type Floats, type Words } from './kernel-harness.ts';

/** Numbers in a row of activations or weights. */
export const padded = (width: number): number => Math.ceil(width / 32) * 32;

const DTYPES: Readonly<Record<FloatType, FloatDtype>> = { f32: 'F32', f16: 'F16', bf16: 'BF16' };

/** Types that only GGUF files have: the block's name there, and the bytes of a block where its f16 scales lie. */
const BLOCKS = {
  q5_0: { block: 'Q5_0', scales: [0] },
  q5_1: { block: 'Q5_1', scales: [0, 2] },
  q2_k: { block: 'Q2_K', scales: [80, 82] },
  q3_k: { block: 'Q3_K', scales: [108] },
  q4_k: { block: 'Q4_K', scales: [0, 2] },
  q5_k: { block: 'Q5_K', scales: [0, 2] },
  q6_k: { block: 'Q6_K', scales: [208] },
  iq4_nl: { block: 'IQ4_NL', scales: [0] },
  iq4_xs: { block: 'IQ4_XS', scales: [0] },
} as const satisfies Readonly<Record<string, { readonly block: PlaneType; readonly scales: readonly number[] }>>;

export const GGUF_TYPES = Object.keys(BLOCKS) as (keyof typeof BLOCKS)[];
export const OWN_TYPES: readonly WeightType[] = ['f32', 'f16', 'bf16', 'q8', 'q4', 'q4_1'];

/** The width that a plane of the type can have: as large or the next that is whole blocks. */
export function widthOf(type: WeightType, width: number): number {
  const isLong = type.endsWith('_k') || type === 'iq4_xs';
  return isLong ? Math.ceil(width / 256) * 256 : width;
}

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
  if (type !== 'f32' && type !== 'f16' && type !== 'bf16') return blocked(type, rows, all, padded(width), size, seed);
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

/** Random blocks as a file has them, repacked: every seventh scale is 0, of the others every second too small for a normal f16. */
function blocked(type: keyof typeof BLOCKS, rows: number, all: number, width: number, size: number, seed: number): TestPlane {
  const { block, scales } = BLOCKS[type];
  const [weights, bytes] = BLOCK_SIZES[block];
  const random = uniform(seed);
  const blocks = new Uint8Array((all * width * bytes) / weights);
  const used = (rows * width) / weights;
  blocks.set(Uint8Array.from(random(used * bytes, 128), (number) => number + 128));
  const view = new DataView(blocks.buffer);
  // what a whole block of the largest levels and integers of parts comes to
  const most = { 32: 128, 256: 4096 }[weights];
  for (const at of scales) {
    const halves = stored(random(used, size / most), 'F16');
    for (let i = 0; i < used; i++) {
      const half = (halves[i >> 1]! >>> (16 * (i & 1))) & 0xffff;
      view.setUint16(i * bytes + at, i % 7 === 6 ? 0 : i % 2 === 1 ? half & 0x83ff : half, true);
    }
  }
  const layout = repackLayout(block, all, width);
  const plane = new Uint8Array(layout.bytes);
  repackRows(block, blocks, all, width, rowsOfPlane(plane, layout, 0, all));
  const scalesAt = layout.sections.find(({ name }) => name === 'scales')!.offset / 4;
  return { words: new Uint32Array(plane.buffer), values: dequantizeGguf(block, blocks), scalesAt };
}
