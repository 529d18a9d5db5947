import { poolIndex, type Paging, type PlacedRow } from './paged.ts';

export interface AttentionInput extends Paging {
  readonly rows: readonly PlacedRow[];
  /** (rows, [heads | kv heads | kv heads], headDim): the q heads are read. */
  readonly qkv: ArrayLike<number>;
  readonly pool: ArrayLike<number>;
  readonly outStride: number;
  /** What scores are multiplied with; default 1 / √headDim. */
  readonly scale?: number;
  /** cap · tanh(score / cap), after that; default none. */
  readonly cap?: number;
  /** Positions that a row sees, its own included; default all. */
  readonly window?: number;
}

/** out: (rows, outStride), heads · headDim of each row written: softmax(q · K · scale) · V over the last `window` of the positions 0..position; 0 for inert rows. */
export function attention(input: AttentionInput, out: Float64Array): void {
  const { rows, qkv, pool, outStride, cap = 0, window = Infinity, ...paging } = input;
  const { heads, kvHeads, headDim } = paging;
  const scale = input.scale ?? 1 / Math.sqrt(headDim);
  for (let row = 0; row < rows.length; row++) {
    const { position, blockRow, kind } = rows[row]!;
    if (kind === 'inert') out.fill(0, row * outStride, row * outStride + heads * headDim);
    if (kind === 'inert') continue;
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor(head / (heads / kvHeads));
      const q = (row * (heads + 2 * kvHeads) + head) * headDim;
      const scores: number[] = [];
      const first = Math.max(0, position - window + 1);
      for (let key = first; key <= position; key++) {
        const k = poolIndex(paging, blockRow, key, 0, kvHead);
        let sum = 0;
        for (let d = 0; d < headDim; d++) sum += qkv[q + d]! * pool[k + d]!;
        scores.push(cap > 0 ? cap * Math.tanh((sum * scale) / cap) : sum * scale);
      }
      const top = Math.max(...scores);
      let weights = 0;
      for (const score of scores) weights += Math.exp(score - top);
      for (let d = 0; d < headDim; d++) {
        let sum = 0;
        for (let key = first; key <= position; key++) {
          sum += (Math.exp(scores[key - first]! - top) / weights) * pool[poolIndex(paging, blockRow, key, 1, kvHead) + d]!;
        }
        out[row * outStride + head * headDim + d] = sum;
      }
    }
  }
}
