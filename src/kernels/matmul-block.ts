import source from '../../shaders/matmul-block.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { MATMUL_CONSTANTS } from './matmul-tile.ts';

export const matmulBlock = defineKernel({
  label: 'matmul-block',
  source,
  buffers: { step: 'read', weights: 'read', x: 'read', y: 'read_write' },
  constants: MATMUL_CONSTANTS,
  // a batch of 8 rows has so few threads that workgroups of 64 would leave cores without any
  workgroupSize: 16,
});

/** One thread per 8 rows and 8 outputs. */
export const matmulBlockThreads = (rows: number, out4: number): number => Math.ceil(rows / 8) * Math.ceil(out4 / 2);
