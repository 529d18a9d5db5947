import source from '../../shaders/wide-matmul-row.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { MATMUL_CONSTANTS } from './matmul-row.ts';

export const wideMatmulRow = defineKernel({
  label: 'wide-matmul-row',
  source,
  buffers: { step: 'read', weights: 'read', x: 'read', y: 'read_write' },
  constants: MATMUL_CONSTANTS,
  workgroupSize: 64,
});

/** One workgroup per 4 rows and 4 outputs. */
export const wideMatmulRowThreads = (rows: number, out4: number): number => Math.ceil(rows / 4) * out4 * 64;
