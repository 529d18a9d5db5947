import source from '../../shaders/matmul-row.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { MATMUL_CONSTANTS } from './matmul-tile.ts';

export const matmulRow = defineKernel({
  label: 'matmul-row',
  source,
  buffers: { step: 'read', weights: 'read', x: 'read', y: 'read_write' },
  constants: MATMUL_CONSTANTS,
});

/** One thread per row and 4 outputs. */
export const matmulRowThreads = (rows: number, out4: number): number => rows * out4;
