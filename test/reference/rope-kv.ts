import { poolIndex, type Paging, type PlacedRow } from './paged.ts';

/** How heads turn: pair i of the first `2 · frequencies.length` numbers by position · frequencies[i]; cos and sin times `factor`. */
export interface Turning {
  readonly frequencies: readonly number[];
  readonly factor: number;
}

export interface RopeKvInput extends Paging {
  readonly rows: readonly PlacedRow[];
  readonly turning: Turning;
  /** ([heads | kv heads | kv heads], headDim), added before anything else; undefined: none. */
  readonly bias?: ArrayLike<number> | undefined;
  /** (headDim) each: weights of the norms of a head of q and of k, before they turn; undefined: none. */
  readonly norms?: (HeadNorms & { readonly epsilon: number }) | undefined;
  /** By row: what its adapter saved of these. */
  readonly saved?: readonly Partial<HeadNorms>[] | undefined;
}

/** Weights of the norms of a head of q and of k. */
export interface HeadNorms {
  readonly q: ArrayLike<number>;
  readonly k: ArrayLike<number>;
}

type Floats = Float64Array<ArrayBuffer>;

/** Frequencies of RoPE without scaling. */
export const plainTurning = (headDim: number, theta: number): Turning => ({
  frequencies: Array.from({ length: headDim / 2 }, (_, pair) => theta ** ((-2 * pair) / headDim)),
  factor: 1,
});

/** cos and sin by position: (positions, [cos | sin], pairs). */
export function ropeTable({ frequencies, factor }: Turning, positions: number): number[] {
  const table: number[] = [];
  for (let position = 0; position < positions; position++) {
    for (const wave of [Math.cos, Math.sin]) {
      for (const frequency of frequencies) table.push(factor * wave(position * frequency));
    }
  }
  return table;
}

/** qkv: (rows, [heads | kv heads | kv heads], headDim), its q heads turned in place; pool: k turned and v as it is. Nothing of inert rows. */
export function ropeKv({ rows, turning, bias, norms, saved, ...paging }: RopeKvInput, qkv: Float64Array, pool: Float64Array): void {
  const { heads, kvHeads, headDim } = paging;
  const all = heads + 2 * kvHeads;
  for (let row = 0; row < rows.length; row++) {
    const { position, blockRow, kind } = rows[row]!;
    if (kind === 'inert') continue;
    for (let head = 0; head < all; head++) {
      const at = (row * all + head) * headDim;
      const isValue = head >= heads + kvHeads;
      let values = Float64Array.from(qkv.subarray(at, at + headDim), (value, i) => value + (bias?.[head * headDim + i] ?? 0));
      const norm = head < heads ? 'q' : 'k';
      if (!isValue && norms) values = normed(values, saved?.[row]?.[norm] ?? norms[norm], norms.epsilon);
      if (!isValue) values = turned(values, position, turning);
      const kvHead = isValue ? head - heads - kvHeads : head - heads;
      if (head < heads) qkv.set(values, at);
      else pool.set(values, poolIndex(paging, blockRow, position, isValue ? 1 : 0, kvHead));
    }
  }
}

function normed(values: Floats, weights: ArrayLike<number>, epsilon: number): Floats {
  const squares = values.reduce((sum, value) => sum + value * value, 0);
  const rms = Math.sqrt(squares / values.length + epsilon);
  return values.map((value, i) => (value / rms) * weights[i]!);
}

function turned(values: Floats, position: number, { frequencies, factor }: Turning): Floats {
  const out = values.slice();
  const half = frequencies.length;
  for (let pair = 0; pair < half; pair++) {
    const angle = position * frequencies[pair]!;
    const [cos, sin] = [factor * Math.cos(angle), factor * Math.sin(angle)];
    out[pair] = values[pair]! * cos - values[half + pair]! * sin;
    out[half + pair] = values[half + pair]! * cos + values[pair]! * sin;
  }
  return out;
}
