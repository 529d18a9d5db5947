import type { QuantizedType } from '../kernels/libraries.ts';
import { createSlices } from '../slices.ts';

/** Numbers of a row that share a scale. */
const BLOCK = 32;

/** Some milliseconds' worth. */
const PIECE = 1 << 16;

/** Whole rows as their plane holds them, the last block of each filled up with zeros. */
export interface QuantizedRows {
  readonly rows: number;
  /** Levels in the order of the row: q8 an i8 each, q4 and q4_1 two a byte, the lower half first. */
  readonly values: Uint8Array<ArrayBuffer>;
  /** f32, one a block; q4_1: scale and minimum in turn. */
  readonly scales: Uint8Array<ArrayBuffer>;
}

/** Weights beyond would not leave room for the steps around them in f32. */
export const LARGEST_QUANTIZED = 2 ** 120;

/**
 * With smaller scales weights come near f32's subnormal numbers, which some GPUs take for zero. Weights under half of it become zeros:
 * nothing that a network computes in f32 shows it.
 */
const SMALLEST_SCALE = 2 ** -100;

/** Levels at which the largest weight of a block is tried, from which q4's scales are taken. */
const Q4_CANDIDATES: readonly number[] = [7, 7.5, 8, 8.5];
/** For q4_1: levels at which the lowest and the highest weight of a block are tried, beside the ends also half a step beyond one of them. */
const Q4_1_CANDIDATES: readonly (readonly [number, number])[] = [
  [0, 15],
  [-0.5, 15],
  [0, 15.5],
];

/** `weight ≈ level * scale + minimum`; written over from block to block. */
interface Fit {
  scale: number;
  minimum: number;
}

/**
 * Quantises numbers `[rows, width]` some rows at a time, each handed on with the number of its first row; the thread is given up in between.
 */
export async function quantizeSlices(
  type: QuantizedType,
  numbers: Float32Array,
  width: number,
  write: (row: number, quantized: QuantizedRows) => void,
): Promise<void> {
  const slices = createSlices();
  const rows = numbers.length / width;
  const step = Math.max(1, Math.floor(PIECE / width));
  for (let row = 0; row < rows; row += step) {
    await slices.pause();
    const count = Math.min(step, rows - row);
    write(row, quantizeRows(type, numbers.subarray(row * width, (row + count) * width), count, width));
  }
}

/**
 * Numbers `[rows, width]`, all finite and at most `LARGEST_QUANTIZED`, as a plane of `type` holds them. Each gets the level nearest to it,
 * halves upwards; a block of zeros has scale 0.
 *
 * q8 puts the largest magnitude of a block at level 127. For q4 and q4_1 a few roundings are tried, for each the scale (and minimum) of
 * least squared error computed, and the best of them taken: the search of llama.cpp (`make_qx_quants` and `make_qkx2_quants` in its
 * ggml-quants.c), with fewer candidates and all weights alike.
 */
export function quantizeRows(type: QuantizedType, numbers: Float32Array, rows: number, width: number): QuantizedRows {
  const perRow = Math.ceil(width / BLOCK);
  const perBlock = type === 'q4_1' ? 2 : 1;
  const values = new Uint8Array((rows * perRow * BLOCK) / (type === 'q8' ? 1 : 2));
  const scales = new Float32Array(rows * perRow * perBlock);
  const block = new Float64Array(BLOCK);
  const fit: Fit = { scale: 0, minimum: 0 };
  for (let at = 0; at < rows * perRow; at++) {
    const start = (at % perRow) * BLOCK;
    const count = Math.min(BLOCK, width - start);
    const from = Math.floor(at / perRow) * width + start;
    for (let i = 0; i < BLOCK; i++) block[i] = i < count ? numbers[from + i]! : 0;
    if (type === 'q8') {
      fit.scale = usable(Math.fround(Math.abs(extremeOf(block)) / 127));
      writeBytes(block, fit.scale, values, at * BLOCK);
    } else {
      // what fills up a short block stays exactly zero, which has a level of its own in q4 alone
      if (type === 'q4' || count < BLOCK) fitSymmetric(block, fit);
      else fitAffine(block, fit);
      writeNibbles(block, fit, type, values, at * (BLOCK / 2));
    }
    scales[at * perBlock] = fit.scale;
    if (type === 'q4_1') scales[at * 2 + 1] = fit.minimum;
  }
  return { rows, values, scales: new Uint8Array(scales.buffer) };
}

/** The number of a block with the largest magnitude. */
function extremeOf(block: Float64Array): number {
  let extreme = 0;
  for (let i = 0; i < BLOCK; i++) {
    if (Math.abs(block[i]!) > Math.abs(extreme)) extreme = block[i]!;
  }
  return extreme;
}

/** The scale and, below it by 8 steps, the minimum that fit a block whose zero stays zero. */
function fitSymmetric(block: Float64Array, fit: Fit): void {
  const extreme = extremeOf(block);
  let bestProduct = 0;
  let bestSquares = 1;
  for (const levels of extreme === 0 ? [] : Q4_CANDIDATES) {
    const inverse = -levels / extreme; // there is one level more below zero than above: the extreme gets it
    let product = 0;
    let squares = 0;
    for (let i = 0; i < BLOCK; i++) {
      const level = Math.min(Math.floor(block[i]! * inverse + 0.5), 7);
      const held = level < -8 ? -8 : level;
      product += block[i]! * held;
      squares += held * held;
    }
    // with its best scale, product / squares, a rounding takes product² / squares from the squared error
    if (product * product * bestSquares <= bestProduct * bestProduct * squares) continue;
    bestProduct = product;
    bestSquares = squares;
  }
  fit.scale = usable(short(bestProduct / bestSquares));
  fit.minimum = -8 * fit.scale;
}

/** The scale and the minimum that fit a block best. */
function fitAffine(block: Float64Array, fit: Fit): void {
  let low = block[0]!;
  let high = low;
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) {
    const weight = block[i]!;
    if (weight < low) low = weight;
    if (weight > high) high = weight;
    sum += weight;
  }
  let best = -Infinity;
  fit.scale = 0;
  fit.minimum = low;
  for (const [lowest, highest] of high === low ? [] : Q4_1_CANDIDATES) {
    const inverse = (highest - lowest) / (high - low);
    const offset = lowest + 0.5;
    let levels = 0;
    let squares = 0;
    let product = 0;
    for (let i = 0; i < BLOCK; i++) {
      const level = Math.max(0, Math.min(Math.floor((block[i]! - low) * inverse + offset), 15));
      levels += level;
      squares += level * level;
      product += level * block[i]!;
    }
    const scale = (BLOCK * product - sum * levels) / (BLOCK * squares - levels * levels);
    const minimum = (sum - scale * levels) / BLOCK;
    const gain = scale * product + minimum * sum;
    if (gain <= best) continue;
    best = gain;
    fit.scale = usable(short(scale));
    fit.minimum = minimum;
  }
  fit.minimum = Math.abs(fit.minimum) < SMALLEST_SCALE / 2 ? 0 : Math.fround(fit.minimum);
}

/** 0, or a scale that is not too small. */
function usable(scale: number): number {
  if (scale === 0) return 0;
  return scale < 0 ? Math.min(scale, -SMALLEST_SCALE) : Math.max(scale, SMALLEST_SCALE);
}

const one = new Float32Array(1);
const bitsOfOne = new Uint32Array(one.buffer);

/** A number of 20 significant bits: times a level it is exact in f32, with the minimum added fused or not. */
function short(number: number): number {
  one[0] = number;
  bitsOfOne[0] = (bitsOfOne[0]! + 8) & ~15;
  return one[0]!;
}

function writeBytes(block: Float64Array, scale: number, values: Uint8Array, at: number): void {
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let i = 0; i < BLOCK; i++) values[at + i] = Math.floor(block[i]! * inverse + 0.5) & 255;
}

function writeNibbles(block: Float64Array, { scale, minimum }: Fit, type: 'q4' | 'q4_1', values: Uint8Array, at: number): void {
  const inverse = scale === 0 ? 0 : 1 / scale;
  const offset = 0.5 + (type === 'q4' ? 8 : -minimum * inverse);
  for (let i = 0; i < BLOCK; i += 2) {
    const low = Math.floor(block[i]! * inverse + offset);
    const high = Math.floor(block[i + 1]! * inverse + offset);
    values[at + i / 2] = nibble(low) | (nibble(high) << 4);
  }
}

function nibble(level: number): number {
  return level < 0 ? 0 : level > 15 ? 15 : level;
}
