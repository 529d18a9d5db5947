import { requireBindable, type Buffers } from '../gpu/buffers.ts';
import { BIN_WORDS, FILTER_CHUNK, FILTER_STAGES, SAMPLE_CHUNK, TRAIL_WORDS } from '../kernels/sampler-layout.ts';
import { PAGE_TOKENS, type StepLayout } from '../kernels/step-layout.ts';
import type { ModelConfig, Rope } from './config.ts';
import { padded, type ModelShape } from './shape.ts';

/** Buffers that a step writes and reads. All f32 but step, blocks, state, best and ids, which are u32. */
export interface Activations {
  readonly step: GPUBuffer;
  /** Page numbers, one row per running sequence: `[slots][pagesPerRow]`. */
  readonly blocks: GPUBuffer;
  readonly pagesPerRow: number;
  /** The last sampled token of each running sequence, and whether that ended it. */
  readonly state: GPUBuffer;
  /** Residual stream and its norm: `[rows][padded hidden]`. */
  readonly x: GPUBuffer;
  readonly normed: GPUBuffer;
  readonly qkv: GPUBuffer;
  readonly attended: GPUBuffer;
  readonly gateUp: GPUBuffer;
  readonly gated: GPUBuffer;
  /** Normed rows that need logits, and their logits: `[logit rows][vocabulary rounded up to 4]`. */
  readonly heads: GPUBuffer;
  readonly logits: GPUBuffer;
  readonly logitsStride: number;
  /** Where samplers cut the vocabulary off, and how that is found: see sample-digit.wgsl. */
  readonly filter: FilterBuffers;
  readonly best: GPUBuffer;
  readonly ids: GPUBuffer;
  /** Of each of the config's ropes: cos and sin by position, `[positions][cos | sin][dimensions / 2]`. */
  readonly ropes: readonly GPUBuffer[];
}

export interface FilterBuffers {
  readonly extremes: GPUBuffer;
  readonly bins: GPUBuffer;
  readonly trail: GPUBuffer;
  /** The number of each stage, 256 bytes apart. */
  readonly stages: GPUBuffer;
}

function filterBuffers(buffers: Buffers, vocabulary: number, samplers: number): FilterBuffers {
  const chunks = Math.ceil(vocabulary / FILTER_CHUNK);
  return {
    extremes: buffers.storage('sampler extremes', samplers * chunks * 8),
    bins: buffers.storage('sampler bins', samplers * BIN_WORDS * 4),
    trail: buffers.storage('sampler trail', samplers * TRAIL_WORDS * 4),
    stages: buffers.storage('sampler stages', STAGE_BYTES * (FILTER_STAGES.settle + 1)),
  };
}

/** What makes buffers smaller that are too large to bind. */
export const FEWER_ROWS = 'lower limits.batchRows (--max-num-batched-tokens)';
const FEWER_POSITIONS = 'lower maxModelLength (--max-model-len)';

/** WebGPU's alignment of what a binding starts at. */
export const STAGE_BYTES = 256;

/** What `stages` holds. */
export function stageNumbers(): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array((STAGE_BYTES / 4) * (FILTER_STAGES.settle + 1));
  for (let stage = 0; stage <= FILTER_STAGES.settle; stage++) words[(stage * STAGE_BYTES) / 4] = stage;
  return words;
}

/** @throws WebLoraError `gpu_limit` where what a step of that many rows works on, or a table for that many positions, is more than one binding. */
export function createActivations(
  device: Pick<GPUDevice, 'limits'>,
  buffers: Buffers,
  config: ModelConfig,
  { groups }: ModelShape,
  layout: StepLayout,
  contextLength: number,
): Activations {
  const { rows, logitRows, samplers } = layout.limits;
  const floats = (label: string, height: number, width: number, fewer = FEWER_ROWS): GPUBuffer => {
    requireBindable(device, `'${label}' of ${height} rows`, height * width * 4, fewer);
    return buffers.storage(label, height * width * 4);
  };
  const pagesPerRow = Math.ceil(contextLength / PAGE_TOKENS);
  const logitsStride = Math.ceil(config.vocabSize / 4) * 4;
  const chunks = Math.ceil(config.vocabSize / SAMPLE_CHUNK);
  return {
    step: buffers.storage('step', layout.words * 4),
    blocks: buffers.storage('blocks', samplers * pagesPerRow * 4),
    pagesPerRow,
    state: buffers.storage('state', samplers * 8),
    x: floats('x', rows, padded(config.hiddenSize)),
    normed: floats('normed', rows, padded(config.hiddenSize)),
    qkv: floats('qkv', rows, groups.qkv.outWidth),
    attended: floats('attended', rows, padded(groups.o.inWidth)),
    gateUp: floats('gate and up', rows, groups.gateUp.outWidth),
    gated: floats('gated', rows, padded(config.intermediateSize)),
    heads: floats('normed logit rows', logitRows, padded(config.hiddenSize)),
    logits: floats('logits', logitRows, logitsStride),
    logitsStride,
    filter: filterBuffers(buffers, config.vocabSize, samplers),
    best: buffers.storage('sampler candidates', samplers * chunks * 16),
    ids: buffers.storage('sampled ids', samplers * 4),
    ropes: config.ropes.map(({ dimensions }) => floats('rope', contextLength, dimensions, FEWER_POSITIONS)),
  };
}

/**
 * cos and sin of every position and pair, times the rope's factor, in double before they are rounded: f32 angles drift with the position.
 * `positions` is the served length, which decides on LongRoPE's frequencies once for all of them.
 */
export function ropeTable({ dimensions, frequencies, long, factor }: Rope, positions: number): Float32Array<ArrayBuffer> {
  const served = long && positions > long.original ? long.frequencies : frequencies;
  const half = dimensions / 2;
  const table = new Float32Array(positions * dimensions);
  for (let pair = 0; pair < half; pair++) {
    const frequency = served[pair]!;
    for (let position = 0; position < positions; position++) {
      table[position * dimensions + pair] = factor * Math.cos(position * frequency);
      table[position * dimensions + half + pair] = factor * Math.sin(position * frequency);
    }
  }
  return table;
}
