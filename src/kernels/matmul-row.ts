import source from '../../shaders/matmul-row.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

/** The shapes that every base matmul takes (see matmul-row.wgsl), and SCALES_AT, where the scales of a quantised plane start. */
export const MATMUL_SHAPE: readonly string[] = ['WIDTH8', 'OUT4', 'OUT_AT4', 'Y_STRIDE4', 'ADD', 'LOGITS', 'SCALES_AT'];
export const MATMUL_CONSTANTS: readonly string[] = [...STEP_CONSTANTS, ...MATMUL_SHAPE];

export const matmulRow = defineKernel({
  label: 'matmul-row',
  source,
  buffers: { step: 'read', weights: 'read', x: 'read', y: 'read_write' },
  constants: [...MATMUL_CONSTANTS, 'ROWS'],
  runtime: MATMUL_SHAPE,
  workgroupSize: 16,
});

/** Workgroups of `each` rows (ROWS), one thread per 4 outputs. */
export const matmulRowThreads = (each: number, rows: number, out4: number): number => Math.ceil(rows / each) * Math.ceil(out4 / 16) * 16;
