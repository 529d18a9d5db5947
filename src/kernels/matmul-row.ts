import source from '../../shaders/matmul-row.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const matmulRow = defineKernel({
  label: 'matmul-row',
  source,
  buffers: { step: 'read', weights: 'read', x: 'read', y: 'read_write' },
  constants: [...STEP_CONSTANTS, 'WIDTH8', 'OUT4', 'OUT_AT4', 'Y_STRIDE4', 'ADD', 'LOGITS'],
});

/** One thread per row and 4 outputs. */
export const matmulRowThreads = (rows: number, out4: number): number => rows * out4;
