import source from '../../shaders/matmul-tile.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

/** What every base matmul takes: its shapes (see matmul-row.wgsl), and SCALES_AT, where the scales of a quantised plane start. */
export const MATMUL_CONSTANTS: readonly string[] = [
  ...STEP_CONSTANTS,
  'WIDTH8',
  'OUT4',
  'OUT_AT4',
  'Y_STRIDE4',
  'ADD',
  'LOGITS',
  'SCALES_AT',
];

export const matmulTile = defineKernel({
  label: 'matmul-tile',
  source,
  buffers: { step: 'read', weights: 'read', x: 'read', y: 'read_write' },
  constants: MATMUL_CONSTANTS,
});

/** One thread per 4 rows and 4 outputs. */
export const matmulTileThreads = (rows: number, out4: number): number => Math.ceil(rows / 4) * out4;
