import type { Dispatch } from '../gpu/pipelines.ts';
import { COMMON, POOL, STATE } from '../kernels/libraries.ts';
import { ropeKv, ropeKvThreads } from '../kernels/rope-kv.ts';
import { PAGE_TOKENS } from '../kernels/step-layout.ts';
import type { AttentionVariant, AttentionWork } from '../kernels/variants.ts';
import { constants, fixed, type ForwardParts, type Launch } from './launch.ts';
import type { Plan } from './plan.ts';
import { padded } from './shape.ts';

/** Keys of a tile; a split is whole tiles. */
const TILE = 64;
/** Splits that the keys of one row are cut into at most. */
const MOST_SPLITS = 128;
/** Rows a sequence has on average from which on the form for prefill is chosen. */
const PREFILL_ROWS = 4;

/** K and V of a step's rows into their pages, then attention over the pages: two dispatches, three where keys are split. */
export async function attend(parts: ForwardParts, layer: number): Promise<Launch[]> {
  const { pipelines, kernels, config, activations: a, pool, poolType } = parts;
  const { heads, kvHeads, headDim } = config;
  const write = await pipelines.get(ropeKv, {
    constants: constants(parts, { ...shapeOf(parts), HEADS: heads }),
    libraries: [...COMMON, STATE, POOL[poolType]],
  });
  const buffers = { step: a.step, blocks: a.blocks, state: a.state, qkv: a.qkv, pool: pool.layers[layer]! };
  const writing = fixed(pipelines.bind(write, { ...buffers, rope: a.rope }), (plan) => ropeKvThreads(plan.rows, kvHeads, headDim));
  const whole = await readingForm(parts, layer, kernels.attention);
  const prefill = kernels.attentionPrefill && (await readingForm(parts, layer, kernels.attentionPrefill));
  const split = await splitForm(parts, layer);
  const oneDispatch = (plan: Plan): Reading => (prefill && plan.rows >= PREFILL_ROWS * plan.sequences ? prefill : whole);
  const isSplit = (plan: Plan): boolean => split !== undefined && split.serves(plan);
  const reading: Launch = {
    dispatch: (plan) => (isSplit(plan) ? split!.split : oneDispatch(plan)).dispatch,
    threads: (plan) => (isSplit(plan) ? split!.split : oneDispatch(plan)).threads(plan),
  };
  if (!split) return [writing, reading];
  return [writing, reading, fixed(split.merge.dispatch, (plan) => (split.serves(plan) ? split.merge.threads(plan) : 0))];
}

interface Reading {
  readonly dispatch: Dispatch;
  readonly threads: (plan: Plan) => number;
}

const shapeOf = ({ config, shape, activations: a }: ForwardParts) => ({
  KV_HEADS: config.kvHeads,
  DIM4: config.headDim / 4,
  QKV_STRIDE4: shape.groups.qkv.outWidth / 4,
  PAGES_PER_ROW: a.pagesPerRow,
});

const readingConstants = (parts: ForwardParts) => {
  const { heads, kvHeads, headDim } = parts.config;
  return {
    ...shapeOf(parts),
    GROUP: heads / kvHeads,
    OUT_STRIDE4: padded(heads * headDim) / 4,
    SCALE: { f32: 1 / Math.sqrt(headDim) },
  };
};

function workOf({ config }: ForwardParts, { rows }: Plan, splits: number): AttentionWork {
  const { heads, kvHeads, headDim } = config;
  return { rows, splits, kvHeads, group: heads / kvHeads, headDim };
}

async function readingForm(parts: ForwardParts, layer: number, { kernel, threads }: AttentionVariant): Promise<Reading> {
  const { pipelines, activations: a, pool, poolType } = parts;
  const pipeline = await pipelines.get(kernel, {
    constants: constants(parts, readingConstants(parts)),
    libraries: [...COMMON, STATE, POOL[poolType]],
  });
  const buffers = { step: a.step, blocks: a.blocks, state: a.state, qkv: a.qkv, pool: pool.layers[layer]!, out: a.attended };
  return { dispatch: pipelines.bind(pipeline, buffers), threads: (plan) => threads(workOf(parts, plan, 1)) };
}

/**
 * Attention with its keys split. What the splits come to lies in the buffer of gate and up, which nothing else uses between the
 * projections before and after: as many splits as it has room for. Undefined where the kernels do not split, or there is no room.
 */
async function splitForm(parts: ForwardParts, layer: number) {
  const { pipelines, kernels, config, activations: a, pool, poolType } = parts;
  const { attentionSplit } = kernels;
  if (!attentionSplit) return undefined;
  const { split, merge, mostRows, partQuads } = attentionSplit;
  const tiles = Math.ceil((a.pagesPerRow * PAGE_TOKENS) / TILE);
  const room = Math.floor(a.gateUp.size / (mostRows * partQuads(config) * 16));
  const splitTiles = Math.ceil(tiles / Math.min(room, MOST_SPLITS));
  if (splitTiles >= tiles) return undefined;
  const { KV_HEADS, GROUP, DIM4, OUT_STRIDE4, ...rest } = readingConstants(parts);
  const shared = { KV_HEADS, GROUP, DIM4, OUT_STRIDE4, SPLIT_TILES: splitTiles };
  const splitting = await pipelines.get(split.kernel, {
    constants: constants(parts, { ...shared, ...rest }),
    libraries: [...COMMON, STATE, POOL[poolType]],
  });
  const merging = await pipelines.get(merge.kernel, { constants: constants(parts, shared), libraries: [...COMMON, STATE] });
  const { step, blocks, state, qkv } = a;
  const splits = (plan: Plan): number => Math.ceil(plan.keys / (TILE * splitTiles));
  return {
    serves: (plan: Plan): boolean => plan.rows <= mostRows && splits(plan) > 1,
    split: {
      dispatch: pipelines.bind(splitting, { step, blocks, state, qkv, pool: pool.layers[layer]!, out: a.gateUp }),
      threads: (plan: Plan) => split.threads(workOf(parts, plan, splits(plan))),
    },
    merge: {
      dispatch: pipelines.bind(merging, { step, state, parts: a.gateUp, out: a.attended }),
      threads: (plan: Plan) => merge.threads(workOf(parts, plan, splits(plan))),
    },
  };
}
