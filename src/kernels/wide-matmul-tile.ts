import source from '../../shaders/wide-matmul-tile.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { MATMUL_CONSTANTS } from './matmul-row.ts';

export const wideMatmulTile = defineKernel({
  label: 'wide-matmul-tile',
  source,
  buffers: { step: 'read', weights: 'read', x: 'read', y: 'read_write' },
  constants: MATMUL_CONSTANTS,
  workgroupSize: 64,
});

/** One workgroup per 32 rows and 32 outputs. */
export const wideMatmulTileThreads = (rows: number, out4: number): number => Math.ceil(rows / 32) * Math.ceil(out4 / 8) * 64;
