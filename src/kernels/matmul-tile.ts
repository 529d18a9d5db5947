import source from '../../shaders/matmul-tile.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { MATMUL_CONSTANTS, matmulRow } from './matmul-row.ts';

export const matmulTile = defineKernel({ ...matmulRow, label: 'matmul-tile', source, constants: MATMUL_CONSTANTS });

/** Workgroups of 8 rows, one thread per 8 outputs. */
export const matmulTileThreads = (rows: number, out4: number): number => Math.ceil(rows / 8) * Math.ceil(out4 / 32) * 16;
