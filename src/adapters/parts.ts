import { WebLoraError } from '../errors.ts';
import { isFloatDtype, type FloatDtype } from '../formats/half.ts';
import type { Slices } from '../slices.ts';
import { siteAt, siteName } from './modules.ts';
import { transposed } from './numbers.ts';
import type { StoredNumbers } from './numbers.ts';
import type { SiteTable } from './sites.ts';

/** A range of a file's bytes with a name for messages. */
export interface Range {
  readonly name: string;
  readonly file: string;
  /** From the beginning of the file, end exclusive. */
  readonly start: number;
  readonly end: number;
}

/** A tensor of an adapter's file: what it holds once its bytes are decoded. */
export interface AdapterTensor extends Range {
  readonly dtype: FloatDtype;
  /** Row-major, outermost first. */
  readonly shape: readonly number[];
  /** Makes little-endian numbers of `dtype` in `shape` of the file's bytes; absent where these are that already. */
  readonly decode?: (bytes: Uint8Array<ArrayBuffer>, slices: Slices) => Promise<Uint8Array<ArrayBuffer>>;
}

/** Rows of a tensor: all of them, or those of one site where a checkpoint fuses several. Of a vector a row is one number. */
export interface Rows {
  readonly tensor: AdapterTensor;
  readonly first: number;
  readonly count: number;
}

/** A low-rank pair and the place where it works. A is (rank, inWidth), B is (outWidth, rank). */
export interface PairPart {
  /** A decoder layer; `SiteTable.layers` for `SiteTable.outer`. */
  readonly block: number;
  readonly place: number;
  readonly rank: number;
  /** What B·A is multiplied with. */
  readonly scale: number;
  readonly a: Rows;
  readonly b: Rows;
  /** (outWidth) */
  readonly magnitude: Rows | undefined;
}

/** A vector that takes the place of the base's: a bias of `SiteTable.sites`, or a norm. */
export interface VectorPart {
  readonly block: number;
  readonly place: number;
  readonly rows: Rows;
  /** What is added to its numbers. */
  readonly offset: number;
}

/** A matrix (vocabulary, hidden) that takes the place of the base's. */
export interface WholePart {
  /** Whose: `OUTER.embedding`, `OUTER.head`, or both. */
  readonly places: readonly number[];
  readonly tensor: AdapterTensor;
}

/** Everything that an adapter holds, checked by names and shapes; no tensor was read. */
export interface AdapterParts {
  readonly pairs: readonly PairPart[];
  readonly biases: readonly VectorPart[];
  readonly norms: readonly VectorPart[];
  readonly whole: readonly WholePart[];
}

/** All rows of a tensor. */
export function allRows(tensor: AdapterTensor): Rows {
  return { tensor, first: 0, count: tensor.shape[0]! };
}

/** What a decoder makes of a tensor's numbers once they are decoded otherwise. */
export function decoded(
  tensor: AdapterTensor,
  shape: readonly number[],
  next: (numbers: StoredNumbers, slices: Slices) => Promise<Uint8Array<ArrayBuffer>>,
): AdapterTensor {
  const { dtype, decode } = tensor;
  return {
    ...tensor,
    shape,
    decode: async (bytes, slices) => next({ bytes: decode ? await decode(bytes, slices) : bytes, dtype }, slices),
  };
}

/** A matrix with rows and columns changed. */
export function turned(tensor: AdapterTensor): AdapterTensor {
  const [rows, columns] = tensor.shape as [number, number];
  return decoded(tensor, [columns, rows], (numbers, slices) => transposed(numbers, columns, slices));
}

/** Throws `tensor_dtype` for numbers that are not read. */
export function floatDtype({ name, dtype }: { readonly name: string; readonly dtype: string }, location: string): FloatDtype {
  if (isFloatDtype(dtype)) return dtype;
  throw new WebLoraError('tensor_dtype', `${location}: ${name} is ${dtype}; adapters may be F32, F16 or BF16.`);
}

/** Throws `tensor_shape` for any other shape. */
export function checkShape({ name, shape }: AdapterTensor, expected: readonly number[], location: string): void {
  if (shape.join() === expected.join()) return;
  throw new WebLoraError(
    'tensor_shape',
    `${location}: ${name} has the shape [${shape}], but this model needs [${expected}]; the adapter is for another base.`,
  );
}

function checkWidth({ name, shape }: AdapterTensor, dimension: 0 | 1, width: number, location: string): void {
  if (shape.length !== 2) {
    throw new WebLoraError('tensor_shape', `${location}: ${name} has the shape [${shape}]; it must have two dimensions.`);
  }
  if (shape[dimension] === width) return;
  const expected = dimension === 0 ? `[${width}, rank]` : `[rank, ${width}]`;
  throw new WebLoraError(
    'tensor_shape',
    `${location}: ${name} has the shape [${shape}], but this model needs ${expected}; the adapter is for another base.`,
  );
}

function checkRank(a: AdapterTensor, b: AdapterTensor, expected: number | undefined, location: string): void {
  const [rank] = a.shape;
  const wrong = (why: string): WebLoraError => new WebLoraError('adapter_rank', `${location}: ${a.name} [${a.shape}] ${why}.`);
  if (rank === 0) throw wrong('has rank 0');
  if (b.shape[1] !== rank) throw wrong(`and ${b.name} [${b.shape}] differ in rank: the first of one must be the second of the other`);
  if (expected !== undefined && rank !== expected) throw wrong(`has rank ${rank}, but adapter_config.json says ${expected}`);
}

function checkScale(scale: number, name: string, location: string): void {
  const size = Math.abs(scale);
  if (size === 0 || (size >= 2 ** -126 && size <= 2 ** 127)) return;
  throw new WebLoraError(
    'adapter_setting',
    `${location}: lora_alpha and the rank give ${name} the scale ${scale}, which no float32 holds.`,
  );
}

/** A low-rank pair as a file has it: of one linear layer, or of several that it fuses. */
export interface StoredPair {
  readonly name: string;
  readonly block: number;
  readonly places: readonly number[];
  readonly a: AdapterTensor;
  readonly b: AdapterTensor;
  readonly magnitude: AdapterTensor | undefined;
  readonly scale: number;
  /** What the config says; undefined where only the shapes tell. */
  readonly rank: number | undefined;
}

/**
 * Checks a pair and gives each linear layer its own: A is the same for all, B's rows and the magnitudes are cut.
 * Throws `tensor_shape`, `adapter_rank`, `adapter_setting`.
 */
export function cutPair(pair: StoredPair, table: SiteTable, location: string): readonly PairPart[] {
  const { name, block, places, a, b, magnitude, scale } = pair;
  const sites = places.map((place) => siteAt(table, block, place));
  const outWidth = sites.reduce((sum, site) => sum + site.outWidth, 0);
  checkWidth(a, 1, sites[0]!.inWidth, location);
  checkWidth(b, 0, outWidth, location);
  checkRank(a, b, pair.rank, location);
  if (magnitude) checkShape(magnitude, [outWidth], location);
  checkScale(scale, name, location);
  return cut(places, sites).map(({ place, first, count }) => ({
    ...{ block, place, scale },
    rank: a.shape[0]!,
    a: allRows(a),
    b: { tensor: b, first, count },
    magnitude: magnitude && { tensor: magnitude, first, count },
  }));
}

/** A bias as a file has it: each linear layer's part. Throws `tensor_shape`, and `adapter_target` where the base has none. */
export function cutBias(
  tensor: AdapterTensor,
  { block, places }: { readonly block: number; readonly places: readonly number[] },
  table: SiteTable,
  location: string,
): readonly VectorPart[] {
  const sites = places.map((place) => siteAt(table, block, place));
  const bare = places.find((_, i) => sites[i]!.bias === 'no');
  if (bare !== undefined) {
    const message = `${location}: ${tensor.name} is a bias of ${siteName(table, block, bare)}, which has none in this model`;
    throw new WebLoraError('adapter_target', `${message}; the adapter is for another base.`);
  }
  const outWidth = sites.reduce((sum, site) => sum + site.outWidth, 0);
  checkShape(tensor, [outWidth], location);
  return cut(places, sites).map(({ place, first, count }) => ({ block, place, rows: { tensor, first, count }, offset: 0 }));
}

function cut(
  places: readonly number[],
  sites: readonly { readonly outWidth: number }[],
): readonly { readonly place: number; readonly first: number; readonly count: number }[] {
  let first = 0;
  return places.map((place, i) => {
    const count = sites[i]!.outWidth;
    first += count;
    return { place, first: first - count, count };
  });
}

/** Throws `adapter_target` where two tensors are for one place: of a module and of one that fuses it with others. */
export function checkOnce(parts: readonly (PairPart | VectorPart)[], table: SiteTable, location: string): void {
  const seen = new Map<string, string>();
  for (const part of parts) {
    const { tensor } = 'b' in part ? part.b : part.rows;
    const key = `${part.block} ${part.place}`;
    const other = seen.get(key);
    if (other !== undefined) {
      const message = `${location}: ${tensor.name} and ${other} both change ${siteName(table, part.block, part.place)}`;
      throw new WebLoraError('adapter_target', `${message}; the adapter is not clear.`);
    }
    seen.set(key, tensor.name);
  }
}
