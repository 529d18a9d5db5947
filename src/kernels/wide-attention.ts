import source from '../../shaders/wide-attention.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';
import type { AttentionWork } from './variants.ts';

export const wideAttention = defineKernel({
  label: 'wide-attention',
  source,
  buffers: { step: 'read', blocks: 'read', state: 'read', qkv: 'read', pool: 'read', out: 'read_write' },
  constants: [
    ...STEP_CONSTANTS,
    'KV_HEADS',
    'GROUP',
    'DIM4',
    'QKV_STRIDE4',
    'OUT_STRIDE4',
    'PAGES_PER_ROW',
    'SCALE',
    'WINDOW',
    'CAP',
    'ROWS',
    'PARTIAL',
    'SPLIT_TILES',
  ],
  workgroupSize: 64,
});

/** Splits so long that every context is one; times 64 it is a u32. */
export const ONE_SPLIT = 1 << 24;

/** One workgroup per `ROWS` rows (fewer where many heads share a kv head), kv head, 8 or 16 query heads of it, and split. */
export function wideAttentionThreads(mostRows: number, { rows, splits, kvHeads, group, headDim }: AttentionWork): number {
  const queries = headDim <= 64 ? 16 : 8;
  const heads = Math.min(group, queries);
  const tileRows = Math.min(mostRows, Math.floor(queries / heads));
  return Math.ceil(rows / tileRows) * kvHeads * Math.ceil(group / heads) * splits * 64;
}
