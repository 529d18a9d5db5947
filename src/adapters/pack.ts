import { WebLoraError } from '../errors.ts';
import { toF16 } from '../formats/half.ts';
import type { PackedLayer, PackedMatrix } from './sites.ts';

/** A low-rank pair with its numbers. */
export interface LoraMatrices {
  /** Index into `SiteTable.sites`. */
  readonly site: number;
  readonly rank: number;
  readonly scale: number;
  /** (rank, inWidth), row-major. */
  readonly a: Float32Array<ArrayBuffer>;
  /** (outWidth, rank), row-major. */
  readonly b: Float32Array<ArrayBuffer>;
}

/** Every matrix starts at a multiple of this many bytes. */
const ALIGNMENT = 256;

/** The largest magnitude of a matrix in half precision is brought to between 2^13 and 2^14. */
const TOP_EXPONENT = 14;

/** Smallest and largest exponents of a scale: normal f32 numbers. */
const SMALLEST_SCALE = -125;
const LARGEST_SCALE = 126;

/** Rank rounded up to a multiple of 4. */
export function roundRank(rank: number): number {
  return Math.ceil(rank / 4) * 4;
}

/** (rows, columns) row-major → [columns][width], the columns beyond `rows` zero. */
function transpose(values: Float32Array<ArrayBuffer>, rows: number, columns: number, width: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(columns * width);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) out[column * width + row] = values[row * columns + column]!;
  }
  return out;
}

/** (outWidth, rank) row-major → [rank4][outWidth], the rows beyond `rank` zero. */
function transposeRows(values: Float32Array<ArrayBuffer>, outWidth: number, rank: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(roundRank(rank) * outWidth);
  for (let row = 0; row < outWidth; row++) {
    for (let inner = 0; inner < rank; inner++) out[inner * outWidth + row] = values[row * rank + inner]!;
  }
  return out;
}

/** Smallest e with |x| < 2^e for every value; undefined where all are zero. */
function exponent(values: Float32Array<ArrayBuffer>): number | undefined {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  if (largest === 0) return undefined;
  let bound = Math.ceil(Math.log2(largest));
  while (largest >= 2 ** bound) bound++; // log2 may be off by a hair at powers of two
  while (largest < 2 ** (bound - 1)) bound--;
  return bound;
}

function shift(values: Float32Array<ArrayBuffer>, power: number): Float32Array<ArrayBuffer> {
  const factor = 2 ** power;
  return power === 0 ? values : values.map((value) => value * factor);
}

/** Powers of two for A and B: each near f16's upper end, together not more than the scale can give back as a normal f32. */
function choosePowers(a: Float32Array<ArrayBuffer>, b: Float32Array<ArrayBuffer>, scale: number): readonly [number, number] {
  const bounds = [exponent(a), exponent(b)] as const;
  const [powerA, powerB] = bounds.map((bound) => (bound === undefined ? 0 : TOP_EXPONENT - bound)) as [number, number];
  if (scale === 0) return [powerA, powerB];
  const scaleExponent = Math.floor(Math.log2(Math.abs(scale)));
  const sum = powerA + powerB;
  const allowed = Math.min(Math.max(sum, scaleExponent - LARGEST_SCALE), scaleExponent - SMALLEST_SCALE);
  if (allowed === sum) return [powerA, powerB];
  if (allowed - sum > 2) {
    throw new WebLoraError('adapter_setting', 'Two matrices of the adapter have a product beyond float32; it was not trained well.');
  }
  // A product next to nothing: both give up precision alike.
  const first = powerA + Math.trunc((allowed - sum) / 2);
  return [first, allowed - first];
}

/** Words of one layer in the making. */
interface Block {
  readonly parts: { readonly byteOffset: number; readonly bytes: Uint8Array<ArrayBuffer> }[];
  byteLength: number;
}

/** Appends a matrix at the next aligned place; returns its offset in quads of numbers. */
function append(block: Block, values: Float32Array<ArrayBuffer>, precision: 'exact' | 'half'): number {
  const numbers = precision === 'exact' ? values : toF16(values);
  const byteOffset = Math.ceil(block.byteLength / ALIGNMENT) * ALIGNMENT;
  block.parts.push({ byteOffset, bytes: new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength) });
  block.byteLength = byteOffset + numbers.byteLength;
  return byteOffset / (4 * numbers.BYTES_PER_ELEMENT);
}

/**
 * One decoder layer's pairs as they lie in the pool: for each pair A as [inWidth][rank4], then B as [rank4][outWidth], the rank padded
 * with zeros, each matrix at a multiple of 256 bytes.
 *
 * `exact`: f32, one number a word. `half`: f16, two numbers a word, the first in the low bits; there each matrix is multiplied with a
 * power of two that brings it near f16's upper end, since real GPUs may flush f16 below 2^-14 to zero; `scale` takes the powers out
 * again and stays a normal f32.
 *
 * Throws `adapter_setting` in `half` for matrices so large that no f32 scale brings them back.
 *
 * @param pairs finite numbers, sorted by site.
 */
export function packLayer(pairs: readonly LoraMatrices[], precision: 'exact' | 'half'): PackedLayer {
  const block: Block = { parts: [], byteLength: 0 };
  const matrices: PackedMatrix[] = [];
  for (const { site, rank, scale, a, b } of pairs) {
    const rank4 = roundRank(rank);
    const [powerA, powerB] = precision === 'half' ? choosePowers(a, b, scale) : [0, 0];
    const inWidth = a.length / rank;
    const outWidth = b.length / rank;
    const offsetA = append(block, transpose(shift(a, powerA), rank, inWidth, rank4), precision);
    const offsetB = append(block, transposeRows(shift(b, powerB), outWidth, rank), precision);
    matrices.push({ site, offsetA, offsetB, rank4, scale: scale * 2 ** -(powerA + powerB) });
  }
  const bytes = new Uint8Array(Math.ceil(block.byteLength / 4) * 4);
  for (const part of block.parts) bytes.set(part.bytes, part.byteOffset);
  return { words: new Uint32Array(bytes.buffer), matrices };
}
