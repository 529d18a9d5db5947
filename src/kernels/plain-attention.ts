import source from '../../shaders/plain-attention.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { ATTENTION_CONSTANTS } from './attention.ts';

export const plainAttention = defineKernel({
  label: 'plain-attention',
  source,
  buffers: { step: 'read', blocks: 'read', state: 'read', qkv: 'read', pool: 'read', out: 'read_write' },
  constants: ATTENTION_CONSTANTS,
});

/** One thread per row and kv head. */
export const plainAttentionThreads = (rows: number, kvHeads: number): number => rows * kvHeads;
