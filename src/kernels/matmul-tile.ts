import source from '../../shaders/matmul-tile.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { MATMUL_CONSTANTS, matmulRow } from './matmul-row.ts';

export const matmulTile = defineKernel({ ...matmulRow, label: 'matmul-tile', source, constants: [...MATMUL_CONSTANTS, 'QUADS'] });

/** Workgroups of 8 rows, one thread per so many quads of outputs (QUADS). */
export const matmulTileThreads = (quads: number, rows: number, out4: number): number =>
  Math.ceil(rows / 8) * Math.ceil(out4 / quads / 16) * 16;
