import { WORKGROUP_SIZE } from '../gpu/kernel.ts';
import type { Dispatch } from '../gpu/pipelines.ts';
import { ATTENTION, COMMON, POOL, STATE, WINDOW } from '../kernels/libraries.ts';
import { PAGE_TOKENS } from '../kernels/step-layout.ts';
import type { AttentionVariant, AttentionWork, SplitAttention } from '../kernels/variants.ts';
import { ropeLaunch } from './forward-rope.ts';
import { constants, fixed, type ForwardParts, type Launch } from './launch.ts';
import type { Plan } from './plan.ts';
import { padded } from './shape.ts';

/** Keys of a tile; a split is whole tiles. */
const TILE = 64;
/** Splits that the keys of one row are cut into at most. */
const MOST_SPLITS = 128;
/** Rows a sequence has on average from which on the form for prefill is chosen. */
const PREFILL_ROWS = 4;

const isPrefill = ({ rows, sequences }: Pick<Plan, 'rows' | 'sequences'>): boolean => rows >= PREFILL_ROWS * sequences;

/** K and V of a step's rows into their pages, then attention over the pages: two dispatches, three where keys are split. */
export async function attend(parts: ForwardParts, layer: number): Promise<Launch[]> {
  const { kernels } = parts;
  const [writing, whole, prefill, split] = await Promise.all([
    ropeLaunch(parts, layer),
    readingForm(parts, layer, kernels.attention),
    kernels.attentionPrefill && readingForm(parts, layer, kernels.attentionPrefill),
    splitForm(parts, layer),
  ]);
  const oneDispatch = (plan: Plan): Reading => (prefill && isPrefill(plan) ? prefill : whole);
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

/** Positions that a row of this layer sees; 0: all that there can be. */
function windowOf({ config, activations: a }: ForwardParts, layer: number): number {
  const { window } = config.layerKinds[layer]!;
  return window < a.pagesPerRow * PAGE_TOKENS ? window : 0;
}

const readingConstants = (parts: ForwardParts, layer: number) => {
  const { config, shape, activations: a } = parts;
  const { heads, kvHeads, headDim } = config;
  return {
    KV_HEADS: kvHeads,
    DIM4: headDim / 4,
    QKV_STRIDE4: shape.groups.qkv.outWidth / 4,
    PAGES_PER_ROW: a.pagesPerRow,
    GROUP: heads / kvHeads,
    OUT_STRIDE4: padded(heads * headDim) / 4,
    SCALE: { f32: config.attentionScale },
    WINDOW: windowOf(parts, layer),
    CAP: { f32: config.attentionCap },
  };
};

/** What a kernel that reads keys is given besides its own. */
const readingLibraries = ({ poolType }: ForwardParts): readonly string[] => [...COMMON, STATE, POOL[poolType], ...ATTENTION];

function workOf({ config }: ForwardParts, { rows }: Plan, splits: number): AttentionWork {
  const { heads, kvHeads, headDim } = config;
  return { rows, splits, kvHeads, group: heads / kvHeads, headDim };
}

async function readingForm(parts: ForwardParts, layer: number, { kernel, threads }: AttentionVariant): Promise<Reading> {
  const { pipelines, activations: a, pool } = parts;
  const pipeline = await pipelines.get(kernel, {
    constants: constants(parts, readingConstants(parts, layer)),
    libraries: readingLibraries(parts),
  });
  const buffers = { step: a.step, blocks: a.blocks, state: a.state, qkv: a.qkv, pool: pool.layers[layer]!, out: a.attended };
  return { dispatch: pipelines.bind(pipeline, buffers), threads: (plan) => threads(workOf(parts, plan, 1)) };
}

/** What decides whether a step's keys are split. */
export interface SplitStep extends Pick<SplitAttention, 'mostRows' | 'fullWorkgroups'> {
  readonly splits: number;
  /** Of the step in one dispatch. */
  readonly workgroups: number;
  /** Bytes that one split of one row takes, and that all of them may take. */
  readonly partBytes: number;
  readonly room: number;
}

/** Whether keys are split: where there are several splits, rows too few to fill a device, and room for what the splits come to. */
export function isSplitIn(plan: Pick<Plan, 'rows' | 'sequences'>, { splits, workgroups, partBytes, room, ...limits }: SplitStep): boolean {
  if (splits <= 1 || plan.rows * splits * partBytes > room) return false;
  return plan.rows <= limits.mostRows || (!isPrefill(plan) && workgroups < limits.fullWorkgroups);
}

/**
 * Attention with its keys split. What the splits come to lies in the buffer of gate and up, which nothing else uses between the
 * projections before and after: as many splits as it has room for, for few rows; with more rows, fewer keys. Undefined where the kernels
 * do not split, or there is no room. A window is cut from the split of its first key on: few splits, however long the context.
 */
async function splitForm(parts: ForwardParts, layer: number) {
  const { pipelines, kernels, config, activations: a, pool } = parts;
  const { attentionSplit } = kernels;
  if (!attentionSplit) return undefined;
  const { split, merge, mostRows, fullWorkgroups, partQuads } = attentionSplit;
  const { KV_HEADS, GROUP, DIM4, OUT_STRIDE4, WINDOW: window, ...rest } = readingConstants(parts, layer);
  const tiles = Math.ceil((window || a.pagesPerRow * PAGE_TOKENS) / TILE);
  const partBytes = partQuads(config) * 16;
  const room = Math.min(MOST_SPLITS, Math.floor(a.gateUp.size / (mostRows * partBytes)));
  // a window may begin and end inside a split
  const splitTiles = Math.ceil(tiles / (window === 0 ? room : Math.max(room - 1, 0)));
  if (splitTiles >= tiles) return undefined;
  const shared = { KV_HEADS, GROUP, DIM4, OUT_STRIDE4, WINDOW: window, SPLIT_TILES: splitTiles };
  const splitting = await pipelines.get(split.kernel, {
    constants: constants(parts, { ...shared, ...rest }),
    libraries: readingLibraries(parts),
  });
  const merging = await pipelines.get(merge.kernel, { constants: constants(parts, shared), libraries: [...COMMON, STATE, WINDOW] });
  const { step, blocks, state, qkv } = a;
  const span = TILE * splitTiles;
  const most = window === 0 ? Infinity : Math.ceil((window - 1) / span) + 1;
  const splits = (plan: Plan): number => Math.min(most, Math.ceil(plan.keys / span));
  return {
    serves: (plan: Plan): boolean => {
      const workgroups = kernels.attention.threads(workOf(parts, plan, 1)) / (kernels.attention.kernel.workgroupSize ?? WORKGROUP_SIZE);
      return isSplitIn(plan, { splits: splits(plan), workgroups, partBytes, room: a.gateUp.size, mostRows, fullWorkgroups });
    },
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
