import { WebLoraError } from '../errors.ts';
import type { Slices } from '../slices.ts';
import { asF16, asF32, countOf, exponentOf, transpose } from './numbers.ts';
import type { StoredNumbers } from './numbers.ts';
import { quadWidth } from './sites.ts';
import type { PackedLayer, PackedMatrix, PackedNorm } from './sites.ts';

/** A low-rank pair with its numbers. */
export interface LoraMatrices {
  readonly rank: number;
  readonly scale: number;
  /** (rank, inWidth), row-major. */
  readonly a: StoredNumbers;
  /** (outWidth, rank), row-major. */
  readonly b: StoredNumbers;
}

/** What an adapter does to one linear layer, with its numbers; the vectors have one for each output. */
export interface SiteNumbers {
  /** Index into `SiteTable.sites` or `SiteTable.outer`. */
  readonly site: number;
  readonly pair: LoraMatrices | undefined;
  readonly magnitude: StoredNumbers | undefined;
  readonly bias: StoredNumbers | undefined;
}

export interface NormNumbers {
  /** Index into `SiteTable.norms`. */
  readonly norm: number;
  readonly weights: StoredNumbers;
  /** What is added to each. */
  readonly offset: number;
}

/** All that lies in one block: sorted by place, finite. */
export interface BlockNumbers {
  readonly sites: readonly SiteNumbers[];
  readonly norms: readonly NormNumbers[];
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

/**
 * Powers of two for A and B, whose numbers lie below 2^boundA and 2^boundB (undefined: all are zero): each near f16's upper end, together
 * not more than the scale can give back as a normal f32.
 */
function choosePowers(boundA: number | undefined, boundB: number | undefined, scale: number): readonly [number, number] {
  const powerA = boundA === undefined ? 0 : TOP_EXPONENT - boundA;
  const powerB = boundB === undefined ? 0 : TOP_EXPONENT - boundB;
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

function align(byteOffset: number): number {
  return Math.ceil(byteOffset / ALIGNMENT) * ALIGNMENT;
}

/** Where the parts of a site lie in its block, in bytes; undefined for what it has not. */
interface Place {
  readonly numbers: SiteNumbers;
  readonly a: number;
  readonly b: number;
  readonly magnitude: number | undefined;
  readonly bias: number | undefined;
}

/** Places for all parts one behind another, and the bytes that they take. */
function lay({ sites, norms }: BlockNumbers, numberBytes: number) {
  let byteLength = 0;
  const take = (bytes: number): number => {
    const at = align(byteLength);
    byteLength = at + bytes;
    return at;
  };
  const takeVector = (numbers: StoredNumbers | undefined): number | undefined => numbers && take(countOf(numbers) * 4);
  const places = sites.map((numbers): Place => {
    const { pair, magnitude, bias } = numbers;
    const widthOf = (matrix: StoredNumbers): number => countOf(matrix) / pair!.rank;
    const takeMatrix = (width: number): number => take(width * roundRank(pair!.rank) * numberBytes);
    const [a, b] = pair ? [takeMatrix(widthOf(pair.a)), takeMatrix(quadWidth(widthOf(pair.b)))] : [0, 0];
    return { numbers, a, b, magnitude: takeVector(magnitude), bias: takeVector(bias) };
  });
  const normPlaces = norms.map((numbers) => ({ numbers, at: take(countOf(numbers.weights) * 4) }));
  return { places, normPlaces, byteLength };
}

/** Writes a pair to its place; returns the powers of two that were multiplied into A and B together. */
async function writePair(
  pair: LoraMatrices,
  { a: atA, b: atB }: Place,
  buffer: ArrayBuffer,
  precision: 'exact' | 'half',
  slices: Slices,
): Promise<number> {
  const { rank, a, b } = pair;
  const rank4 = roundRank(rank);
  const [inWidth, outWidth] = [countOf(a) / rank, quadWidth(countOf(b) / rank)];
  if (precision === 'exact') {
    await transpose(await asF32(a, slices), inWidth, new Uint32Array(buffer, atA, inWidth * rank4), rank4, slices);
    await transpose(await asF32(b, slices), rank, new Uint32Array(buffer, atB, rank4 * outWidth), outWidth, slices);
    return 0;
  }
  const [powerA, powerB] = choosePowers(await exponentOf(a, slices), await exponentOf(b, slices), pair.scale);
  await transpose(await asF16(a, powerA, slices), inWidth, new Uint16Array(buffer, atA, inWidth * rank4), rank4, slices);
  await transpose(await asF16(b, powerB, slices), rank, new Uint16Array(buffer, atB, rank4 * outWidth), outWidth, slices);
  return powerA + powerB;
}

/** Writes a vector as f32, with `offset` added to each of its numbers. */
async function writeVector(numbers: StoredNumbers, at: number, offset: number, buffer: ArrayBuffer, slices: Slices): Promise<void> {
  const words = await asF32(numbers, slices);
  const out = new Float32Array(buffer, at, words.length);
  out.set(new Float32Array(words.buffer, words.byteOffset, words.length));
  if (offset !== 0) for (let i = 0; i < out.length; i++) out[i] = out[i]! + offset;
}

/** Writes all parts of a site; returns where they are. */
async function writeSite(place: Place, buffer: ArrayBuffer, precision: 'exact' | 'half', slices: Slices): Promise<PackedMatrix> {
  const { site, pair, magnitude, bias } = place.numbers;
  const power = pair ? await writePair(pair, place, buffer, precision, slices) : 0;
  if (magnitude) await writeVector(magnitude, place.magnitude!, 0, buffer, slices);
  if (bias) await writeVector(bias, place.bias!, 0, buffer, slices);
  const quadBytes = precision === 'exact' ? 16 : 8;
  return {
    site,
    offsetA: place.a / quadBytes,
    offsetB: place.b / quadBytes,
    rank4: pair ? roundRank(pair.rank) : 0,
    scale: pair ? pair.scale * 2 ** -power : 0,
    ...(place.magnitude !== undefined && { offsetMagnitude: place.magnitude / 4 }),
    ...(place.bias !== undefined && { offsetBias: place.bias / 4 }),
  };
}

/**
 * One decoder layer's part of an adapter as it lies in the pool, or what it has outside the layers: for each site A as
 * [inWidth][rank4], then B as [rank4][quadWidth(outWidth)], the rest zeros, then DoRA's magnitudes and the bias; then the norms. Each
 * starts at a multiple of 256 bytes.
 *
 * `exact`: A and B are f32, one number a word. `half`: f16, two numbers a word, the first in the low bits; there each matrix is multiplied
 * with a power of two that brings it near f16's upper end, since real GPUs may flush f16 below 2^-14 to zero; `scale` takes the powers out
 * again and stays a normal f32. Vectors are f32 in both.
 *
 * Throws `adapter_setting` in `half` for matrices so large that no f32 scale brings them back.
 *
 * @param slices asked every few thousand numbers.
 */
export async function packLayer(numbers: BlockNumbers, precision: 'exact' | 'half', slices: Slices): Promise<PackedLayer> {
  const { places, normPlaces, byteLength } = lay(numbers, precision === 'exact' ? 4 : 2);
  const buffer = new ArrayBuffer(byteLength); // whole words: ranks are padded to multiples of 4
  const matrices: PackedMatrix[] = [];
  for (const place of places) matrices.push(await writeSite(place, buffer, precision, slices));
  const norms: PackedNorm[] = [];
  for (const { numbers: norm, at } of normPlaces) {
    await writeVector(norm.weights, at, norm.offset, buffer, slices);
    norms.push({ norm: norm.norm, offset: at / 4 });
  }
  return { words: new Uint32Array(buffer), matrices, norms };
}
