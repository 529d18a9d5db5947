import source from '../../shaders/plain-matmul.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { MATMUL_CONSTANTS } from './matmul-row.ts';

export const plainMatmul = defineKernel({
  label: 'plain-matmul',
  source,
  buffers: { step: 'read', weights: 'read', x: 'read', y: 'read_write' },
  constants: MATMUL_CONSTANTS,
});

/** One thread per row and output. */
export const plainMatmulThreads = (rows: number, out4: number): number => rows * out4 * 4;
