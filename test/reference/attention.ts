import { poolIndex, type Paging, type PlacedRow } from './paged.ts';

export interface AttentionInput extends Paging {
  readonly rows: readonly PlacedRow[];
  /** (rows, [heads | kv heads | kv heads], headDim): the q heads are read. */
  readonly qkv: ArrayLike<number>;
  readonly pool: ArrayLike<number>;
  readonly outStride: number;
}

/** out: (rows, outStride), heads · headDim of each row written: softmax(q · K / √headDim) · V over the positions 0..position; 0 for inert rows. */
export function attention({ rows, qkv, pool, outStride, ...paging }: AttentionInput, out: Float64Array): void {
  const { heads, kvHeads, headDim } = paging;
  for (let row = 0; row < rows.length; row++) {
    const { position, blockRow, kind } = rows[row]!;
    if (kind === 'inert') out.fill(0, row * outStride, row * outStride + heads * headDim);
    if (kind === 'inert') continue;
    for (let head = 0; head < heads; head++) {
      const kvHead = Math.floor(head / (heads / kvHeads));
      const q = (row * (heads + 2 * kvHeads) + head) * headDim;
      const scores: number[] = [];
      for (let key = 0; key <= position; key++) {
        const k = poolIndex(paging, blockRow, key, 0, kvHead);
        let sum = 0;
        for (let d = 0; d < headDim; d++) sum += qkv[q + d]! * pool[k + d]!;
        scores.push(sum / Math.sqrt(headDim));
      }
      const top = Math.max(...scores);
      let weights = 0;
      for (let key = 0; key <= position; key++) weights += Math.exp(scores[key]! - top);
      for (let d = 0; d < headDim; d++) {
        let sum = 0;
        for (let key = 0; key <= position; key++) {
          sum += (Math.exp(scores[key]! - top) / weights) * pool[poolIndex(paging, blockRow, key, 1, kvHead) + d]!;
        }
        out[row * outStride + head * headDim + d] = sum;
      }
    }
  }
}
