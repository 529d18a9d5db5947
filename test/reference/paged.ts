/** Tokens of one page. */
export const PAGE = 16;

/** How keys and values lie in the pool; a page is (K | V, kv heads, PAGE, headDim). */
export interface Paging {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** (block rows, pagesPerRow): page numbers. */
  readonly blocks: ArrayLike<number>;
  readonly pagesPerRow: number;
}

/** A row's place in its sequence. */
export interface PlacedRow {
  readonly position: number;
  readonly blockRow: number;
  /** `inert`: a row of a sequence that has ended, of which nothing is kept. */
  readonly kind?: 'inert';
}

/** Index of the first number of a key (`plane` 0) or value (`plane` 1) in the pool. */
export function poolIndex(paging: Paging, blockRow: number, position: number, plane: 0 | 1, kvHead: number): number {
  const page = paging.blocks[blockRow * paging.pagesPerRow + Math.floor(position / PAGE)]!;
  return (((page * 2 + plane) * paging.kvHeads + kvHead) * PAGE + (position % PAGE)) * paging.headDim;
}
