import source from '../../shaders/matmul-few.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { matmulRow } from './matmul-row.ts';

export const matmulFew = defineKernel({ ...matmulRow, label: 'matmul-few', source });

/** Workgroups of 4 rows, one thread per 4 outputs. */
export const matmulFewThreads = (rows: number, out4: number): number => Math.ceil(rows / 4) * Math.ceil(out4 / 16) * 16;
