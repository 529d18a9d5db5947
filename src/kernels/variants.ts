import shareNone from '../../shaders/lib/share-none.wgsl?raw';
import shareQuads from '../../shaders/lib/share-quads.wgsl?raw';
import sumAlone from '../../shaders/lib/sum-alone.wgsl?raw';
import sumQuads from '../../shaders/lib/sum-quads.wgsl?raw';
import type { Kernel } from '../gpu/kernel.ts';
import {
  attention,
  attentionRows,
  attentionRowsQuads,
  attentionRowsQuadsThreads,
  attentionRowsThreads,
  attentionThreads,
} from './attention.ts';
import { loraExpand, loraExpandThreads } from './lora-expand.ts';
import { loraShrink, loraShrinkThreads } from './lora-shrink.ts';
import { matmulRow, matmulRowThreads } from './matmul-row.ts';
import { matmulTile, matmulTileThreads } from './matmul-tile.ts';
import { rmsNorm, rmsNormThreads } from './rms-norm.ts';
import type { ropeKvHeads, RopeHeadsWork } from './rope-kv-heads.ts';
import { sampleChunk, sampleChunkThreads } from './sample-chunk.ts';
import { sampleDigit, sampleDigitThreads } from './sample-digit.ts';
import { sampleExtremes, sampleExtremesThreads } from './sample-extremes.ts';
import { sampleMerge, sampleMergeThreads } from './sample-merge.ts';
import type { SampleWork } from './sampler-layout.ts';

/** One way to compute what a hot kernel computes: every variant of it binds the same buffers, takes the same constants and writes the same. */
export interface Variant<Binding extends string, Work> {
  readonly name: string;
  readonly kernel: Kernel<Binding>;
  /** Invocations that so much work takes; whole workgroups are started. */
  readonly threads: (work: Work) => number;
}

/** Rows of x, and rows of the plane divided by 4. */
export interface MatmulWork {
  readonly rows: number;
  readonly out4: number;
}

export interface ShrinkWork {
  readonly segments: number;
  readonly sites: number;
  readonly splits: number;
  /** Of the widest adapter in the step. */
  readonly rankQuads: number;
}

export interface ExpandWork {
  readonly segments: number;
  readonly out4: number;
}

export interface AttentionWork {
  readonly rows: number;
  /** Splits of the row that has most keys; 1 where keys are not split. */
  readonly splits: number;
  readonly kvHeads: number;
  /** Query heads that share a kv head. */
  readonly group: number;
  readonly headDim: number;
}

export type MatmulVariant = Variant<keyof typeof matmulRow.buffers, MatmulWork>;
export type ShrinkVariant = Variant<keyof typeof loraShrink.buffers, ShrinkWork>;
export type ExpandVariant = Variant<keyof typeof loraExpand.buffers, ExpandWork>;
export type AttentionVariant = Variant<keyof typeof attention.buffers, AttentionWork>;
export type RopeHeadsVariant = Variant<keyof typeof ropeKvHeads.buffers, RopeHeadsWork>;
export type NormVariant = Variant<keyof typeof rmsNorm.buffers, { readonly rows: number }>;

/** Attention in two dispatches: the keys of each row in splits, which then are merged. */
export interface SplitAttention {
  /** Writes to `out` what the merge reads as `parts`; takes SPLIT_TILES, the tiles of 64 keys in a split, besides what others take. */
  readonly split: AttentionVariant;
  readonly merge: Variant<'step' | 'state' | 'parts' | 'out', AttentionWork>;
  /** Rows that it is used for whenever there are splits: `parts` has room for as many. */
  readonly mostRows: number;
  /** It is used for more of them, too, as long as one dispatch would have fewer workgroups than this. */
  readonly fullWorkgroups: number;
  /** Quads of 4 numbers that one split of one row takes in `parts`. */
  readonly partQuads: (shape: { readonly heads: number; readonly headDim: number }) => number;
}

/** From logits to one token a sampler, in kernels that know each other's chunks of the vocabulary. Whichever it is, the bits are the same. */
export interface SamplerVariant {
  readonly name: string;
  readonly chunk: SamplePart<keyof typeof sampleChunk.buffers>;
  readonly merge: SamplePart<keyof typeof sampleMerge.buffers>;
  /** Before them, where samplers leave tokens out. */
  readonly extremes: SamplePart<keyof typeof sampleExtremes.buffers>;
  readonly digit: SamplePart<keyof typeof sampleDigit.buffers>;
}

export type SamplePart<Binding extends string> = Omit<Variant<Binding, SampleWork>, 'name'>;

/** A variant of each hot kernel: what a model is built with. */
export interface KernelSet {
  /**
   * Each serves steps of so many rows at most, the last one all others. `serves`: whether it takes over from those behind it where they are
   * wrong, or may be done without; default: the last one serves `any` step, the others `some`.
   */
  readonly matmul: readonly { readonly mostRows: number; readonly variant: MatmulVariant; readonly serves?: 'any' | 'some' }[];
  readonly shrink: ShrinkVariant;
  readonly expand: ExpandVariant;
  /** For steps whose segments have one row each; absent: none. */
  readonly shrinkOne?: ShrinkVariant;
  readonly expandOne?: ExpandVariant;
  /** Segments of one row that cost these as much as one of several costs the others, however many it has; absent: 0, none is cut so. */
  readonly fullRows?: number;
  /** Serves every step that no form below serves. */
  readonly attention: AttentionVariant;
  /** For steps of few rows, in which the keys are what can be shared out; absent: none. */
  readonly attentionSplit?: SplitAttention;
  /** For steps in which many rows of a sequence follow each other; absent: none. */
  readonly attentionPrefill?: AttentionVariant;
  readonly rmsNorm: NormVariant;
  /** What turns heads whose numbers need each other, where rows are normed by `rmsNorm`; absent: one thread a head. */
  readonly ropeHeads?: RopeHeadsVariant;
  readonly sampler: SamplerVariant;
}

/** One thread per row: the simplest loop is the narrow one, too. */
export const ROW_NORM: NormVariant = { name: 'row', kernel: rmsNorm, threads: ({ rows }) => rmsNormThreads(rows) };

/** One thread per chunk, and one that merges them: the simplest loops, too. */
export const CHUNK_SAMPLER: SamplerVariant = {
  name: 'chunks',
  chunk: { kernel: sampleChunk, threads: sampleChunkThreads },
  merge: { kernel: sampleMerge, threads: sampleMergeThreads },
  extremes: { kernel: sampleExtremes, threads: sampleExtremesThreads },
  digit: { kernel: sampleDigit, threads: sampleDigitThreads },
};

/** Shrink and expand of a full segment over those of one row, on SwiftShader with subgroups. */
const FULL_ROWS = 1.9;

/** How threads next to each other come by what all of them read, and add up what they summed apart. */
const TOGETHER = {
  alone: {
    suffix: '',
    share: { ownLibraries: [shareNone] },
    // for llvmpipe, whose compiler is quick: a text more, or one a shape, is soon made
    one: { shapes: 'compiled' },
    tiles: [
      { mostRows: 16, name: 'tile', quads: 2, serves: 'any' },
      { mostRows: Infinity, name: 'broad-tile', quads: 4, serves: 'some' },
    ],
    sum: { ownLibraries: [sumAlone], workgroupSize: 8 },
    lanes: 1,
    prefill: { kernel: attentionRows, threads: attentionRowsThreads },
  },
  quads: {
    suffix: '-quads',
    share: { ownLibraries: [shareQuads], enables: ['subgroups'] },
    one: {},
    // with twice the outputs a tile takes longer to compile on SwiftShader than it saves
    tiles: [{ mostRows: Infinity, name: 'tile', quads: 2 }],
    sum: { ownLibraries: [sumQuads], enables: ['subgroups'], workgroupSize: 4 },
    lanes: 4,
    prefill: { kernel: attentionRowsQuads, threads: attentionRowsQuadsThreads },
  },
} as const;

/**
 * No barrier, several outputs a thread: for devices that run on the CPU, where a barrier costs as much as the work between two.
 * `quads` reads what neighbours share once for four threads, and sums over them, through subgroups.
 */
function narrowKernels(together: keyof typeof TOGETHER): KernelSet {
  const { suffix, share, one, tiles, sum, lanes, prefill } = TOGETHER[together];
  const row = (name: string, each: number, more: Pick<Kernel, 'shapes'> = {}): MatmulVariant => ({
    name: `${name}${suffix}`,
    kernel: { ...matmulRow, ...share, ...more, ownConstants: { ROWS: each } },
    threads: ({ rows, out4 }) => matmulRowThreads(each, rows, out4),
  });
  const tile = (name: string, quads: number): MatmulVariant => ({
    name: `${name}${suffix}`,
    kernel: { ...matmulTile, ...share, ownConstants: { QUADS: quads } },
    threads: ({ rows, out4 }) => matmulTileThreads(quads, rows, out4),
  });
  const shrink = (name: string, rows: number): ShrinkVariant => ({
    name: `${name}${suffix}`,
    kernel: { ...loraShrink, ...sum, ownConstants: { ROWS: rows } },
    threads: ({ segments, sites, splits }) => loraShrinkThreads(lanes, segments, sites, splits),
  });
  const expand = (name: string, rows: number): ExpandVariant => ({
    name,
    kernel: { ...loraExpand, ownConstants: { ROWS: rows } },
    threads: ({ segments, out4 }) => loraExpandThreads(segments, out4),
  });
  return {
    matmul: [
      { mostRows: 1, variant: row('row', 1, one) },
      { mostRows: 4, variant: row('few', 4) },
      ...tiles.map(({ name, quads, ...when }) => ({ ...when, variant: tile(name, quads) })),
    ],
    shrink: shrink('narrow', 4),
    shrinkOne: shrink('narrow-one', 1),
    expand: expand('narrow', 4),
    expandOne: expand('narrow-one', 1),
    fullRows: FULL_ROWS,
    attention: { name: 'narrow', kernel: attention, threads: ({ rows, kvHeads, group }) => attentionThreads(rows, kvHeads, group) },
    attentionPrefill: {
      name: `narrow-rows${suffix}`,
      kernel: prefill.kernel,
      threads: ({ rows, kvHeads, group }) => prefill.threads(rows, kvHeads, group),
    },
    rmsNorm: ROW_NORM,
    sampler: CHUNK_SAMPLER,
  };
}

export const NARROW: KernelSet = narrowKernels('alone');
/** Needs subgroups. */
export const NARROW_QUADS: KernelSet = narrowKernels('quads');
