import source from '../../shaders/rope-kv.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const ropeKv = defineKernel({
  label: 'rope-kv',
  source,
  buffers: { step: 'read', rope: 'read', blocks: 'read', state: 'read', bias: 'read', qkv: 'read_write', pool: 'read_write' },
  constants: [...STEP_CONSTANTS, 'HEADS', 'KV_HEADS', 'DIM4', 'ROTARY8', 'QKV_STRIDE4', 'PAGES_PER_ROW', 'BIAS'],
});

/** One thread per row, kv head and 8 numbers of a head. */
export const ropeKvThreads = (rows: number, kvHeads: number, headDim: number): number => rows * kvHeads * (headDim / 8);
