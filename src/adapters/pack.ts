import { WebLoraError } from '../errors.ts';
import type { Slices } from '../slices.ts';
import { asF16, asF32, countOf, exponentOf, transpose } from './numbers.ts';
import type { StoredNumbers } from './numbers.ts';
import type { PackedLayer, PackedMatrix } from './sites.ts';

/** A low-rank pair with its numbers. */
export interface LoraMatrices {
  /** Index into `SiteTable.sites`. */
  readonly site: number;
  readonly rank: number;
  readonly scale: number;
  /** (rank, inWidth), row-major. */
  readonly a: StoredNumbers;
  /** (outWidth, rank), row-major. */
  readonly b: StoredNumbers;
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

/** Where a pair lies in its layer: offsets in bytes, lengths in numbers. */
interface Place {
  readonly pair: LoraMatrices;
  readonly byteOffsetA: number;
  readonly byteOffsetB: number;
  readonly lengthA: number;
  readonly lengthB: number;
}

function align(byteOffset: number): number {
  return Math.ceil(byteOffset / ALIGNMENT) * ALIGNMENT;
}

/** Places for all pairs one behind another, and the bytes that they take. */
function lay(pairs: readonly LoraMatrices[], numberBytes: number): { readonly places: readonly Place[]; readonly byteLength: number } {
  let byteLength = 0;
  const places = pairs.map((pair) => {
    const rank4 = roundRank(pair.rank);
    const [lengthA, lengthB] = [(countOf(pair.a) / pair.rank) * rank4, (countOf(pair.b) / pair.rank) * rank4];
    const byteOffsetA = align(byteLength);
    const byteOffsetB = align(byteOffsetA + lengthA * numberBytes);
    byteLength = byteOffsetB + lengthB * numberBytes;
    return { pair, byteOffsetA, byteOffsetB, lengthA, lengthB };
  });
  return { places, byteLength };
}

/** Writes a pair to its place; returns the powers of two that were multiplied into A and B together. */
async function writePair(place: Place, buffer: ArrayBuffer, precision: 'exact' | 'half', slices: Slices): Promise<number> {
  const { pair, byteOffsetA, byteOffsetB, lengthA, lengthB } = place;
  const { rank, a, b } = pair;
  const [inWidth, outWidth] = [countOf(a) / rank, countOf(b) / rank];
  if (precision === 'exact') {
    await transpose(await asF32(a, slices), inWidth, new Uint32Array(buffer, byteOffsetA, lengthA), roundRank(rank), slices);
    await transpose(await asF32(b, slices), rank, new Uint32Array(buffer, byteOffsetB, lengthB), outWidth, slices);
    return 0;
  }
  const [powerA, powerB] = choosePowers(await exponentOf(a, slices), await exponentOf(b, slices), pair.scale);
  await transpose(await asF16(a, powerA, slices), inWidth, new Uint16Array(buffer, byteOffsetA, lengthA), roundRank(rank), slices);
  await transpose(await asF16(b, powerB, slices), rank, new Uint16Array(buffer, byteOffsetB, lengthB), outWidth, slices);
  return powerA + powerB;
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
 * @param slices asked every few thousand numbers.
 */
export async function packLayer(pairs: readonly LoraMatrices[], precision: 'exact' | 'half', slices: Slices): Promise<PackedLayer> {
  const numberBytes = precision === 'exact' ? 4 : 2;
  const { places, byteLength } = lay(pairs, numberBytes);
  const buffer = new ArrayBuffer(byteLength); // whole words: ranks are padded to multiples of 4
  const matrices: PackedMatrix[] = [];
  for (const place of places) {
    const { site, rank, scale } = place.pair;
    const power = await writePair(place, buffer, precision, slices);
    matrices.push({
      site,
      offsetA: place.byteOffsetA / (4 * numberBytes),
      offsetB: place.byteOffsetB / (4 * numberBytes),
      rank4: roundRank(rank),
      scale: scale * 2 ** -power,
    });
  }
  return { words: new Uint32Array(buffer), matrices, norms: [] };
}
