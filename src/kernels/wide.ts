import pick from '../../shaders/lib/pick.wgsl?raw';
import picksMemory from '../../shaders/lib/picks-memory.wgsl?raw';
import picksSubgroups from '../../shaders/lib/picks-subgroups.wgsl?raw';
import reduceMemory from '../../shaders/lib/reduce-memory.wgsl?raw';
import reduceSubgroups from '../../shaders/lib/reduce-subgroups.wgsl?raw';
import softmax from '../../shaders/lib/softmax.wgsl?raw';
import stagedF16 from '../../shaders/lib/staged-f16.wgsl?raw';
import stagedF32 from '../../shaders/lib/staged-f32.wgsl?raw';
import type { Kernel } from '../gpu/kernel.ts';
import type { AttentionVariant, KernelSet, MatmulVariant, NormVariant, SamplerVariant, SplitAttention } from './variants.ts';
import { ONE_SPLIT, wideAttention, wideAttentionThreads } from './wide-attention.ts';
import { wideAttentionMerge, wideAttentionMergeThreads } from './wide-attention-merge.ts';
import { wideExpand, wideExpandThreads } from './wide-expand.ts';
import { wideMatmulRow, wideMatmulRowThreads } from './wide-matmul-row.ts';
import { wideMatmulTile, wideMatmulTileThreads } from './wide-matmul-tile.ts';
import { wideRopeKvHeads, wideRopeKvHeadsThreads } from './wide-rope-kv-heads.ts';
import { wideRmsNorm, wideRmsNormThreads } from './wide-rms-norm.ts';
import { wideSampleChunk, wideSampleChunkThreads } from './wide-sample-chunk.ts';
import { wideSampleDigit, wideSampleDigitThreads } from './wide-sample-digit.ts';
import { wideSampleExtremes, wideSampleExtremesThreads } from './wide-sample-extremes.ts';
import { wideSampleMerge, wideSampleMergeThreads } from './wide-sample-merge.ts';
import { wideShrink, wideShrinkThreads } from './wide-shrink.ts';

/** What a device has beyond WGSL's core. */
export interface WideFeatures {
  readonly subgroups: 'yes' | 'no';
  /** Feature shader-f16. */
  readonly f16: 'yes' | 'no';
}

export interface WideSettings {
  /** `half`: operands of a matmul of many rows may be rounded to f16 on their way, where the device can. */
  readonly precision: 'exact' | 'half';
  /** `yes`: one order of summing for every number of rows, so that a row's result does not depend on the batch. */
  readonly deterministic: 'yes' | 'no';
}

/** Rows above which a matmul stages its operands in workgroup memory. */
const ROW_FORM_ROWS = 8;
/** Rows of any model up to which attention splits keys, and workgroups of one row and kv head from which on these fill a device. */
const SPLIT_ROWS = 16;
const FULL_WORKGROUPS = 128;
/** Rows of one sequence that a workgroup attends at most. */
const PREFILL_ROWS = 8;

/**
 * Kernels for GPUs with many cores of their own: workgroups share what they load, and sum through subgroups or workgroup memory. At
 * most 256 invocations and 16 KiB a workgroup, any subgroup size from 4 to 128.
 */
export function wideKernels(features: WideFeatures, { precision, deterministic }: WideSettings): KernelSet {
  const rowForm = matmulRowForm(features);
  const tileForm = matmulTileForm(features.f16 === 'yes' && precision === 'half' ? 'f16' : 'f32');
  const prefill: AttentionVariant = attentionForm('wide-prefill', PREFILL_ROWS);
  const shared = {
    shrink: {
      name: 'wide',
      kernel: wideShrink,
      threads: ({ segments, sites, splits }) => wideShrinkThreads(segments, sites, splits),
    },
    expand: { name: 'wide', kernel: wideExpand, threads: ({ segments, out4 }) => wideExpandThreads(segments, out4) },
    attention: attentionForm('wide', 1),
    attentionPrefill: prefill,
    rmsNorm: normForm(features),
    ropeHeads: { name: 'wide', kernel: wideRopeKvHeads, threads: wideRopeKvHeadsThreads },
    sampler: samplerForm(features),
  } satisfies Partial<KernelSet>;
  if (deterministic === 'yes') return { ...shared, matmul: [{ mostRows: Infinity, variant: rowForm }] };
  return {
    ...shared,
    matmul: [
      { mostRows: ROW_FORM_ROWS, variant: rowForm },
      { mostRows: Infinity, variant: tileForm },
    ],
    attentionSplit: SPLIT,
  };
}

/** What a workgroup's threads come to together: sums of theirs, or the best of their picks. */
const TOGETHER = {
  sums: { memory: [reduceMemory], subgroups: [reduceSubgroups] },
  picks: { memory: [pick, picksMemory], subgroups: [pick, picksSubgroups] },
} as const;

function reducing<Binding extends string>(
  kernel: Kernel<Binding>,
  { subgroups }: WideFeatures,
  what: keyof typeof TOGETHER = 'sums',
): Kernel<Binding> {
  const { ownLibraries = [] } = kernel;
  if (subgroups === 'no') return { ...kernel, ownLibraries: [...ownLibraries, ...TOGETHER[what].memory] };
  return { ...kernel, enables: ['subgroups'], ownLibraries: [...ownLibraries, ...TOGETHER[what].subgroups] };
}

function matmulRowForm(features: WideFeatures): MatmulVariant {
  const name = features.subgroups === 'yes' ? 'wide-row-subgroups' : 'wide-row';
  return { name, kernel: reducing(wideMatmulRow, features), threads: ({ rows, out4 }) => wideMatmulRowThreads(rows, out4) };
}

function matmulTileForm(staged: 'f16' | 'f32'): MatmulVariant {
  const kernel: MatmulVariant['kernel'] =
    staged === 'f16'
      ? { ...wideMatmulTile, enables: ['f16'], ownLibraries: [stagedF16] }
      : { ...wideMatmulTile, ownLibraries: [stagedF32] };
  return { name: `wide-tile-${staged}`, kernel, threads: ({ rows, out4 }) => wideMatmulTileThreads(rows, out4) };
}

function normForm(features: WideFeatures): NormVariant {
  const name = features.subgroups === 'yes' ? 'wide-subgroups' : 'wide';
  return { name, kernel: reducing(wideRmsNorm, features), threads: ({ rows }) => wideRmsNormThreads(rows) };
}

function samplerForm(features: WideFeatures): SamplerVariant {
  const picking = <Binding extends string>(kernel: Kernel<Binding>): Kernel<Binding> => reducing(kernel, features, 'picks');
  return {
    name: features.subgroups === 'yes' ? 'wide-subgroups' : 'wide',
    chunk: { kernel: picking(wideSampleChunk), threads: wideSampleChunkThreads },
    merge: { kernel: picking(wideSampleMerge), threads: wideSampleMergeThreads },
    extremes: {
      kernel: picking(wideSampleExtremes),
      threads: wideSampleExtremesThreads,
    },
    digit: { kernel: picking(wideSampleDigit), threads: wideSampleDigitThreads },
  };
}

function attentionForm(name: string, rows: number): AttentionVariant {
  const ownConstants = { ROWS: rows, PARTIAL: false, SPLIT_TILES: ONE_SPLIT };
  return {
    name,
    kernel: { ...wideAttention, ownLibraries: [softmax], ownConstants },
    threads: (work) => wideAttentionThreads(rows, work),
  };
}

const SPLIT: SplitAttention = {
  split: {
    name: 'wide-split',
    kernel: { ...wideAttention, ownLibraries: [softmax], ownConstants: { ROWS: 1, PARTIAL: true } },
    threads: (work) => wideAttentionThreads(1, work),
  },
  merge: {
    name: 'wide-merge',
    kernel: { ...wideAttentionMerge, ownLibraries: [softmax] },
    threads: ({ rows, kvHeads, group, headDim }) => wideAttentionMergeThreads(rows, kvHeads * group, headDim),
  },
  mostRows: SPLIT_ROWS,
  fullWorkgroups: FULL_WORKGROUPS,
  partQuads: ({ heads, headDim }) => heads * (headDim / 4 + 1),
};
