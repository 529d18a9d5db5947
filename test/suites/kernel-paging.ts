import type { FloatDtype } from '../../src/formats/half.ts';
import type { PoolType } from '../../src/kernels/libraries.ts';
import type { Paging, PlacedRow } from '../reference/paged.ts';
import { poison, uniform, type Words } from './kernel-harness.ts';
import type { StepRow } from './kernel-step.ts';

export const DTYPES: Readonly<Record<PoolType, FloatDtype>> = { f32: 'F32', f16: 'F16' };

export interface Heads {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Groups of 1, 2 and 4 query heads that share keys; DIM4 4, 6 and 16. */
export const SHAPES: readonly Heads[] = [
  { heads: 3, kvHeads: 3, headDim: 16 },
  { heads: 4, kvHeads: 2, headDim: 24 },
  { heads: 4, kvHeads: 1, headDim: 64 },
];

export const PAGES = 80;
export const PAGES_PER_ROW = 10;

/** Positions that sequences have, by block row: around the borders of pages (16) and of tiles of keys (64). */
export const CONTEXTS: readonly number[] = [1, 15, 16, 17, 63, 64, 65, 130];

export const widthOf = ({ heads, kvHeads, headDim }: Heads): number => (heads + 2 * kvHeads) * headDim;
export const numbers = (words: Words): Float64Array => Float64Array.from(new Float32Array(words.buffer, words.byteOffset, words.length));

/** Shuffled pages for as many positions as each block row has; the rest of the table is poison. */
export function pagingOf(shape: Heads): Paging & { readonly blocks: Words } {
  const order = [...uniform(3)(PAGES, 1).entries()].sort(([, a], [, b]) => a - b).map(([page]) => page);
  const blocks = poison(CONTEXTS.length * PAGES_PER_ROW, 'input');
  for (const [row, context] of CONTEXTS.entries()) {
    for (let page = 0; page * 16 < context; page++) blocks[row * PAGES_PER_ROW + page] = order.pop()!;
  }
  return { ...shape, blocks, pagesPerRow: PAGES_PER_ROW };
}

/** Token and done of two slots, the first one done. */
export const SLOTS = Uint32Array.of(5, 1, 6, 0);

/** Inert rows find their slot done; of the others some find theirs not done, and some were given their token. */
export const stepRows = (rows: readonly PlacedRow[]): StepRow[] =>
  rows.map(({ position, blockRow, kind }, i) => ({
    position,
    blockRow,
    token: kind === 'inert' ? { slot: 0 } : i % 2 === 0 ? { slot: 1 } : 0,
  }));
