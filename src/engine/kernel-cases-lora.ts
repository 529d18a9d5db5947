import { COMMON, DESCRIPTORS, POOL, type PoolType } from '../kernels/libraries.ts';
import { isEven } from '../kernels/lora-expand.ts';
import { SPLIT_COLUMNS, splitsOf } from '../kernels/lora-shrink.ts';
import { bitsOf, LAYOUT, planOf, poison, poolWords, rowsOf, sixtyFourths, STEP, withPoison, type KernelCase } from './kernel-data.ts';
import { expandTwin, shrinkTwin } from './kernel-twins.ts';

/** A projection group, adapters by slot and site (rank 0: none), and the rows that have them. */
export interface LoraShape {
  readonly width: number;
  readonly outs: readonly number[];
  /** The first of the model's sites that the group has, and how many the model has. */
  readonly siteFirst: number;
  readonly sitesInModel: number;
  readonly ranks: readonly (readonly number[])[];
  /** Rows of one sequence: their number, and the slots and scales of their adapters. */
  readonly rows: readonly (readonly [count: number, ...parts: readonly (readonly [slot: number, scale: number])[]])[];
}

/** Two splits of K, the second a tail. Rows without an adapter, alone under one, in segments of 4 and a tail, and under two at once. */
export const TAILED: LoraShape = {
  width: 548,
  outs: [20, 12],
  siteFirst: 1,
  sitesInModel: 3,
  ranks: [
    [0, 0],
    [4, 8],
    [12, 0],
    [8, 4],
  ],
  rows: [[2], [1, [1, 1]], [6, [2, -1]], [3, [3, 0.5], [1, 2]]],
};

/** The same adapters with a row each, for which there may be kernels of their own. */
export const ONES: LoraShape = { ...TAILED, rows: [[1], [1, [1, 1]], [1, [2, -1]], [1, [3, 0.5], [1, 2]]] };

/**
 * Adapters in a pool and its descriptor table, which are NaN everywhere else. Slot 2 has gains, and every slot a bias for the second site:
 * one of them for a site that it leaves alone otherwise.
 */
function placed({ width, outs, siteFirst, sitesInModel, ranks }: LoraShape, type: PoolType) {
  const random = sixtyFourths(11);
  const vectors: [at: number, length: number][] = [];
  const descriptors = poison(ranks.length * sitesInModel * 8, 'input');
  const parts: Float32Array[] = [];
  let quads = 0;
  const place = (count: number): number => {
    const at = quads;
    parts.push(random(count), new Float32Array(16).fill(Number.NaN));
    quads += count / 4 + 4;
    return at;
  };
  for (const [slot, sites] of ranks.entries()) {
    let start = 0;
    for (const [site, rank] of sites.entries()) {
      const at = (slot * sitesInModel + siteFirst + site) * 8;
      const out = outs[site]!;
      const scale = bitsOf(Float32Array.of(0.5 + slot + site / 4))[0]!;
      descriptors.fill(0, at, at + 8);
      const pair = rank > 0 ? [place(width * rank), place(rank * out)] : [0, 0];
      const hasBias = slot > 0 && site === 1;
      if (rank > 0 || hasBias) descriptors.set([...pair, rank, scale, start, out], at);
      if (rank > 0 && slot === 2) vectors.push([at + 6, out]);
      if (hasBias) vectors.push([at + 7, out]);
      start += out;
    }
  }
  const numbers = new Float32Array((quads + (quads % 2)) * 4); // whole sixteens of bytes
  let at = 0;
  for (const part of parts) {
    numbers.set(part, at);
    at += part.length;
  }
  // vectors are f32 in every pool
  const values: number[] = [];
  const first = poolWords(numbers, type);
  for (const [word, length] of vectors) {
    descriptors[word] = (first.length + values.length) / 4 + 1;
    values.push(...random(length));
  }
  const pool = new Uint32Array(first.length + values.length);
  pool.set(first);
  pool.set(bitsOf(Float32Array.from(values)), first.length);
  return { descriptors, numbers, pool };
}

function loraCase(type: PoolType, shape: LoraShape) {
  const { width, outs, siteFirst, sitesInModel, ranks, rows } = shape;
  const plan = planOf(
    rows.map(([count, ...parts], slot) =>
      rowsOf(slot, 0, count, { parts: parts.map(([adapter, scale]) => ({ slot: adapter, scale, rank4: Math.max(...ranks[adapter]!) })) }),
    ),
  );
  const { descriptors, numbers, pool } = placed(shape, type);
  const group = { siteFirst, sites: outs.length, sitesInModel, splits: splitsOf(width) };
  return {
    plan,
    ...group,
    yStride: outs.reduce((sum, out) => sum + out, 0) + 4,
    buffers: { step: plan.words, descriptors, pool },
    constants: { ...STEP, SITE_FIRST: siteFirst, SITES: group.sites, SITES_IN_MODEL: sitesInModel, SPLITS: group.splits },
    libraries: [...COMMON, POOL[type], DESCRIPTORS],
    vectors: new Float32Array(pool.buffer),
    twin: { words: plan.words, layout: LAYOUT, segments: plan.segments, descriptors, pool: numbers, ranks: plan.rankQuads * 4, ...group },
  };
}

export function shrinkCase(type: PoolType, shape: LoraShape): KernelCase {
  const { plan, buffers, constants, libraries, twin, sites, splits } = loraCase(type, shape);
  const { width } = shape;
  const stride = Math.ceil(width / 32) * 32;
  const x = sixtyFourths(5)(plan.rows * stride);
  const rowLength = sites * splits * plan.rankQuads * 4;
  const before = poison((plan.vRows + 2) * rowLength, 'output');
  return {
    role: 'shrink',
    name: `${type}, ${plan.segments} segments of up to ${plan.segmentRows}, ${width} to rank ${plan.rankQuads * 4}`,
    rows: plan.rows,
    segmentRows: plan.segmentRows,
    specialisation: {
      constants: { ...constants, WIDTH4: width / 4, STRIDE4: stride / 4, SPLIT4: SPLIT_COLUMNS / 4 },
      libraries,
    },
    buffers: { ...buffers, x: withPoison(x, 2 * stride), v: before },
    output: 'v',
    rowLength,
    work: { segments: plan.segments, sites, splits, rankQuads: plan.rankQuads },
    expected: () => shrinkTwin({ ...twin, x, width, stride, splitColumns: SPLIT_COLUMNS }, before),
  };
}

export function expandCase(type: PoolType, shape: LoraShape): KernelCase {
  const { plan, buffers, constants, libraries, twin, vectors, sites, splits, yStride } = loraCase(type, shape);
  const v = sixtyFourths(7)(plan.vRows * sites * splits * plan.rankQuads * 4);
  const before = bitsOf(sixtyFourths(9)((plan.rows + 2) * yStride));
  const out4 = yStride / 4 - 1;
  return {
    role: 'expand',
    name: `${type}, ${plan.segments} segments of up to ${plan.segmentRows}, rank ${plan.rankQuads * 4} to ${out4 * 4}`,
    rows: plan.rows,
    segmentRows: plan.segmentRows,
    specialisation: {
      constants: {
        ...constants,
        OUT4: out4,
        Y_STRIDE4: yStride / 4,
        EVEN: isEven(shape.outs.map((outWidth) => ({ outWidth }))),
        FINISH: true,
      },
      libraries,
    },
    buffers: { ...buffers, v: withPoison(v, 64), y: before },
    output: 'y',
    rowLength: yStride,
    work: { segments: plan.segments, out4 },
    expected: () => expandTwin({ ...twin, v, vectors, yStride }, before),
  };
}
