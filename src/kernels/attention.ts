import source from '../../shaders/attention.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const attention = defineKernel({
  label: 'attention',
  source,
  buffers: { step: 'read', blocks: 'read', state: 'read', qkv: 'read', pool: 'read', out: 'read_write' },
  constants: [...STEP_CONSTANTS, 'KV_HEADS', 'GROUP', 'DIM4', 'QKV_STRIDE4', 'OUT_STRIDE4', 'PAGES_PER_ROW', 'SCALE'],
  // a decode step has so few threads that workgroups of 64 would leave cores without any
  workgroupSize: 16,
});

/** One thread per row and kv head. */
export const attentionThreads = (rows: number, kvHeads: number): number => rows * kvHeads;
