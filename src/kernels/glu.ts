import source from '../../shaders/glu.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const glu = defineKernel({
  label: 'glu',
  source,
  buffers: { step: 'read', gate_up: 'read', bias: 'read', y: 'read_write' },
  constants: [...STEP_CONSTANTS, 'WIDTH4', 'GATE_STRIDE4', 'Y_STRIDE4', 'GELU', 'BIAS'],
});

/** One thread per row and 4 columns. */
export const gluThreads = (rows: number, width4: number): number => rows * width4;
