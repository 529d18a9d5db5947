import source from '../../shaders/silu-mul.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const siluMul = defineKernel({
  label: 'silu-mul',
  source,
  buffers: { step: 'read', gate_up: 'read', y: 'read_write' },
  constants: [...STEP_CONSTANTS, 'WIDTH4', 'GATE_STRIDE4', 'Y_STRIDE4'],
});

/** One thread per row and 4 columns. */
export const siluMulThreads = (rows: number, width4: number): number => rows * width4;
