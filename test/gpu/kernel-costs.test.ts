import { ATTENTION as SCORES, COMMON, DESCRIPTORS, POOL, STATE, WEIGHTS, WINDOW } from '../../src/kernels/libraries.ts';
import type { AttentionVariant, MatmulVariant, NormVariant, RopeHeadsVariant } from '../../src/kernels/variants.ts';
import { wideKernels } from '../../src/kernels/wide.ts';
import { zeros } from '../suites/kernel-counts.ts';
import type { Launch } from '../suites/kernel-harness.ts';
import { floatBits, plainRows, STEP, stepWords } from '../suites/kernel-step.ts';
import { describeCosts, type Held } from './costs.ts';

const SETTINGS = { precision: 'exact', deterministic: 'no' } as const;
const BASE = wideKernels({ subgroups: 'no', f16: 'no' }, SETTINGS);
const SUBGROUPS = wideKernels({ subgroups: 'yes', f16: 'no' }, SETTINGS);
const [ROW, TILE] = BASE.matmul.map(({ variant }) => variant) as [MatmulVariant, MatmulVariant];

/** A projection of a 135M-class model, f16. */
const WIDTH = 576;
const HEADS = { heads: 9, kvHeads: 3, headDim: 64 };

function matmul({ kernel, threads }: MatmulVariant, rows: number): Launch<string> {
  return {
    kernel,
    constants: { ...STEP, WIDTH8: WIDTH / 8, OUT4: WIDTH / 4, OUT_AT4: 0, Y_STRIDE4: WIDTH / 4, ADD: true, LOGITS: false, SCALES_AT: 0 },
    libraries: [...COMMON, WEIGHTS.f16],
    buffers: {
      step: stepWords({ rows: plainRows(rows) }),
      weights: zeros((WIDTH * WIDTH) / 2),
      x: zeros(rows * WIDTH),
      y: zeros(rows * WIDTH),
    },
    threads: threads({ rows, out4: WIDTH / 4 }),
  };
}

function norm({ kernel, threads }: NormVariant, rows: number): Launch<string> {
  return {
    kernel,
    constants: { ...STEP, WIDTH4: WIDTH / 4, STRIDE4: WIDTH / 4, EPSILON: { f32: 1e-5 }, GATHER: false, ADD: false },
    libraries: COMMON,
    buffers: { step: stepWords({ rows: plainRows(rows) }), x: zeros(rows * WIDTH), weight: zeros(WIDTH), y: zeros(rows * WIDTH) },
    threads: threads({ rows }),
  };
}

/** One site, two splits of K; `segments` of as many rows each, their adapters of this rank. */
function lora(part: 'shrink' | 'expand', segments: number, rows: number, rank: number): Launch<string> {
  const splits = 2;
  const descriptors = Uint32Array.of(0, 0, rank, floatBits(1), 0, WIDTH, 0, 0);
  const parts = [{ slot: 0, scale: 1 }];
  const all = Array.from({ length: segments }, (_, i) => ({ rowStart: i * rows, rowCount: rows, vRow: i * rows, parts }));
  const sites = { SITE_FIRST: 0, SITES: 1, SITES_IN_MODEL: 1, SPLITS: splits };
  const shared = {
    step: stepWords({ rows: plainRows(segments * rows), segments: all, rank }),
    descriptors,
    pool: zeros((WIDTH * rank) / 2),
  };
  const libraries = [...COMMON, POOL.f16, DESCRIPTORS];
  const v = zeros(segments * rows * splits * rank);
  if (part === 'expand') {
    const { threads } = BASE.expand;
    return {
      kernel: BASE.expand.kernel,
      constants: { ...STEP, ...sites, OUT4: WIDTH / 4, Y_STRIDE4: WIDTH / 4, EVEN: true, FINISH: false },
      libraries,
      buffers: { ...shared, v, y: zeros(segments * rows * WIDTH) },
      threads: threads({ segments, out4: WIDTH / 4 }),
    };
  }
  return {
    kernel: BASE.shrink.kernel,
    constants: { ...STEP, ...sites, WIDTH4: WIDTH / 4, STRIDE4: WIDTH / 4, SPLIT4: 128 },
    libraries,
    buffers: { ...shared, x: zeros(segments * rows * WIDTH), v },
    threads: BASE.shrink.threads({ segments, sites: 1, splits, rankQuads: rank / 4 }),
  };
}

const ATTENTION = {
  ...STEP,
  KV_HEADS: HEADS.kvHeads,
  GROUP: HEADS.heads / HEADS.kvHeads,
  DIM4: HEADS.headDim / 4,
};

/** The last `rows` positions of one sequence of `keys`. */
function attention({ kernel, threads }: AttentionVariant, rows: number, keys: number, splits = 1): Launch<string> {
  const width = (HEADS.heads + 2 * HEADS.kvHeads) * HEADS.headDim;
  const pages = Math.ceil(keys / 16);
  const placed = Array.from({ length: rows }, (_, i) => ({ position: keys - rows + i }));
  const quads = splits * rows * HEADS.heads * (HEADS.headDim / 4 + 1);
  return {
    kernel,
    constants: {
      ...ATTENTION,
      QKV_STRIDE4: width / 4,
      OUT_STRIDE4: WIDTH / 4,
      PAGES_PER_ROW: pages,
      SCALE: { f32: 0.125 },
      WINDOW: 0,
      CAP: { f32: 0 },
      ...(splits > 1 && { SPLIT_TILES: 1 }),
    },
    libraries: [...COMMON, STATE, POOL.f16, ...SCORES],
    buffers: {
      step: stepWords({ rows: placed }),
      blocks: Uint32Array.from({ length: pages }, (_, i) => i),
      state: zeros(2),
      qkv: zeros(rows * width),
      pool: zeros(pages * HEADS.kvHeads * 16 * HEADS.headDim),
      out: zeros(quads * 4),
    },
    threads: threads({ rows, splits, group: 3, ...HEADS }),
  };
}

function merge(rows: number, keys: number): Launch<string> {
  const { kernel, threads } = BASE.attentionSplit!.merge;
  const splits = keys / 64;
  return {
    kernel,
    constants: { ...ATTENTION, OUT_STRIDE4: WIDTH / 4, SPLIT_TILES: 1, WINDOW: 0 },
    libraries: [...COMMON, STATE, WINDOW],
    buffers: {
      step: stepWords({ rows: Array.from({ length: rows }, () => ({ position: keys - 1 })) }),
      state: zeros(2),
      parts: zeros(splits * rows * HEADS.heads * (HEADS.headDim / 4 + 1) * 4),
      out: zeros(rows * WIDTH),
    },
    threads: threads({ rows, splits, group: 3, ...HEADS }),
  };
}

/** One row at the end of a page: 16 heads on 8 of 128, normed, as Qwen3's small models have them. */
function ropeHeads({ kernel, threads }: RopeHeadsVariant): Launch<string> {
  const [heads, kvHeads, headDim] = [16, 8, 128];
  const width = (heads + 2 * kvHeads) * headDim;
  const shape = { HEADS: heads, KV_HEADS: kvHeads, DIM4: headDim / 4, ROTARY: headDim, QKV_STRIDE4: width / 4, PAGES_PER_ROW: 1 };
  return {
    kernel,
    constants: { ...STEP, ...shape, BIAS: false, NORM: true, EPSILON: { f32: 1e-6 } },
    libraries: [...COMMON, STATE, POOL.f16],
    buffers: {
      step: stepWords({ rows: [{ position: 15 }] }),
      rope: zeros(16 * headDim),
      blocks: zeros(1),
      state: zeros(2),
      vectors: zeros(2 * headDim),
      qkv: zeros(width),
      pool: zeros(kvHeads * 16 * headDim),
    },
    threads: threads({ rows: 1, heads, kvHeads }),
  };
}

const split = BASE.attentionSplit!.split;

/** Every kernel of the wide family but the sampler's at two shapes, and what it costs there. */
const HELD: readonly Held[] = [
  {
    name: 'matmul-row, 1 row',
    launch: matmul(ROW, 1),
    costs: { workgroups: 144, barriers: 2, loaded: 1071360, stored: 2304, shared: 4608, bindings: 4 },
  },
  {
    name: 'matmul-row, 8 rows',
    launch: matmul(ROW, 8),
    costs: { workgroups: 288, barriers: 2, loaded: 4147200, stored: 18432, shared: 4608, bindings: 4 },
  },
  {
    name: 'matmul-row, subgroups, 8 rows',
    launch: matmul(SUBGROUPS.matmul[0]!.variant, 8),
    costs: { workgroups: 288, barriers: 2, loaded: 4147200, stored: 18432, shared: 1032, bindings: 4 },
  },
  {
    name: 'matmul-tile, 32 rows',
    launch: matmul(TILE, 32),
    costs: { workgroups: 18, barriers: 36, loaded: 2073600, stored: 73728, shared: 9216, bindings: 4 },
  },
  {
    name: 'matmul-tile, 40 rows',
    launch: matmul(TILE, 40),
    costs: { workgroups: 36, barriers: 36, loaded: 4091904, stored: 92160, shared: 9216, bindings: 4 },
  },
  {
    name: 'rms-norm, 1 row',
    launch: norm(BASE.rmsNorm, 1),
    costs: { workgroups: 1, barriers: 3, loaded: 7936, stored: 2304, shared: 8708, bindings: 4 },
  },
  {
    name: 'rms-norm, subgroups, 8 rows',
    launch: norm(SUBGROUPS.rmsNorm, 8),
    costs: { workgroups: 8, barriers: 3, loaded: 63488, stored: 18432, shared: 2068, bindings: 4 },
  },
  {
    name: 'rope-kv of heads, 1 row',
    launch: ropeHeads(BASE.ropeHeads!),
    costs: { workgroups: 32, barriers: 2, loaded: 73728, stored: 12288, shared: 640, bindings: 7 },
  },
  {
    name: 'shrink, 8 adapters of rank 8',
    launch: lora('shrink', 8, 1, 8),
    costs: { workgroups: 16, barriers: 6, loaded: 176384, stored: 512, shared: 4096, bindings: 5 },
  },
  {
    name: 'shrink, 2 times 4 rows of rank 16',
    launch: lora('shrink', 2, 4, 16),
    costs: { workgroups: 4, barriers: 5, loaded: 127104, stored: 1024, shared: 4096, bindings: 5 },
  },
  {
    name: 'expand, 8 adapters of rank 8',
    launch: lora('expand', 8, 1, 8),
    costs: { workgroups: 18, barriers: 0, loaded: 244224, stored: 18432, shared: 0, bindings: 5 },
  },
  {
    name: 'expand, 2 times 4 rows of rank 16',
    launch: lora('expand', 2, 4, 16),
    costs: { workgroups: 5, barriers: 0, loaded: 222464, stored: 18432, shared: 0, bindings: 5 },
  },
  {
    name: 'attention, 4 rows of 256 keys',
    launch: attention(BASE.attention, 4, 256),
    costs: { workgroups: 12, barriers: 17, loaded: 2009856, stored: 9216, shared: 1948, bindings: 6 },
  },
  {
    name: 'attention, prefill of 32 behind 96',
    launch: attention(BASE.attentionPrefill!, 32, 128),
    costs: { workgroups: 21, barriers: 9, loaded: 1827072, stored: 73728, shared: 8716, bindings: 6 },
  },
  {
    name: 'attention, split, 1 row of 512 keys',
    launch: attention(split, 1, 512, 8),
    costs: { workgroups: 24, barriers: 5, loaded: 1061376, stored: 19584, shared: 1948, bindings: 6 },
  },
  {
    name: 'attention, merge, 1 row of 512 keys',
    launch: merge(1, 512),
    costs: { workgroups: 3, barriers: 0, loaded: 43968, stored: 2304, shared: 0, bindings: 4 },
  },
];

await describeCosts('what the wide family costs', HELD);
