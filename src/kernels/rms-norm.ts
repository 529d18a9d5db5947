import source from '../../shaders/rms-norm.wgsl?raw';
import { defineKernel } from '../gpu/kernel.ts';
import { STEP_CONSTANTS } from './step-layout.ts';

export const rmsNorm = defineKernel({
  label: 'rms-norm',
  source,
  buffers: { step: 'read', x: 'read', weight: 'read', y: 'read_write' },
  constants: [...STEP_CONSTANTS, 'WIDTH4', 'STRIDE4', 'EPSILON', 'GATHER'],
});

/** One thread per row. */
export const rmsNormThreads = (rows: number): number => rows;
