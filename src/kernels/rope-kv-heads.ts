import source from '../../shaders/rope-kv-heads.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const ropeKvHeads = defineKernel({
  label: 'rope-kv-heads',
  source,
  buffers: { step: 'read', rope: 'read', blocks: 'read', state: 'read', vectors: 'read', qkv: 'read_write', pool: 'read_write' },
  constants: [...STEP_CONSTANTS, 'HEADS', 'KV_HEADS', 'DIM4', 'ROTARY', 'QKV_STRIDE4', 'PAGES_PER_ROW', 'BIAS', 'NORM', 'EPSILON'],
});

/** One thread per row and head of q, k or v. */
export const ropeKvHeadsThreads = (rows: number, heads: number, kvHeads: number): number => rows * (heads + 2 * kvHeads);
