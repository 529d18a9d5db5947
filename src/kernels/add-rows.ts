import source from '../../shaders/add-rows.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const addRows = defineKernel({
  label: 'add-rows',
  source,
  buffers: { step: 'read', y: 'read', bias: 'read', x: 'read_write' },
  constants: [...STEP_CONSTANTS, 'WIDTH4', 'STRIDE4', 'Y', 'BIAS'],
});

/** One thread per row and 4 columns. */
export const addRowsThreads = (rows: number, width4: number): number => rows * width4;
