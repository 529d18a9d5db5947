import source from '../../shaders/wide-attention-merge.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const wideAttentionMerge = defineKernel({
  label: 'wide-attention-merge',
  source,
  buffers: { step: 'read', state: 'read', parts: 'read', out: 'read_write' },
  constants: [...STEP_CONSTANTS, 'KV_HEADS', 'GROUP', 'DIM4', 'OUT_STRIDE4', 'SPLIT_TILES', 'WINDOW'],
});

/** One thread per row, query head and 4 columns. */
export const wideAttentionMergeThreads = (rows: number, heads: number, headDim: number): number => rows * heads * (headDim / 4);
