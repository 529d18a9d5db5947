import { poolIndex, type Paging, type PlacedRow } from './paged.ts';

export interface RopeKvInput extends Paging {
  readonly rows: readonly PlacedRow[];
  readonly theta: number;
}

/** cos and sin by position: (positions, [cos | sin], headDim / 2). */
export function ropeTable(headDim: number, theta: number, positions: number): number[] {
  const table: number[] = [];
  for (let position = 0; position < positions; position++) {
    for (const wave of [Math.cos, Math.sin]) {
      for (let pair = 0; pair < headDim / 2; pair++) table.push(wave(position / theta ** ((2 * pair) / headDim)));
    }
  }
  return table;
}

/** qkv: (rows, [heads | kv heads | kv heads], headDim), its q heads turned in place; pool: k turned and v as it is. Nothing of inert rows. */
export function ropeKv({ rows, theta, ...paging }: RopeKvInput, qkv: Float64Array, pool: Float64Array): void {
  const { heads, kvHeads, headDim } = paging;
  const half = headDim / 2;
  for (let row = 0; row < rows.length; row++) {
    const { position, blockRow, kind } = rows[row]!;
    if (kind === 'inert') continue;
    for (let head = 0; head < heads + 2 * kvHeads; head++) {
      const at = (row * (heads + 2 * kvHeads) + head) * headDim;
      const isValue = head >= heads + kvHeads;
      const turned = new Float64Array(headDim);
      for (let pair = 0; pair < half; pair++) {
        const angle = isValue ? 0 : position / theta ** ((2 * pair) / headDim);
        const lo = qkv[at + pair]!;
        const hi = qkv[at + half + pair]!;
        turned[pair] = lo * Math.cos(angle) - hi * Math.sin(angle);
        turned[half + pair] = hi * Math.cos(angle) + lo * Math.sin(angle);
      }
      const kvHead = isValue ? head - heads - kvHeads : head - heads;
      for (let d = 0; d < headDim; d++) {
        if (head < heads) qkv[at + d] = turned[d]!;
        else pool[poolIndex(paging, blockRow, position, isValue ? 1 : 0, kvHead) + d] = turned[d]!;
      }
    }
  }
}
