import { ATTENTION, COMMON, planeLayout, POOL, STATE, WEIGHTS, type PoolType, type WeightType } from '../kernels/libraries.ts';
import type { AttentionWork } from '../kernels/variants.ts';
import type { StepItem } from '../model/plan.ts';
import { expandCase, ONES, shrinkCase, TAILED } from './kernel-cases-lora.ts';
import {
  bitsOf,
  LAYOUT,
  planOf,
  poison,
  poolWords,
  rowsOf,
  sixtyFourths,
  STEP,
  withPoison,
  type KernelCase,
  type Words,
} from './kernel-data.ts';
import { planeOf, wholeBlocks } from './kernel-planes.ts';
import { attentionTwin, matmulTwin, normTwin } from './kernel-twins.ts';

/** What a model stores its numbers as, and the shape of its heads. */
export interface CaseTypes {
  readonly weights: readonly WeightType[];
  readonly pool: PoolType;
  /** Query heads that share a key head. */
  readonly group: number;
  readonly headDim: number;
  /** Of each layer that differs from others in it: whether rows see a window of keys only, and whether scores are capped. */
  readonly attention: readonly AttentionKind[];
  /** Whether what is normed replaces or is added as well. */
  readonly norms: 'before' | 'around';
}

export interface AttentionKind {
  readonly window: 'yes' | 'no';
  readonly cap: 'yes' | 'no';
}

/** Crosses a page and a tile of 64 keys from the longest context of the cases, and begins inside a page. */
const WINDOW = 40;
/** Scores of the cases reach far beyond it. */
const CAP = 2;

/** So many rows go through a matmul: one, a part of a tile, and several tiles of 32 and a tail. */
const MATMUL_ROWS: readonly number[] = [1, 5, 37];
/** 76 outputs end inside a workgroup of every form. */
const MATMUL = { width: 192, out4: 19, outAt4: 2, yStride4: 23, output: 'add', counted: 'batch rows' } as const;
const LOGITS = { width: 96, out4: 5, outAt4: 0, yStride4: 5, output: 'replace', counted: 'logit rows' } as const;

/**
 * A case for each hot kernel, number type and number of rows: small, seeded, with tails in every direction.
 * @param extent `short`: one specialisation of each kernel, for a device that is to start soon.
 */
export function kernelCases(
  { weights, pool, group, headDim, attention, norms }: CaseTypes,
  extent: 'short' | 'full',
): readonly KernelCase[] {
  return [
    ...weights.flatMap((type) => [
      ...MATMUL_ROWS.map((rows) => matmulCase({ type, rows, ...MATMUL })),
      ...(extent === 'full' ? [matmulCase({ type, rows: 3, ...LOGITS })] : []),
    ]),
    ...[TAILED, ONES].flatMap((shape) => [shrinkCase(pool, shape), expandCase(pool, shape)]),
    ...attention.map((kind) => attentionCase({ type: pool, kvHeads: 2, group, headDim, pagesPerRow: 6, items: CONTEXTS, done: [3], kind })),
    normCase({ width: 548, items: GATHERED, gathers: [7, 2, 5, 6], output: 'replace' }),
    ...(norms === 'around' ? [normCase({ width: 548, items: GATHERED, gathers: [7, 2, 5, 6], output: 'add' })] : []),
  ];
}

/** Shapes of a matmul; `width` is a multiple of 32, and rounded up where blocks of the type are wider. */
export interface MatmulShape {
  readonly type: WeightType;
  readonly rows: number;
  readonly width: number;
  readonly out4: number;
  readonly outAt4: number;
  readonly yStride4: number;
  readonly output: 'replace' | 'add';
  readonly counted: 'batch rows' | 'logit rows';
}

export function matmulCase({ type, rows, width: least, out4, outAt4, yStride4, output, counted }: MatmulShape): KernelCase {
  const width = wholeBlocks(type, least);
  const logits = counted === 'logit rows';
  const { words, values } = planeOf(type, out4 * 4, width);
  const random = sixtyFourths(rows);
  const x = random(rows * width);
  const yStride = yStride4 * 4;
  const before = output === 'replace' ? poison((rows + 2) * yStride, 'output') : bitsOf(random((rows + 2) * yStride));
  // the wrong count would reach behind the rows of x and y
  const plan = planOf([rowsOf(0, 0, logits ? rows + 2 : rows, { logitRows: logits ? rows : 0 })]);
  const constants = { WIDTH8: width / 8, OUT4: out4, OUT_AT4: outAt4, Y_STRIDE4: yStride4, ADD: output === 'add', LOGITS: logits };
  return {
    role: 'matmul',
    name: `${type}, ${rows} ${rows === 1 ? 'row' : 'rows'}${logits ? ' of logits' : ''}, ${width} to ${out4 * 4}`,
    rows,
    specialisation: {
      constants: { ...STEP, ...constants, SCALES_AT: planeLayout(type, out4 * 4, width).scalesAtWord },
      libraries: [...COMMON, WEIGHTS[type]],
    },
    buffers: { step: plan.words, weights: words, x: withPoison(x, 2 * width), y: before },
    output: 'y',
    rowLength: yStride,
    work: { rows, out4 },
    expected: () => matmulTwin({ x, weights: values, rows, width, out: out4 * 4, outAt: outAt4 * 4, yStride, output }, before),
  };
}

export interface AttentionShape {
  readonly type: PoolType;
  readonly kvHeads: number;
  readonly group: number;
  readonly headDim: number;
  readonly pagesPerRow: number;
  readonly items: readonly StepItem[];
  /** Sequences that have ended: their rows attend to nothing. */
  readonly done: readonly number[];
  /** Default: neither. */
  readonly kind?: AttentionKind;
}

export interface AttentionCaseWork extends AttentionWork {
  /** Splits, where a split is one tile of 64 keys. */
  readonly tiles: number;
}

/** Contexts around the borders of a page and of a tile of 64 keys, a chunk of a prompt across one, and a row that has ended. */
const CONTEXTS: readonly StepItem[] = [
  rowsOf(0, 70, 1),
  rowsOf(1, 0, 1),
  rowsOf(2, 61, 6),
  rowsOf(3, 40, 1, { tokens: undefined }),
  rowsOf(4, 16, 1),
];

/** What `kind` says, in words. */
const kindOf = (window: number, cap: number): string =>
  `${window > 0 ? `, a window of ${window}` : ''}${cap > 0 ? `, a cap of ${cap}` : ''}`;

export function attentionCase({ type, kvHeads, group, headDim, pagesPerRow, items, done, kind }: AttentionShape): KernelCase {
  const window = kind?.window === 'yes' ? WINDOW : 0;
  const cap = kind?.cap === 'yes' ? CAP : 0;
  const plan = planOf(items);
  const pages = items.length * pagesPerRow;
  const order = sixtyFourths(21)(pages);
  const blocks = Uint32Array.from(Array.from(order.keys()).sort((a, b) => order[a]! - order[b]! || a - b));
  const numbers = sixtyFourths(13)(pages * 2 * kvHeads * 16 * headDim);
  const width = (group + 2) * kvHeads * headDim;
  const qkv = sixtyFourths(15)(plan.rows * width);
  const outStride = Math.ceil((group * kvHeads * headDim) / 32) * 32;
  const before = poison((plan.rows + 2) * outStride, 'output');
  const scale = 1 / Math.sqrt(headDim);
  const tiles = Math.ceil(plan.keys / 64);
  const state = Uint32Array.from({ length: 2 * items.length }, (_, i) => (i % 2 === 0 || done.includes(i >> 1) ? 1 : 0));
  const heads = { KV_HEADS: kvHeads, GROUP: group, DIM4: headDim / 4, SCALE: { f32: scale } };
  const limits = { WINDOW: window, CAP: { f32: cap }, SPLIT_TILES: 1 };
  const parts = poison(tiles * plan.rows * kvHeads * group * (headDim + 4), 'output');
  return {
    role: 'attention',
    name: `${type}, ${plan.rows} rows, up to ${plan.keys} keys, ${group} heads of ${headDim} on each of ${kvHeads}${kindOf(window, cap)}`,
    rows: plan.rows,
    specialisation: {
      constants: { ...STEP, ...heads, ...limits, QKV_STRIDE4: width / 4, OUT_STRIDE4: outStride / 4, PAGES_PER_ROW: pagesPerRow },
      libraries: [...COMMON, STATE, POOL[type], ...ATTENTION],
    },
    buffers: {
      step: plan.words,
      blocks: withoutPages(blocks, items, pagesPerRow, window),
      state,
      qkv: withPoison(qkv, width),
      pool: poolWords(numbers, type),
      parts,
      out: before,
    },
    output: 'out',
    rowLength: outStride,
    work: { rows: plan.rows, splits: 1, tiles, kvHeads, group, headDim } satisfies AttentionCaseWork,
    expected: () =>
      attentionTwin(
        {
          ...{ words: plan.words, layout: LAYOUT, rows: plan.rows, done, blocks, pagesPerRow },
          ...{ kvHeads, group, headDim, qkv, width, pool: numbers, scale, window, cap, outStride },
        },
        before,
      ),
  };
}

/** A block table in which pages that no row sees any more are nobody's: far outside of the pool. */
function withoutPages(blocks: Words, items: readonly StepItem[], pagesPerRow: number, window: number): Words {
  const left = blocks.slice();
  for (const { slot, start } of items) {
    const first = window === 0 ? 0 : Math.max(0, start + 1 - window) >> 4;
    left.fill(0x0fff_ffff, slot * pagesPerRow, slot * pagesPerRow + first);
  }
  return left;
}

export interface NormShape {
  readonly width: number;
  readonly items: readonly StepItem[];
  /** Rows of the batch that are normed. */
  readonly gathers: readonly number[];
  readonly output: 'replace' | 'add';
}

/** The row whose logits are read comes first among the gathered. */
const GATHERED: readonly StepItem[] = [
  rowsOf(0, 0, 3, { logitRows: 1 }),
  rowsOf(1, 0, 4, { logitRows: 2 }),
  rowsOf(2, 0, 1, { logitRows: 1, logits: 'read' }),
];

export function normCase({ width, items, gathers, output }: NormShape): KernelCase {
  const stride = Math.ceil(width / 32) * 32;
  const epsilon = 1e-3;
  const plan = planOf(items);
  const weight = sixtyFourths(17)(width);
  const x = sixtyFourths(19)(plan.rows * stride);
  const numbers = (plan.logitRows + 2) * stride;
  const before = output === 'replace' ? poison(numbers, 'output') : bitsOf(sixtyFourths(23)(numbers));
  return {
    role: 'norm',
    name: `${plan.logitRows} of ${plan.rows} rows of ${width}${output === 'add' ? ', added' : ''}`,
    rows: plan.logitRows,
    specialisation: {
      constants: { ...STEP, WIDTH4: width / 4, STRIDE4: stride / 4, EPSILON: { f32: epsilon }, GATHER: true, ADD: output === 'add' },
      libraries: COMMON,
    },
    buffers: { step: plan.words, x: withPoison(x, stride), weight: bitsOf(weight), y: before },
    output: 'y',
    rowLength: stride,
    work: { rows: plan.logitRows },
    expected: () => normTwin({ x, weight, rows: gathers, width, stride, epsilon, output }, before),
  };
}
