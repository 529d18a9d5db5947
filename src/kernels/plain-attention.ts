import source from '../../shaders/plain-attention.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { attention } from './attention.ts';

export const plainAttention = defineKernel({
  label: 'plain-attention',
  source,
  buffers: { step: 'read', blocks: 'read', state: 'read', qkv: 'read', pool: 'read', out: 'read_write' },
  constants: attention.constants,
});

/** One thread per row and kv head. */
export const plainAttentionThreads = (rows: number, kvHeads: number): number => rows * kvHeads;
